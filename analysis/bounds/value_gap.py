"""B8: from the error of a model to the error of its values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from sdewm.claims import Cell, Claim, Result, Row
from sdewm.constant import Certified
from sdewm.exceptions import HypothesisFails
from sdewm.hypothesis import Hypothesis, Status
from sdewm.run import Record
from sdewm.theory.bounds import ValueGap
from sdewm.verdict import Grade, Outcome, Verdict

from ..expansion.refused import refused_in
from ..kit import certified, only

Array = NDArray[np.float64]

ROUNDING = 1e-9
DISCOUNTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
CONTRACTING, EXPANDING = 0.8, 1.05
# What the affine loops have: L_r, d, δ and ε_r.
SLOPE, MODEL, START, REWARD = 1.5, 0.2, 0.3, 0.1


@final
@dataclass(frozen=True)
class Values(Claim):
    """The control counts the model error once, without the 1/(1 − γ) of all later steps; with γκ ≥ 1 it has κ = 0.8."""

    swapped: bool = False

    id = "B8"
    title = "The gap of values is within its bound, which is attained"
    statement = (
        "The values of a policy in two models differ by at most ε_r/(1 − γ) + L_r δ/(1 − γκ) + L_r γ d/((1 − γ)(1 − "
        "γκ)) if γκ < 1, and its action values at a common action by the last term, where rewards and initial latents "
        "agree. The affine loop attains the bound, to 1e-9."
    )
    cases = (
        "affine loop, all three errors",
        "finite chains",
        "finite chains, action values",
        "affine loop, γκ ≥ 1",
    )
    source = "Asadi, Misra, Littman 2018, theorem 2, with reward and initial error"
    formula = (
        r"|V-\hat V|\le\frac{\varepsilon_r}{1-\gamma}+\frac{L_r\,\delta}{1-\gamma\kappa}"
        r"+\frac{L_r\,\gamma\,d}{(1-\gamma)(1-\gamma\kappa)},\quad\gamma\kappa<1"
    )
    note = (
        "γ discount, κ Lipschitz constant of the closed loop in W₁, L_r of the reward, d largest W₁ distance of one "
        "step, δ initial and ε_r reward error. Finite chains on a line have exact values (linear equations) and exact "
        "constants (distribution functions of neighbours), so that nothing is sampled but the chains themselves."
    )

    def hypotheses(self, case: str) -> Sequence[Hypothesis]:
        expands = case.endswith("≥ 1") and not self.swapped
        fails = Hypothesis("γκ < 1", Status.FAILS, "κ = 1.05 and γ = 0.96 are given", declared=True)
        chain = "exact, from the distribution functions of neighbouring states"
        exact = chain if case.startswith("finite") else "the affine loop's own slope"
        return (fails if expands else certified("γκ < 1", exact), certified("Lipschitz reward and transition", exact))

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        settings: dict[str, Any] = {"case": case, "once": self.swapped and not case.endswith("≥ 1")}
        if case.startswith("finite"):
            settings |= {"chains": 100, "states": 21, "discounts": [0.8, 0.9, 0.95]}
        elif case.endswith("≥ 1"):
            discounts = [g for g in DISCOUNTS if g * EXPANDING < 1.0] if drawn else []
            kappa = CONTRACTING if self.swapped else EXPANDING
            settings |= {"kappa": kappa, "discounts": [0.96], "drawn discounts": discounts}
        else:
            settings |= {"kappa": CONTRACTING, "discounts": list(DISCOUNTS), "drawn discounts": []}
        return [Cell(self.id, settings, seed, cost=0.2)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        if s["case"].startswith("finite"):
            return Result({}, _chains(cell.seed, s))
        shown = s["drawn discounts"]
        line = np.linspace(0.0, 0.999 * min(0.97, 1.0 / s["kappa"]), 200)
        arrays = {"line discount": line, "line bound": _bounds(s["kappa"], line.tolist(), False)}
        if shown:
            arrays |= {"drawn gap": _gaps(s["kappa"], shown), "drawn bound": _bounds(s["kappa"], shown, False)}
        try:
            bounds = _bounds(s["kappa"], s["discounts"], s["once"])
        except HypothesisFails as failure:
            return Result({"hypothesis": str(failure).rstrip("."), "declared": failure.declared}, arrays)
        return Result({}, {**arrays, "gap": _gaps(s["kappa"], s["discounts"]), "bound": bounds})

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        refused = refused_in(record)
        if refused is not None:
            return refused
        ratio = record.arrays["gap"] / record.arrays["bound"]
        low, high = float(ratio.min()), float(ratio.max())
        # Only the affine loop is meant to attain it.
        floor = 0.0 if case.startswith("finite") else 1.0 - ROUNDING
        allowed = (floor, 1.0 + ROUNDING)
        words = "at most one" if floor == 0.0 else "one, that is attained"
        reason = f"gap / bound is between {low:.6g} and {high:.6g} in {ratio.size} problems, allowed is {words}"
        margin = min(low - floor, allowed[1] - high)
        outcome = Outcome.HOLDS if margin >= 0.0 else Outcome.VIOLATED
        # Values by summation or linear equations, constants in closed form: nothing is sampled.
        return Verdict(outcome, Grade.CERTIFIED, reason, (low, high), allowed, abs(margin))

    def control(self) -> "Values":
        """A bound that forgets the later steps, or a contracting loop."""
        return replace(self, swapped=not self.swapped)


def _bound(gap: ValueGap, once: bool) -> float:
    reward, start, model = gap.terms
    return reward + start + model * (1.0 - gap.discount if once else 1.0)


def _bounds(kappa: float, discounts: Sequence[float], once: bool) -> Array:
    exact = Certified(kappa, "slope of an affine loop", attained=kappa)
    return np.array([_bound(ValueGap(g, SLOPE, exact, MODEL, START, REWARD), once) for g in discounts])


def _gaps(kappa: float, discounts: Sequence[float]) -> Array:
    """V^ε − V of z' = κz (+ d) from 0.4 (+ δ) with reward L_r z (+ ε_r), by summation until nothing is added."""
    gaps = []
    for discount in discounts:
        base, other, weight, gap, added = 0.4, 0.4 + START, 1.0, 0.0, 1.0
        while added > 1e-16 * max(gap, 1.0):
            added = weight * (SLOPE * (other - base) + REWARD)
            gap, weight = gap + added, weight * discount
            base, other = kappa * base, kappa * other + MODEL
        gaps.append(gap)
    return np.array(gaps)


def _chains(seed: int, s: Any) -> dict[str, Array]:
    """Gap and bound of random chains on a line: bumps of random width, shifted, with reward and initial errors in half.

    For action values two actions shift the state to either side, and the chance of each depends on the state.
    """
    rng, points = np.random.default_rng(seed), np.linspace(-1.0, 1.0, s["states"])
    action_values = s["case"].endswith("action values")
    gaps: list[float] = []
    bounds: list[float] = []
    used: list[float] = []
    while len(gaps) < s["chains"]:
        discount = float(rng.choice(s["discounts"]))
        width, centre = rng.uniform(0.02, 0.1), rng.uniform(0.0, 0.7) * points + rng.uniform(-0.1, 0.1)
        shifts = (-0.1, 0.1) if action_values else (0.0,)
        error = rng.uniform(-0.15, 0.15)
        p = np.stack([_bump(points, centre + shift, width) for shift in shifts])
        q = np.stack([_bump(points, centre + shift + error, width) for shift in shifts])
        chance = 0.5 + 0.1 * rng.uniform() * points if action_values else np.ones_like(points)
        policy = np.stack((chance, 1.0 - chance)) if action_values else chance[None]
        reward, off = np.sin(rng.uniform(0.5, 2.0) * points), 0.01 * rng.uniform(-1.0, 1.0, len(points))
        off, start = (np.zeros_like(off), 0) if action_values or rng.uniform() < 0.5 else (off, 1)
        closed, other = (np.einsum("ax,axy->xy", policy, m) for m in (p, q))
        space = points[1] - points[0]
        kappa = float((_w1(closed[1:], closed[:-1], space) / space).max())
        if discount * kappa >= 1.0:
            continue
        slope, d = float((np.abs(np.diff(reward)) / space).max()), float(_w1(p, q, space).max())
        v, v_eps = (
            np.linalg.solve(np.eye(len(points)) - discount * m, r) for m, r in ((closed, reward), (other, reward + off))
        )
        if action_values:
            gap = float(np.abs(discount * (q @ v_eps - p @ v)).max())
        else:
            gap = float(np.abs(v_eps[start:] - v[: len(v) - start]).max())
        problem = ValueGap(discount, slope, kappa, d, start * space, float(np.abs(off).max()))
        gaps.append(gap)
        bounds.append(_bound(problem, s["once"]))
        used.append(discount)
    return {"gap": np.array(gaps), "bound": np.array(bounds), "discount": np.array(used)}


def _bump(points: Array, centre: Array, width: float) -> Array:
    """Transition probabilities (states, states): normal weights around each centre."""
    weights = np.exp(-((points - centre[:, None]) ** 2) / (2.0 * width))
    return np.asarray(weights / weights.sum(1, keepdims=True))


def _w1(p: Array, q: Array, space: float) -> Array:
    """W₁ of rows of probabilities on a line with this spacing: the area between their distribution functions."""
    return np.asarray(np.abs(np.cumsum(p - q, -1)[..., :-1]).sum(-1) * space)


ROW = Row(
    Values(),
    {case: Outcome.HYPOTHESIS_FAILS if case.endswith("≥ 1") else Outcome.HOLDS for case in Values.cases},
    repetitions=5,
)
