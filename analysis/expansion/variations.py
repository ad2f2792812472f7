"""X1: two ways to the variations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from sdewm import RepresentationError, StepMap, TimeGrid, Variations, simulate_coupled, tame
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.drifts import Cubic, DoubleWell, Geometric, Linear, TanhNetwork
from sdewm.dynamics.brownian import generator
from sdewm.hypothesis import Hypothesis
from sdewm.run import Record
from sdewm.stats import all_of
from sdewm.theory.effect import Effect
from sdewm.theory.remainder import measure_remainders
from sdewm.verdict import Grade, Outcome, Verdict

from ..kit import flagged, of_expansion, only, remainder_result, remainders_of, square, terms_named, wave
from .blocks import four_blocks

EXACT = 1e-12
_OWN = ("y₁", "y₂")


def gated(n: int, x: Tensor, a: Tensor | None) -> Tensor:
    """A recurrent step: h' = ½ h + ½ tanh(W h + U z), z' = tanh(V h)."""
    weight = torch.randn(3, 4, 4, generator=generator(0, "a recurrent step")).to(x) / 2.0
    h = 0.5 * x[:, :4] + 0.5 * torch.tanh(x[:, :4] @ weight[0] + x[:, 4:] @ weight[1])
    return torch.cat((h, torch.tanh(h @ weight[2])), 1)


def spread(n: int, x: Tensor, a: Tensor | None) -> Tensor:
    """Its noise: none on h, a state-dependent one on z."""
    return torch.cat((torch.zeros_like(x[:, :4]), 0.2 + 0.1 * torch.cos(x[:, :4])), 1)


@final
@dataclass(frozen=True)
class HandWritten(Claim):
    """The hand-written variation formulas against twice differentiating the perturbed step, and against its order.

    The control leaves the mixed terms Dσ y₁, Dσ̄ y₁ out of the formula.
    """

    form: str = "ito"

    id = "X1"
    title = "The hand-written variations are the derivatives of the step"
    statement = (
        "The hand-written equations of y₁ and y₂ equal the first and half the second derivative of the simulated step "
        "in ε, by automatic differentiation, to 1e-12 of their size; and the root mean square remainder of the loss is "
        "of order 3 in ε."
    )
    cases = (
        "linear",
        "geometric, independent noise",
        "cubic",
        "double well, partly correlated noise",
        "tanh network",
        "four blocks",
        "recurrent step map",
    )
    source = "the variation equations"
    formula = (
        r"y_1=\left.\frac{dx^\varepsilon}{d\varepsilon}\right|_{\varepsilon=0},\quad y_2"
        r"=\frac12\left.\frac{d^2x^\varepsilon}{d\varepsilon^2}\right|_{\varepsilon=0}"
        "\n"
        r"\left(\mathbb{E}\left|\ell(x^\varepsilon)-\ell(x^0)-\varepsilon p"
        r"-\varepsilon^2c\right|^2\right)^{1/2}=O(\varepsilon^3)"
    )
    note = "The third way, SymPy's derivatives and exact moments, is in the tests. Each system has its own figure line."

    def setup(self, case: str) -> tuple[Any, RepresentationError, float | Tensor, Tensor | None]:
        """System, error, start and actions of a case."""
        shared = RepresentationError(drift=wave, diffusion=wave, initial=0.3)
        apart = RepresentationError(drift=wave, diffusion=wave, initial=0.3, correlation="independent")
        partly = RepresentationError(drift=wave, diffusion=wave, initial=0.3, correlation=-0.6)
        if case == "four blocks":
            model, error, start, actions = four_blocks("f̄ depends on z", smooth=True)
            return model, error, start, actions
        if case == "recurrent step map":
            return StepMap(gated, spread, dim=8, noise_dim=8), shared.scaled(0.2), torch.full((8,), 0.3).double(), None
        systems: dict[str, tuple[Any, RepresentationError]] = {
            "linear": (Linear(a=-0.5, b=0.3), shared),
            "geometric, independent noise": (Geometric(-0.3, 0.5), apart),
            "cubic": (Cubic(noise=0.4), shared),
            "double well, partly correlated noise": (DoubleWell(), partly),
            "tanh network": (TanhNetwork(dim=8), shared),
        }
        system, error = systems[case]
        return system, error, 0.6, None

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        system, error, x0, actions = self.setup(case)
        return of_expansion(system, error, square, x0, 0.5, 16, actions)

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        paths = max(int(2048 * scale), 512)
        settings = {"case": case, "form": self.form, "T": 0.5, "steps": 16, "paths": paths}
        return [Cell(self.id, {**settings, "sizes": [0.0125, 0.025, 0.05, 0.1]}, seed, cost=0.3 * scale)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        system, error, x0, actions = self.setup(s["case"])
        grid, flags = TimeGrid(s["T"], s["steps"]), []
        if isinstance(system, Cubic | DoubleWell):
            system, flags = tame(system, grid), ["tamed steps; the variations are the derivatives of these steps"]
        terms = terms_named(s["form"])
        members = {
            "hand": Variations(system, error, "formula", terms),
            "automatic": Variations(system, error, "autodiff"),
        }

        def observe(states: Mapping[str, Any]) -> Tensor:
            hand, automatic = states["hand"], states["automatic"]
            pairs = [(hand.y1, automatic.y1), (hand.y2, automatic.y2)]
            return torch.stack([f(a, b) for a, b in pairs for f in (_gap, _size)], 1)

        run = simulate_coupled(members, x0, grid, s["paths"], cell.seed, observe=observe, actions=actions)
        start = torch.as_tensor(x0, dtype=torch.float64).expand(system.dim)
        problem = Effect(system, error, square, start, grid, s["paths"], cell.seed, actions, 1, None)
        result = remainder_result(measure_remainders(problem, {s["form"]: terms}, s["sizes"]), flags)
        high = run.moments[0].high
        gaps = {name: float(high[2 * i] / high[2 * i + 1]) for i, name in enumerate(_OWN)}
        return Result({**result.values, "gaps": gaps}, result.arrays)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        parts = {f"{name} by hand and by differentiation": _exact(gap) for name, gap in record.values["gaps"].items()}
        parts["order"] = remainders_of(record).path_order(self.form)
        return flagged(all_of(parts), record)

    def control(self) -> "HandWritten":
        """The formula without its mixed terms."""
        return replace(self, form="without mixed" if self.form == "ito" else "ito")


def _gap(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().amax(1)


def _size(a: Tensor, b: Tensor) -> Tensor:
    return b.abs().amax(1)


def _exact(gap: float) -> Verdict:
    reason = f"largest difference over largest size is {gap:.2g}, allowed {EXACT:g}"
    outcome = Outcome.HOLDS if gap <= EXACT else Outcome.VIOLATED
    # Nothing is estimated here: it is true of the paths that were simulated.
    return Verdict(outcome, Grade.CERTIFIED, reason, (gap, gap), (0.0, EXACT), abs(EXACT - gap))


ROW = Row(HandWritten(), dict.fromkeys(HandWritten.cases, Outcome.HOLDS), repetitions=5)
