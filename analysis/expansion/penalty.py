"""X15: a zero-drift error as a Jacobian penalty, the abstract's headline, over many systems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, final

import torch
from torch import Tensor

from sdewm import RepresentationError, TimeGrid, perturb, tame
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.drifts import Cubic, DoubleWell, Geometric, Linear, TanhNetwork
from sdewm.dynamics import ErrorCovariance
from sdewm.dynamics.ensemble import Ensemble, prepare
from sdewm.estimate import Moments
from sdewm.hypothesis import Hypothesis, worse
from sdewm.run import Record
from sdewm.stats import Remainders, all_of
from sdewm.stats.order import richardson_weights
from sdewm.theory.effect import TAMED, finite_moments, total
from sdewm.verdict import Outcome, Verdict

from ..kit import PAPER, at_least_paths, certified, flagged, of_expansion, remainders_of, square, wave
from .order import Crossed

SIZES = (0.0125, 0.025, 0.05, 0.1)
PENALTY, PLAIN = "½ E ∫‖Φσ̄‖²", "½ E ∫‖σ̄‖², no Jacobian"


def systems() -> dict[str, Any]:
    """Twelve systems of different kinds."""
    shear = torch.tensor([[-1.0, 4.0], [0.0, -1.5]])
    return {
        "linear, contracting": Linear(a=-1.0, b=0.3),
        "linear, expanding": Linear(a=0.5, b=0.3),
        "linear, non-normal": Linear(a=shear, diffusion_offset=torch.full((1, 2), 0.3), b=torch.zeros(1, 2, 2)),
        "geometric": Geometric(0.1, 0.4),
        "cubic, no noise": Cubic(),
        "cubic, noise": Cubic(noise=0.5),
        "double well": DoubleWell(),
        "double well, strong noise": DoubleWell(noise=0.8, modulation=0.4),
        "two columns that do not commute": Crossed(),
        "tanh network, gain 0.4": TanhNetwork(dim=4, gain=0.4, seed=1),
        "tanh network, gain 1.5": TanhNetwork(dim=4, gain=1.5, seed=2),
        "tanh network, gain 3": TanhNetwork(dim=4, gain=3.0, seed=3),
    }


@final
@dataclass(frozen=True)
class PenaltyAtInterpolation(Claim):
    """At interpolation the target of each path is where the base arrives, so that the loss is ½|x^ε − x⁰|².

    The control is the penalty without the Jacobian, Φ = 1: the size of the error alone.
    """

    form: str = PENALTY

    id = "X15"
    title = "A zero-drift error is a Jacobian penalty at interpolation"
    statement = (
        "At interpolation, for ℓ = ½|x − y|² and a zero-drift error with independent noise, R = ε² ½ E ∫ ‖Φ(t,r) "
        "σ̄‖_F² dr + O(ε³): the error is a penalty on the Jacobian of the rollout. The missing coefficient is within 5 "
        "% of the penalty, in each of twelve systems."
    )
    cases = ("twelve systems",)
    source = PAPER + ": zero-drift errors act as implicit regularisation of the Jacobian"
    formula = (
        r"\sigma=0,\;\rho=0,\;\ell(x)=\tfrac12|x-x^0_t|^2\;\Longrightarrow\;R(\varepsilon)=\frac{\varepsilon^2}{2}"
        r"\,\mathbb{E}\int_0^t\left\|\Phi(t,r)\,\bar\sigma(r,x^0_r)\right\|_F^2dr+O(\varepsilon^3)"
    )
    note = (
        "Φ(t,r) is the Jacobian of the rollout, noise included; the error's own noise is averaged out exactly. Away "
        "from interpolation, or with shared noise, R has further terms and may be negative (S1, X7)."
    )

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        error = RepresentationError(diffusion=wave, correlation="independent")
        found = [of_expansion(system, error, square, 0.6, 1.0, 16) for system in systems().values()]
        weakest = [reduce(worse, each) for each in zip(*found, strict=True)]
        return *weakest, certified("interpolation", "the target of each path is where its base arrives")

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        paths = at_least_paths(65_536 * scale, 1024)
        common = {"T": 1.0, "steps": 16, "sizes": list(SIZES), "x0": 0.6}
        result = []
        for name, system in systems().items():
            count = paths // (4 if system.dim > 3 else 1)
            settings = {"system": name, **common, "paths": count}
            result.append(Cell(self.id, settings, seed, cost=count * system.dim * 2e-5))
        return result

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        grid, system = TimeGrid(s["T"], s["steps"]), systems()[s["system"]]
        tamed = isinstance(system, Cubic | DoubleWell)
        if tamed:
            system = tame(system, grid)
        error = RepresentationError(diffusion=wave, correlation="independent")
        mirrored = error.mirrored()
        members: dict[str, Any] = {"spread": ErrorCovariance(system, error)}
        for eps in s["sizes"]:
            members |= {f"+{eps:g}": perturb(system, error, eps), f"-{eps:g}": perturb(system, mirrored, eps)}
        ensemble = prepare(members, s["x0"], grid, s["paths"], cell.seed, save="all")
        moments = total(self._block(ensemble, block, s["sizes"]) for block in ensemble.blocks)
        values = {"sizes": s["sizes"], "forms": [PENALTY, PLAIN], "flags": [TAMED] if tamed else []}
        values["digits"] = torch.finfo(torch.float64).eps
        return Result(values, moments.to_arrays())

    def _block(self, ensemble: Ensemble, block: int, sizes: Sequence[float]) -> Moments:
        """The columns of `Remainders` for both forms, over one block of paths."""
        alone: Tensor | None = None
        for n, states in enumerate(ensemble.run(block)):
            x: Tensor = states["spread"].x
            if n < ensemble.grid.steps:
                step = 0.5 * ensemble.grid.h * wave(torch.tensor(ensemble.grid.time(n)), x).square().sum(1)
                alone = step if alone is None else alone + step
        assert alone is not None
        weights, scale = torch.from_numpy(richardson_weights(sizes)), torch.tensor(sizes, dtype=torch.float64)
        fewer = torch.cat((torch.from_numpy(richardson_weights(sizes[:-1])), weights.new_zeros(1)))
        effect = torch.stack([_half_square(states, eps, x) / eps**2 for eps in sizes], 1)
        columns: list[Tensor] = []
        for c in (0.5 * states["spread"].trace, alone):
            rest = effect - c[:, None]
            truncated = weights - fewer
            missing = ((rest * scale) @ weights, rest @ weights, (rest * scale) @ truncated, rest @ truncated)
            nothing = torch.zeros_like(c)
            columns += [*rest.unbind(1), *rest.square().unbind(1), *missing, nothing, c, c, nothing]
        return finite_moments(torch.stack([*columns, nothing], 1), ensemble, block)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        level = 1.0 - 0.001 / len(records)
        judged = {}
        for record in records:
            measured: Remainders = remainders_of(record)
            judged[record.key["settings"]["system"]] = flagged(measured.second(self.form, level), record)
        return all_of(judged)

    def control(self) -> "PenaltyAtInterpolation":
        """The penalty without its Jacobian."""
        return replace(self, form=PLAIN if self.form == PENALTY else PENALTY)


def _half_square(states: Mapping[str, Any], eps: float, x: Tensor) -> Tensor:
    up: Tensor = states[f"+{eps:g}"]
    down: Tensor = states[f"-{eps:g}"]
    return 0.25 * ((up - x).square().sum(1) + (down - x).square().sum(1))


ROW = Row(
    PenaltyAtInterpolation(),
    dict.fromkeys(PenaltyAtInterpolation.cases, Outcome.HOLDS),
    repetitions=3,
    repetition_scale=0.125,
)
