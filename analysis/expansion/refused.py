"""X12 and D1: problems to which the expansion must not be applied."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from sdewm import LatentSDE, RepresentationError, StepMap, TimeGrid, perturb, simulate_coupled
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.claims.runner import hypothesis_fails
from sdewm.drifts import Cubic, Geometric
from sdewm.dynamics import CategoricalMap
from sdewm.dynamics.brownian import generator
from sdewm.exceptions import HypothesisFails
from sdewm.hypothesis import Hypothesis
from sdewm.run import Record
from sdewm.theory.effect import Loss, effect_problem
from sdewm.theory.losses import ExponentialLoss, PolynomialLoss
from sdewm.theory.remainder import measure_remainders
from sdewm.verdict import Outcome, Verdict

from ..kit import flagged, of_expansion, only, remainder_result, remainders_of, square, terms_named, wave

SIZES = (0.00625, 0.0125, 0.025, 0.05)


def _exponential(x: Tensor) -> Tensor:
    return torch.exp(x).sum(-1)


# Its Taylor polynomial of degree four: as steep where the paths are, and harmless far out.
taylor = PolynomialLoss(tuple(1.0 / math.factorial(k) for k in range(5)))


@final
class OwnDrift(LatentSDE):
    """dx = (x + sign x³) dt + 0.3 dB, with nothing declared."""

    dim = 1

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign = sign

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """x + sign x³."""
        return x + self.sign * x**3

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """0.3."""
        return torch.full_like(x, 0.3)


@final
@dataclass(frozen=True)
class NotApplicable(Claim):
    """X12. The control has a loss or a drift that grows as the theorem asks; the same code then tests the order."""

    harmless: bool = False

    id = "X12"
    title = "The expansion holds for losses and drifts that grow too fast"
    statement = "E ℓ(x^ε) − E ℓ(x⁰) = εP + ε²(Q + S/2) + O(ε³) for a loss like eˣ, or a drift like x + x³."
    cases = (
        "exponential loss, declared",
        "exponential loss, detected",
        "explosive drift, declared",
        "explosive drift, detected",
    )
    source = "the expansion, where its hypotheses on growth fail"
    formula = (
        r"\mathbb{E}\,\ell(x^\varepsilon)-\mathbb{E}\,\ell(x^0)=\varepsilon P+\varepsilon^2\left(Q+"
        r"\tfrac12S\right)+O(\varepsilon^3)\quad\text{for}\quad\ell(x)=e^x\;\text{or}\;g(x)=x+x^3"
    )
    note = (
        "Refused before anything is simulated. R is infinite here, or not defined, although every sample mean is "
        "finite: see the figure. Not affected: eˣ where all exponential moments exist, as for additive noise; "
        "assume=('loss growth',) then goes on."
    )

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        return of_expansion(*self._problem(case, self.harmless), 0.6, 1.0, 16)

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        paths = max(int(4096 * scale), 512)
        settings = {"case": case, "harmless": self.harmless, "T": 1.0, "steps": 16, "paths": paths}
        settings["sizes"] = list(SIZES)
        drawn_for = {"volatility": 0.4, "eps": 0.2, "paths": 65_536}
        running = drawn_for if drawn and case == "exponential loss, declared" else {}
        return [Cell(self.id, {**settings, "running": running}, seed, algorithm=3, cost=0.5 if running else 0.1)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        system, error, loss = self._problem(s["case"], s["harmless"])
        grid = TimeGrid(s["T"], s["steps"])
        arrays = {} if not s["running"] else _running_means(grid, cell.seed, **s["running"])
        try:
            problem = effect_problem(system, error, loss, 0.6, grid, s["paths"], cell.seed, extrapolate=False)
        except HypothesisFails as failure:
            return Result({"hypothesis": str(failure), "declared": failure.declared}, arrays)
        return remainder_result(measure_remainders(problem, {"ito": terms_named("ito")}, s["sizes"]), problem.flags)

    def _problem(self, case: str, harmless: bool) -> tuple[Any, RepresentationError, Loss]:
        detected = case.endswith("detected")
        if case.startswith("exponential"):
            loss: Loss = taylor if harmless else _exponential if detected else ExponentialLoss()
            return Geometric(0.0, 0.2), RepresentationError(diffusion=wave), loss
        sign = -1.0 if harmless else 1.0
        system = OwnDrift(sign) if detected else Cubic(rate=-sign, noise=0.3)
        return system, RepresentationError(diffusion=wave), square

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        return refused_in(record) or flagged(remainders_of(record).verdict("ito"), record)

    def control(self) -> "NotApplicable":
        """A loss or a drift that is harmless."""
        return replace(self, harmless=not self.harmless)


def refused_in(record: Record) -> Verdict | None:
    """The verdict of a record whose work was refused, beside whose arrays the figure needs."""
    if "hypothesis" not in record.values:
        return None
    refused = {"hypothesis fails": record.values["hypothesis"], "declared": record.values["declared"]}
    return hypothesis_fails(Record(record.key, refused))


def _running_means(grid: TimeGrid, seed: int, volatility: float, eps: float, paths: int) -> dict[str, Any]:
    """Running means of eˣ and of its Taylor polynomial for a geometric base under a multiplicative error."""
    error = RepresentationError(diffusion=lambda t, x: x)
    counts = np.unique(np.logspace(1, np.log10(paths), 60).astype(int))
    result: dict[str, Any] = {"counts": counts.astype(float)}
    for k in range(3):
        final = simulate_coupled([perturb(Geometric(0.0, volatility), error, eps)], 1.0, grid, paths, seed + k)[0].final
        for name, loss in (("eˣ", _exponential), ("polynomial", taylor)):
            means = loss(final).cumsum(0) / torch.arange(1, paths + 1)
            result[f"{name} {k}"] = means[counts - 1].numpy()
    return result


@final
@dataclass(frozen=True)
class CategoricalLatents(Claim):
    """D1. The control has Gaussian latents in the same recurrent step."""

    gaussian: bool = False

    id = "D1"
    title = "Categorical latents have a path-wise expansion"
    statement = (
        "The path-wise expansion x^ε = x⁰ + εy₁ + ε²y₂ + O(ε³) for a recurrent model with categorical latents, under "
        "common random numbers."
    )
    cases = ("eight groups of eight classes",)
    source = "the expansion, for the latents of DreamerV2 and V3"
    formula = r"x^\varepsilon=x^0+\varepsilon y_1+\varepsilon^2y_2+O(\varepsilon^3)\quad\text{on each path}"
    note = (
        "A latent jumps or stays: under common uniforms the root mean square error is of order ½ in ε (figure). Not "
        "affected: the class probabilities, which are smooth in ε, and Gaussian latents."
    )
    drawn_sizes = (0.003, 0.01, 0.03, 0.1, 0.3)

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        base: Any = gaussian_latents() if self.gaussian else categorical_latents()
        error = gaussian_error() if self.gaussian else RepresentationError(drift=logit_error)
        return of_expansion(base, error, square, torch.zeros(base.dim, dtype=torch.float64), 8.0, 8)

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        paths = max(int(2048 * scale), 512)
        shown = list(self.drawn_sizes) if drawn else []
        settings = {"gaussian": self.gaussian, "steps": 8, "paths": paths, "sizes": list(SIZES), "shown": shown}
        return [Cell(self.id, settings, seed, algorithm=2, cost=0.8 if drawn else 0.3)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        grid = TimeGrid(float(s["steps"]), s["steps"])
        arrays = _mismatch(grid, s["paths"], cell.seed, s["shown"]) if s["shown"] else {}
        system: Any = gaussian_latents() if s["gaussian"] else categorical_latents()
        error = gaussian_error() if s["gaussian"] else RepresentationError(drift=logit_error)
        start = torch.zeros(system.dim, dtype=torch.float64)
        try:
            problem = effect_problem(system, error, square, start, grid, s["paths"], cell.seed, extrapolate=False)
        except HypothesisFails as failure:
            return Result({"hypothesis": str(failure), "declared": failure.declared}, arrays)
        return remainder_result(measure_remainders(problem, {"ito": terms_named("ito")}, s["sizes"]), problem.flags)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        return refused_in(record) or flagged(remainders_of(record).path_order("ito"), record)

    def control(self) -> "CategoricalLatents":
        """Gaussian latents."""
        return replace(self, gaussian=not self.gaussian)


HIDDEN, GROUPS, CLASSES = 16, 8, 8


def _weights(purpose: str, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(0, purpose)).double() / math.sqrt(shape[-1])


def _recurrent(n: int, h: Tensor, z: Tensor, a: Tensor | None) -> Tensor:
    w, u = _weights("recurrent", HIDDEN, HIDDEN), _weights("input", HIDDEN, GROUPS * CLASSES)
    return torch.tanh(0.8 * h @ w.to(h).T + 3.0 * z @ u.to(h).T)


def _logits(n: int, h: Tensor) -> Tensor:
    return 2.0 * h @ _weights("logits", GROUPS * CLASSES, HIDDEN).to(h).T


def logit_error(t: Tensor, h: Tensor) -> Tensor:
    """A bounded error of the logits."""
    return torch.cos(h @ _weights("error", GROUPS * CLASSES, HIDDEN).to(h).T)


def categorical_latents() -> CategoricalMap:
    """A recurrent step whose latents are eight categorical variables of eight classes."""
    return CategoricalMap(_recurrent, _logits, hidden=HIDDEN, groups=GROUPS, classes=CLASSES)


def gaussian_latents() -> StepMap:
    """The same recurrent step with Gaussian latents: their means are the probabilities, their noise is small."""

    def probabilities(h: Tensor, extra: Tensor | float = 0.0) -> Tensor:
        return (_logits(0, h) + extra).reshape(len(h), GROUPS, CLASSES).softmax(-1).flatten(1)

    def mean(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        h = _recurrent(n, x[:, :HIDDEN], x[:, HIDDEN:], a)
        return torch.cat((h, probabilities(h)), 1)

    def scale(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        return torch.cat((torch.zeros_like(x[:, :HIDDEN]), torch.full_like(x[:, HIDDEN:], 0.1)), 1)

    size = HIDDEN + GROUPS * CLASSES
    return StepMap(mean, scale, dim=size, noise_dim=size)


def gaussian_error() -> RepresentationError:
    """A drift error of the latents."""

    def drift(n: Tensor, x: Tensor) -> Tensor:
        return torch.cat((torch.zeros_like(x[:, :HIDDEN]), 0.1 * torch.cos(x[:, HIDDEN:])), 1)

    return RepresentationError(drift=drift)


def _mismatch(grid: TimeGrid, paths: int, seed: int, sizes: Sequence[float]) -> dict[str, Any]:
    """Mean square difference of the latents after one step and at the end, categorical and Gaussian."""
    result: dict[str, Any] = {"sizes": np.array(sizes)}
    for name, base, error in (
        ("categorical", categorical_latents(), RepresentationError(drift=logit_error)),
        ("Gaussian", gaussian_latents(), gaussian_error()),
    ):
        members: dict[str, Any] = {"base": base, **{f"{eps:g}": perturb(base, error, eps) for eps in sizes}}

        def observe(states: Mapping[str, Any]) -> Tensor:
            z: Mapping[str, Tensor] = {key: value[:, HIDDEN:] for key, value in states.items()}
            columns = [(z[f"{eps:g}"] - z["base"]).square().sum(1) for eps in sizes]
            return torch.stack(columns, 1)

        start = torch.cat((torch.linspace(-1.0, 1.0, HIDDEN), torch.zeros(GROUPS * CLASSES))).double()
        run = simulate_coupled(members, start, grid, paths, seed, observe=observe, save=[1.0, grid.T])
        for label, moments in zip(("one step", "end"), run.moments, strict=True):
            result[f"{name}, {label}"] = moments.mean
            result[f"{name}, {label}, error"] = np.sqrt(np.diag(moments.covariance))
    return result


ROWS = (
    Row(
        NotApplicable(),
        dict.fromkeys(NotApplicable.cases, Outcome.HYPOTHESIS_FAILS),
        repetitions=5,
        repetition_scale=0.5,
    ),
    Row(CategoricalLatents(), dict.fromkeys(CategoricalLatents.cases, Outcome.HYPOTHESIS_FAILS), repetitions=5),
)
