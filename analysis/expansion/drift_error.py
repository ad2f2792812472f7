"""X14: errors with a drift."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from sdewm import RepresentationError, TimeGrid, perturb, simulate_coupled, tame
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.drifts import DoubleWell
from sdewm.estimate import Moments
from sdewm.hypothesis import Hypothesis
from sdewm.run import Record
from sdewm.stats import order_at_least
from sdewm.theory.effect import TAMED, effect_problem
from sdewm.theory.remainder import measure_remainders
from sdewm.verdict import Outcome, Verdict

from ..kit import (
    PAPER,
    bend,
    flagged,
    of_expansion,
    only,
    remainder_result,
    remainders_of,
    square,
    terms_named,
    tilted,
    wave,
)

SIZES = (0.0125, 0.025, 0.05, 0.1)
FULL, BARE = "ito", "without mixed and quadratic"
CASES = {"the full formula": FULL, "without ½(Φξ̃)ᵀ∇²ℓ(Φξ̃) and Dσ y₁": BARE}
MIRROR = "R(σ) + R(−σ) = O(ε²)"


@final
@dataclass(frozen=True)
class DriftError(Claim):
    """The controls: the bare formula for the full one and the other way round; and a diffusion error that stays."""

    swapped: bool = False

    id = "X14"
    title = "The formula for errors with a drift is right, whole and bare"
    statement = (
        "For an error with a drift: the formula is right to second order (the missing coefficients of ε and ε² are "
        "within 5 % of the path-wise size of its own); and R(σ) + R(−σ) is of second order in ε."
    )
    cases = (*CASES, MIRROR)
    source = PAPER
    formula = (
        r"R(\sigma)=\varepsilon P+\varepsilon^2\left(Q+\tfrac12S\right)+O(\varepsilon^3)"
        "\n"
        r"R(\sigma)+R(-\sigma)=O(\varepsilon^2)"
    )
    note = (
        "The bare formula is the paper's for non-zero drift as reconstructed. Not affected: its first order, and "
        "affine losses under a state-independent σ, where both terms vanish. The third case says that a drift error is "
        "a bias and not a penalty: what it adds in first order, its mirror image takes away."
    )

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        loss = tilted if case == MIRROR else square
        return of_expansion(DoubleWell(), RepresentationError(drift=bend), loss, 0.6, 1.0, 16)

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        paths = max(int((32_768 if case == MIRROR else 8192) * scale), 1024)
        settings: dict[str, Any] = {"T": 1.0, "steps": 16, "sizes": list(SIZES), "paths": paths}
        if case == MIRROR:
            settings["mirror"] = "with a diffusion error" if self.swapped else "drift only"
        return [Cell(self.id, settings, seed, cost=0.2 * scale)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        grid, error = TimeGrid(s["T"], s["steps"]), RepresentationError(drift=bend)
        if "mirror" in s:
            diffusion = wave if s["mirror"] == "with a diffusion error" else None
            return self._mirror(replace(error, diffusion=diffusion), grid, s, cell.seed)
        problem = effect_problem(DoubleWell(), error, square, 0.6, grid, s["paths"], cell.seed, extrapolate=False)
        forms = {name: terms_named(name) for name in (FULL, BARE)}
        return remainder_result(measure_remainders(problem, forms, s["sizes"], without_s=(BARE,)), problem.flags)

    def _mirror(self, error: RepresentationError, grid: TimeGrid, s: Mapping[str, Any], seed: int) -> Result:
        drift = error.drift
        assert drift is not None
        mirrored = replace(error, drift=lambda t, x: -drift(t, x))
        system = tame(DoubleWell(), grid)
        members: dict[str, Any] = {"base": system}
        for eps in s["sizes"]:
            members |= {f"+{eps:g}": perturb(system, error, eps), f"-{eps:g}": perturb(system, mirrored, eps)}

        def observe(states: Mapping[str, Any]) -> Tensor:
            here = tilted(states["base"])
            sums = [tilted(states[f"+{eps:g}"]) + tilted(states[f"-{eps:g}"]) - 2.0 * here for eps in s["sizes"]]
            return torch.stack([*sums, *(tilted(states[f"+{eps:g}"]) - here for eps in s["sizes"])], 1)

        run = simulate_coupled(members, 0.6, grid, s["paths"], seed, observe=observe)
        return Result({"flags": [TAMED]}, run.moments[0].to_arrays())

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        if case == MIRROR:
            sums = Moments.from_arrays(record.arrays).estimates()[: len(SIZES)]
            return flagged(order_at_least(sums, SIZES, 1.5, what="the order of R(σ) + R(−σ)"), record)
        form = CASES[case]
        if self.swapped:
            form = BARE if form == FULL else FULL
        return flagged(remainders_of(record).verdict(form), record)

    def control(self) -> "DriftError":
        """Formulas exchanged; a diffusion error beside the drift."""
        return replace(self, swapped=not self.swapped)


ROW = Row(
    DriftError(),
    {"the full formula": Outcome.HOLDS, "without ½(Φξ̃)ᵀ∇²ℓ(Φξ̃) and Dσ y₁": Outcome.VIOLATED, MIRROR: Outcome.HOLDS},
    repetitions=12,
)
