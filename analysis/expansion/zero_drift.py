"""X7 and X8: does a zero-drift error act in first order, and how does its correlation enter?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from sdewm import RepresentationError, TimeGrid, Variations, perturb, simulate_coupled, tame
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.drifts import DoubleWell
from sdewm.dynamics.derivatives import curve_derivatives
from sdewm.estimate import Estimate
from sdewm.hypothesis import Hypothesis
from sdewm.run import Record
from sdewm.stats import all_of, negligible
from sdewm.theory.effect import TAMED
from sdewm.verdict import Outcome, Verdict

from ..kit import PAPER, at_least_paths, flagged, moments_of, of_expansion, only, tilted, wave

COST = 300_000.0


@final
@dataclass(frozen=True)
class ZeroDrift(Claim):
    """X7 in the 2 × 2 design of noise (shared, independent) and base (random, deterministic), on the double well.

    The control breaks what the statement rests on: it gives the error a drift where P = 0 is expected to be true, and
    makes the noise independent where it is not.
    """

    broken: bool = False

    id = "X7"
    title = "A zero-drift error has no first-order effect"
    statement = (
        "A zero-drift representation error has no first-order effect on the loss: P = 0, to within 5 % of the "
        "path-wise root mean square of ∇ℓᵀy₁."
    )
    cases = (
        "shared noise, random base",
        "shared noise, deterministic base",
        "independent noise, random base",
        "independent noise, deterministic base",
    )
    source = PAPER
    formula = r"\sigma=0\;\Longrightarrow\;P=\mathbb{E}\,\nabla\ell(x_t)^\top y_1(t)=0"
    note = (
        "The statement is the paper's as reconstructed. Not affected, as the other three cases show: independent "
        "noise, and bases without noise."
    )
    sizes = (0.02, 0.05, 0.1, 0.2, 0.4)

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        # The sizes are for the figure; the judge needs the variation only.
        settings = {"x0": 0.6, "T": 1.0, "steps": 32, "sizes": list(self.sizes) if drawn else []}
        paths = at_least_paths(65_536 * scale, 1024)
        premise = {"case": case, "broken": self.broken, "paths": paths}
        return [Cell(self.id, {**settings, **premise}, seed, algorithm=2, cost=paths / COST)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        grid = TimeGrid(s["T"], s["steps"])
        base, error = self._setup(s["case"], s["broken"])
        system = tame(base, grid)
        members = {"varied": Variations(system, error, order=1)}
        members |= {f"{eps:g}": perturb(system, error, eps) for eps in s["sizes"]}

        def observe(states: Mapping[str, Any]) -> Tensor:
            x, y1, _ = states["varied"]
            here = tilted(x)
            _, p, _ = curve_derivatives(lambda e: tilted(x + e * y1), here, order=1)
            return torch.stack([p, *(tilted(states[f"{eps:g}"]) - here for eps in s["sizes"]), p.square()], 1)

        run = simulate_coupled(members, s["x0"], grid, s["paths"], cell.seed, observe=observe)
        return Result({"flags": [TAMED]}, run.moments[0].to_arrays())

    def _setup(self, case: str, broken: bool) -> tuple[DoubleWell, RepresentationError]:
        shared, random = case.startswith("shared"), case.endswith("random base")
        # Sharing a Brownian motion that the base does not use is sharing nothing, so only one case loses it here.
        affected = shared and random
        error = RepresentationError(
            drift=wave if broken and not affected else None,
            diffusion=wave,
            correlation="independent" if not shared or (broken and affected) else "shared",
        )
        return DoubleWell() if random else DoubleWell(noise=0.0, modulation=0.0), error

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        return of_expansion(*self._setup(case, self.broken), tilted, 0.6, 1.0, 32)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        first, *_, square = moments_of(records).estimates()
        return flagged(negligible(first, square, root=True, what="P"), only(records))

    def control(self) -> "ZeroDrift":
        """The claim with its premise broken."""
        return replace(self, broken=not self.broken)


@final
@dataclass(frozen=True)
class AffineInCorrelation(Claim):
    """X8: the first-order effect at correlation ρ is ρ^power times that at ρ = 1; the control says ρ²."""

    power: int = 1

    id = "X8"
    title = "The first-order effect is affine in the correlation"
    statement = (
        "The first-order effect of a zero-drift error is affine in the correlation ρ of its noise with the base's, and "
        "zero at ρ = 0: the measured odd part of R/ε at ρ = −1, −½, 0, ½ differs from ρ times that at ρ = 1 by less "
        "than 5 % of its path-wise root mean square."
    )
    cases = ("double well, ε = 0.1",)
    source = "P is linear in ρ, by the weak identity"
    formula = r"\sigma=0\;\Longrightarrow\;P(\rho)=\rho\,P(1),\quad-1\le\rho\le1"
    note = "Measured by (R(ε) − R(−ε))/2ε on common paths, without a formula. σ ≡ 0, one ρ for all components."
    correlations = (-1.0, -0.5, 0.0, 0.5, 1.0)

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        return of_expansion(DoubleWell(), RepresentationError(diffusion=wave), tilted, 0.6, 1.0, 32)

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        paths = at_least_paths(65_536 * scale, 1024)
        settings = {"x0": 0.6, "T": 1.0, "steps": 32, "eps": 0.1, "rho": list(self.correlations), "paths": paths}
        return [Cell(self.id, settings, seed, cost=2.0 * paths / COST)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        grid, eps = TimeGrid(s["T"], s["steps"]), s["eps"]
        system = tame(DoubleWell(), grid)
        members: dict[str, Any] = {}
        for rho in s["rho"]:
            error = RepresentationError(diffusion=wave, correlation=rho)
            members[f"+{rho:g}"] = perturb(system, error, eps)
            members[f"-{rho:g}"] = perturb(system, error.scaled(-1.0), eps)

        def observe(states: Mapping[str, Any]) -> Tensor:
            pairs = [(tilted(states[f"+{rho:g}"]), tilted(states[f"-{rho:g}"])) for rho in s["rho"]]
            odd = [(up - down) / (2.0 * eps) for up, down in pairs]
            # Contrasts are columns of their own, so that their tails are seen and not those of their parts.
            contrasts = [part - rho**k * odd[-1] for k in (1, 2) for rho, part in zip(s["rho"], odd, strict=True)]
            return torch.stack([*odd, *contrasts, odd[-1] ** 2], 1)

        run = simulate_coupled(members, s["x0"], grid, s["paths"], cell.seed, observe=observe)
        return Result({"flags": [TAMED]}, run.moments[0].to_arrays())

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        moments = moments_of(records)
        count = len(self.correlations)
        *_, scale = moments.estimates()
        contrasts: Sequence[Estimate] = moments.estimates()[count * self.power : count * (self.power + 1)]
        level = 1.0 - 0.001 / (count - 1)
        judged = {
            f"ρ = {rho:g}": negligible(c, scale, level=level, root=True, what=f"P(ρ) − ρ^{self.power} P(1)")
            for rho, c in zip(self.correlations[:-1], contrasts, strict=False)
        }
        return flagged(all_of(judged), only(records))

    def control(self) -> "AffineInCorrelation":
        """The claim that it is quadratic."""
        return replace(self, power=3 - self.power)


ROWS = (
    Row(
        ZeroDrift(),
        {
            "shared noise, random base": Outcome.VIOLATED,
            "shared noise, deterministic base": Outcome.HOLDS,
            "independent noise, random base": Outcome.HOLDS,
            "independent noise, deterministic base": Outcome.HOLDS,
        },
        repetitions=12,
    ),
    Row(AffineInCorrelation(), dict.fromkeys(AffineInCorrelation.cases, Outcome.HOLDS), repetitions=12),
)
