"""S1, S2 and S3: is the effect of an error on a convex loss positive?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from sdewm import LatentSDE, RepresentationError, TimeGrid, perturb, simulate_coupled, tame
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.drifts import Cubic, Linear
from sdewm.estimate import Moments
from sdewm.hypothesis import Facts
from sdewm.run import Record
from sdewm.stats import all_of, at_least
from sdewm.theory.effect import TAMED
from sdewm.verdict import Outcome, Verdict

from ..kit import PAPER, at_least_paths, bend, certified, flagged, ones, only, wave

TARGETS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0)


@final
@dataclass(frozen=True)
class AlwaysPositive(Claim):
    """S1 on cubic damping without noise; the control has the affine drift −x, for which the statement is true (R1)."""

    drift: str = "cubic"

    id = "S1"
    title = "A zero-drift error raises every convex loss"
    statement = "A zero-drift error raises every convex loss: R(ε) ≥ 0 for ℓ = ½(x − y)²."
    cases = ("y = −1, ε = 0.1",)
    source = PAPER + ": zero-drift errors add a non-negative regularisation term"
    formula = (
        r"\sigma=0,\;\ell\;\text{convex}\;\Longrightarrow\;R(\varepsilon)=\mathbb{E}\,\ell(x^\varepsilon)"
        r"-\mathbb{E}\,\ell(x^0)\ge0"
    )
    assumes = (
        certified("convex loss", "½(x − y)²"),
        certified("zero drift", "σ = 0, noise independent of the base's, by construction"),
    )
    note = (
        "The statement is the paper's as reconstructed, for all convex losses. Not affected: affine drifts with "
        "independent noise (S2), and interpolation, y = x⁰ (S3). The sign changes where (y − x_t) E y₂ = ½ Var "
        "y₁."
    )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        paths = at_least_paths(32_768 * scale, 1024)
        targets = list(TARGETS) if drawn else [-1.0]
        settings = {"drift": self.drift, "T": 1.0, "steps": 32, "eps": 0.1, "x0": 1.0, "targets": targets}
        return [Cell(self.id, {**settings, "paths": paths}, seed, cost=0.3 * scale)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        grid, eps = TimeGrid(s["T"], s["steps"]), s["eps"]
        system = tame(Cubic(), grid) if s["drift"] == "cubic" else Linear(a=-1.0)
        error = RepresentationError(diffusion=ones, correlation="independent")
        members = {
            "base": system,
            "plus": perturb(system, error, eps),
            "minus": perturb(system, error.mirrored(), eps),
        }

        def observe(states: Mapping[str, Any]) -> Tensor:
            x, up, down = (states[name][:, 0] for name in ("base", "plus", "minus"))
            effects = [0.25 * ((up - y) ** 2 + (down - y) ** 2 - 2.0 * (x - y) ** 2) for y in s["targets"]]
            return torch.stack(effects, 1) / float(eps) ** 2

        run = simulate_coupled(members, s["x0"], grid, s["paths"], cell.seed, observe=observe)
        flags = [TAMED] if s["drift"] == "cubic" else []
        threshold = _threshold(s["drift"], s["x0"], s["T"])
        return Result({"flags": flags, "threshold": threshold}, run.moments[0].to_arrays())

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        effects = Moments.from_arrays(record.arrays).estimates()
        here = effects[list(record.key["settings"]["targets"]).index(-1.0)]
        return flagged(at_least(here, what="R/ε²"), record)

    def control(self) -> "AlwaysPositive":
        """The affine drift."""
        return replace(self, drift="affine" if self.drift == "cubic" else "cubic")


def _threshold(drift: str, x0: float, t: float) -> dict[str, float]:
    """x_t, E y₂ and Var y₁ of the base without noise, from their equations; where the sign changes follows."""

    def equations(_: float, state: Sequence[float]) -> list[float]:
        x, variance, mean = state
        slope, bend = (-3.0 * x**2, -6.0 * x) if drift == "cubic" else (-1.0, 0.0)
        return [-(x**3) if drift == "cubic" else -x, 2.0 * slope * variance + 1.0, slope * mean + 0.5 * bend * variance]

    x, variance, mean = solve_ivp(equations, (0.0, t), [x0, 0.0, 0.0], rtol=1e-10, atol=1e-12).y[:, -1]
    return {"x": float(x), "variance": float(variance), "mean": float(mean)}


@final
@dataclass(frozen=True)
class PositiveCases(Claim):
    """S2: two situations in which Jensen's inequality decides. The control replaces the affine drift by a cubic one."""

    drift: str = "affine"

    id = "S2"
    title = "A zero-drift error raises a convex loss in affine cases"
    statement = (
        "A zero-drift error with independent noise raises every convex loss, R(ε) ≥ 0 at ε = 0.1, 0.4 and 1.6, if (R1) "
        "drift and diffusion of the base are affine, or (R2) the state has one dimension and the drift is affine."
    )
    cases = ("R1: affine base, two dimensions", "R2: any diffusion, one dimension")
    source = (
        "R1: conditional Jensen inequality, given B, x^ε is a mean-preserving spread of x⁰; R2: diffusions with one "
        "affine drift in convex order, Hajek 1985"
    )
    formula = (
        r"\sigma=0,\;\rho=0,\;\ell\;\text{convex}\;\Longrightarrow\;R(\varepsilon)\ge0"
        r"\quad\text{if (R1)}\;g,\bar g\;\text{affine, or (R2)}\;n=1,\;g\;\text{affine}"
    )
    assumes = (
        certified("convex loss", "½|x + 1|²"),
        certified("zero drift", "σ = 0, noise independent of the base's, by construction"),
        certified("affine base", "drift and diffusion in R1, the drift in R2, by construction"),
    )
    note = "The loss is ½|x + 1|². The control's drift −x³ is not affine: from x₀ = 1 it lowers the loss for small ε."
    sizes = (0.1, 0.4, 1.6)

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        paths = at_least_paths(32_768 * scale, 1024)
        settings = {"case": case, "drift": self.drift, "T": 1.0, "steps": 32, "sizes": list(self.sizes), "x0": 1.0}
        return [Cell(self.id, {**settings, "paths": paths}, seed, cost=0.5 * scale)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        grid, flags = TimeGrid(s["T"], s["steps"]), []
        system: Any
        if s["drift"] == "cubic":
            system, flags = tame(Cubic(noise=0.1, dim=2 if s["case"].startswith("R1") else 1), grid), [TAMED]
        elif s["case"].startswith("R1"):
            columns = torch.tensor([[[0.3, 0.1], [0.0, 0.2]], [[0.1, -0.2], [0.3, 0.0]]])
            system = Linear(a=torch.tensor([[-0.5, 0.8], [-0.3, -0.7]]), b=columns, diffusion_offset=0.2)
        else:
            system = Modulated()
        error = RepresentationError(diffusion=ones, correlation="independent")
        members: dict[str, Any] = {"base": system}
        for eps in s["sizes"]:
            members |= {f"+{eps:g}": perturb(system, error, eps), f"-{eps:g}": perturb(system, error.mirrored(), eps)}

        def observe(states: Mapping[str, Any]) -> Tensor:
            here = _convex(states["base"])
            pairs = [(_convex(states[f"+{eps:g}"]), _convex(states[f"-{eps:g}"])) for eps in s["sizes"]]
            return torch.stack([0.5 * (up + down) - here for up, down in pairs], 1)

        run = simulate_coupled(members, s["x0"], grid, s["paths"], cell.seed, observe=observe)
        return Result({"flags": flags}, run.moments[0].to_arrays())

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        level = 1.0 - 0.001 / len(self.sizes)
        effects = Moments.from_arrays(record.arrays).estimates()
        pairs = zip(self.sizes, effects, strict=True)
        judged = {f"ε = {eps:g}": at_least(e, level=level, what="R") for eps, e in pairs}
        return flagged(all_of(judged), record)

    def control(self) -> "PositiveCases":
        """A cubic drift."""
        return replace(self, drift="cubic" if self.drift == "affine" else "affine")


@final
class Modulated(LatentSDE):
    """dx = (0.2 − 0.7 x) dt + (0.5 + 0.4 sin 2x) dB: an affine drift under a diffusion that is not."""

    dim = 1
    drift_facts, diffusion_facts = Facts(), Facts()

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """0.2 − 0.7 x."""
        return 0.2 - 0.7 * x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """0.5 + 0.4 sin 2x."""
        return 0.5 + 0.4 * torch.sin(2.0 * x)


def _convex(x: Tensor) -> Tensor:
    """ℓ(x) = ½|x + 1|²."""
    return 0.5 * (x + 1.0).square().sum(-1)


@final
@dataclass(frozen=True)
class Interpolation(Claim):
    """S3: at interpolation. The control's target is not where the base arrives, but beyond it."""

    residual: float = 0.0

    id = "S3"
    title = "Every error raises a convex loss at interpolation"
    statement = (
        "For a convex loss with ∇ℓ(x⁰_t) = 0 almost surely (interpolation), every error raises the loss, R(ε) ≥ 0, "
        "with any σ, σ̄ and ρ."
    )
    cases = ("zero drift, shared", "zero drift, independent", "drift error, ρ = −0.7")
    source = "convexity: ℓ(x) ≥ ℓ(x⁰) where the gradient is zero"
    formula = r"\nabla\ell(x^0_t)=0\;\text{almost surely},\;\ell\;\text{convex}\;\Longrightarrow\;R(\varepsilon)\ge0"
    assumes = (
        certified("convex loss", "½|x − x⁰_t − r|² with r = 0"),
        certified("interpolation", "the target of each path is where its base arrives"),
    )
    note = (
        "The loss is ½|x − x⁰_t − r|² with residual r = 0 on cubic damping with noise; the control has r = −2, against "
        "the drift error r = 2. Away from interpolation the sign may change."
    )
    residuals = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        paths = at_least_paths(16_384 * scale, 1024)
        settings = {"case": case, "T": 1.0, "steps": 32, "eps": 0.1, "x0": 1.0, "residuals": list(self.residuals)}
        return [Cell(self.id, {**settings, "paths": paths}, seed, cost=0.2 * scale)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        grid, eps = TimeGrid(s["T"], s["steps"]), s["eps"]
        system = tame(Cubic(noise=0.3), grid)
        error = {
            "zero drift, shared": RepresentationError(diffusion=wave),
            "zero drift, independent": RepresentationError(diffusion=wave, correlation="independent"),
            "drift error, ρ = −0.7": RepresentationError(drift=bend, diffusion=wave, correlation=-0.7),
        }[s["case"]]
        mirrored = error.mirrored() if error.independent else error
        members = {"base": system, "up": perturb(system, error, eps), "down": perturb(system, mirrored, eps)}

        def observe(states: Mapping[str, Any]) -> Tensor:
            gaps = [(states[side] - states["base"])[:, 0] for side in ("up", "down")]
            # ½(e − r)² − ½r²: the residual enters through r e alone.
            sides = [torch.stack([0.5 * (e - r) ** 2 - 0.5 * r**2 for r in s["residuals"]], 1) for e in gaps]
            return 0.5 * (sides[0] + sides[1])

        run = simulate_coupled(members, s["x0"], grid, s["paths"], cell.seed, observe=observe)
        return Result({"flags": [TAMED]}, run.moments[0].to_arrays())

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        effects = Moments.from_arrays(record.arrays).estimates()
        # Zero-drift errors move the mean down, where the cubic drift is concave; this drift error moves it up.
        residual = -self.residual if case.startswith("zero drift") else self.residual
        return flagged(at_least(effects[self.residuals.index(residual)], what="R"), record)

    def control(self) -> "Interpolation":
        """A residual of size two."""
        return replace(self, residual=2.0 if self.residual == 0.0 else 0.0)


ROWS = (
    Row(AlwaysPositive(), dict.fromkeys(AlwaysPositive.cases, Outcome.VIOLATED), repetitions=12),
    Row(PositiveCases(), dict.fromkeys(PositiveCases.cases, Outcome.HOLDS), repetitions=12),
    Row(Interpolation(), dict.fromkeys(Interpolation.cases, Outcome.HOLDS), repetitions=12),
)
