"""B4: a weight for the state, in which a non-normal drift contracts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import numpy as np
import torch

from sdewm import TimeGrid
from sdewm.claims import Cell, Claim, Result, Row
from sdewm.drifts import Linear
from sdewm.run import Record
from sdewm.stats import all_of
from sdewm.theory.bounds import LogNorm, Setting
from sdewm.theory.bounds import Weighted as WeightedBound
from sdewm.theory.constants import Weight, certified_constants, certify_weight, hull_of, search_weight
from sdewm.verdict import Grade, Outcome, Verdict

from ..kit import certified, only
from .tightness import (
    BOTH,
    INITIAL,
    LOG_NORM,
    S1,
    WEIGHTED,
    Array,
    Rule,
    beside,
    cell,
    error_constants,
    judged,
    non_normal,
    weighted_constants,
    weighted_curve,
)

SOME_WEIGHT, ABOVE = "S1: some weight has ν < 0", "S1: its bound holds for t = 1, …, 8"
BOUNDED, NEVER_WORSE = "S1: its bound stays bounded, the log-norm bound does not", "random matrices: never worse"
FOREIGN = "weight of another system"
TIMES = tuple(float(t) for t in range(1, 9))
# Growth in the last unit of time: of a bound that decays or has settled, and of one that grows for ever.
SETTLED, GROWING, ROUNDING = 1.1, 10.0, 1e-9


@final
@dataclass(frozen=True)
class WeightedBoundHolds(Claim):
    """The control takes the weight I; one certified for a weaker coupling; the log-norm bound; and no weight I."""

    swapped: bool = False

    id = "B4"
    title = "A weighted norm bounds errors where the log-norm cannot"
    statement = (
        "For S1, dx = [[−1, 10], [0, −1.5]] x dt + 0.3 x dB¹ + 0.5 e₂ dB² with 2μ + Λ² > 0, some weight M has MA + AᵀM "
        "+ ΣGᵀMG ⪯ 2νM with ν < 0; the least of the bounds of a few weights is above the error at t = 1, …, 8, and "
        "from 7 to 8 it grows by less than 10 %, the log-norm bound more than tenfold. On random matrices the least of "
        "the bounds of I and of a weight that was searched for is never above the log-norm bound."
    )
    cases = (SOME_WEIGHT, ABOVE, BOUNDED, NEVER_WORSE)
    source = "the weighted log-norm, Söderlind, BIT 2006; with diffusion, and for Euler steps, derived in sdewm"
    formula = r"MA+A^\top M+\sum_kG_k^\top MG_k\preceq2\nu M,\quad\nu<0<2\mu+\Lambda^2"
    assumes = (
        certified("linear system", "constant matrices, by construction"),
        certified("ν of a weight", "the largest eigenvalue, rounding included"),
    )
    note = (
        "ν is certified, rounding included. A weight costs the square root of its condition number at the start, so "
        "that I is best for short times, and ν decides for long ones. Weights: one from a search for a small ν, and "
        "M + aI with smaller condition numbers. The control of the second case takes a weight and its ν certified for "
        "[[−1, 1], [0, −1.5]]."
    )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        if case == NEVER_WORSE:
            settings = {"dimensions": [2, 3, 5], "each": 4 if drawn else 1, "T": 4.0, "steps": 64}
            return [Cell("B4 random matrices", settings, seed, cost=1.5)]
        rules = (FOREIGN,) if self.swapped and case == ABOVE else (LOG_NORM, WEIGHTED)
        return [replace(cell(S1, (INITIAL, BOTH), rules, scale, seed, T=8.0, judged=TIMES, paths=8192), work="B4")]

    def compute(self, cell: Cell) -> Result:
        if "each" in cell.settings:
            return Result({}, _random_matrices(cell))
        found = beside(cell, _foreign)
        hull = hull_of(non_normal())
        constants = certified_constants(non_normal())
        rate = 2.0 * constants["mu"].value + constants["diffusion"].value ** 2
        values = {"nu of I": certify_weight(np.eye(hull.dim), hull).nu.value, "log-norm rate": rate}
        return Result({**found.values, **values}, found.arrays)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        record = only(records)
        if case == SOME_WEIGHT:
            return self._rate(record)
        if case == ABOVE:
            rule = FOREIGN if self.swapped else WEIGHTED
            chosen = all_of({**judged(record, INITIAL, rule), **judged(record, BOTH, rule)})
            return replace(chosen, flags=())
        if case == BOUNDED:
            return self._growth(record)
        return self._never_worse(record)

    def control(self) -> "WeightedBoundHolds":
        """Another weight, or none."""
        return replace(self, swapped=not self.swapped)

    def _rate(self, record: Record) -> Verdict:
        v = record.values
        nu = float(v["nu of I"] if self.swapped else v["nu"])
        weight = "I" if self.swapped else f"a weight of condition {v['condition']:.3g}"
        reason = f"ν is {nu:.4g} for {weight}, and 2μ + Λ² is {v['log-norm rate']:.4g}"
        # The certified ν is the statement's own number: it is negative, or this weight does not show it.
        outcome = Outcome.HOLDS if nu < 0.0 else Outcome.VIOLATED
        return Verdict(outcome, Grade.CERTIFIED, reason, (nu, nu), (-math.inf, 0.0), abs(nu))

    def _growth(self, record: Record) -> Verdict:
        times, ratios = record.arrays["times"], {}
        first, last = (int(np.argmin(np.abs(times - t))) for t in (TIMES[-2], TIMES[-1]))
        for rule in (LOG_NORM, WEIGHTED):
            curves = [record.arrays[f"{error}, {rule}"][1] for error in (INITIAL, BOTH)]
            ratios[rule] = [float(curve[last] / curve[first]) for curve in curves]
        settled, growing = (LOG_NORM, WEIGHTED) if self.swapped else (WEIGHTED, LOG_NORM)
        most, least = max(ratios[settled]), min(ratios[growing])
        reason = (
            f"from t = 7 to 8 the {settled} bound is multiplied by at most {most:.3g}, allowed {SETTLED:g}, and the "
            f"{growing} bound by at least {least:.3g}, asked for {GROWING:g}"
        )
        outcome = Outcome.HOLDS if most <= SETTLED and least >= GROWING else Outcome.VIOLATED
        # Curves of certified constants: nothing is sampled.
        return Verdict(outcome, Grade.CERTIFIED, reason, (most, most), (0.0, SETTLED), abs(SETTLED - most))

    def _never_worse(self, record: Record) -> Verdict:
        identity, searched, log_norm = record.arrays["curves"].swapaxes(0, 1)
        least = searched if self.swapped else np.minimum(identity, searched)
        ratio = least[:, 1:] / log_norm[:, 1:]
        worst, better = float(ratio.max()), int((ratio[:, -1] < 0.9).sum())
        reason = (
            f"least bound / log-norm bound is at most {worst:.8g} on {len(ratio)} matrices, and at the end below 0.9 "
            f"on {better} of them"
        )
        outcome = Outcome.HOLDS if worst <= 1.0 + ROUNDING else Outcome.VIOLATED
        # Solved to ten digits; nothing is sampled but the matrices.
        interval, allowed = (worst, worst), (0.0, 1.0 + ROUNDING)
        return Verdict(outcome, Grade.CERTIFIED, reason, interval, allowed, abs(allowed[1] - worst))


def _foreign(sigma: Array, sigma_bar: Array) -> Mapping[str, Rule]:
    """The bound by a weight that was certified for another coupling."""
    weight = search_weight(hull_of(non_normal(1.0)), iterations=20)
    return {FOREIGN: Rule((), partial(_by_weight, weight, sigma, sigma_bar))}


def _by_weight(weight: Weight, sigma: Array, sigma_bar: Array, _: Mapping[str, float], setting: Setting) -> Array:
    return weighted_curve(weight, sigma, sigma_bar, setting)


def _random_matrices(cell: Cell) -> dict[str, Any]:
    """Bounds of the equation for random linear systems and errors: of I, of a weight, and by the log-norm.

    Returns:
        "curves", (matrices, three bounds, steps + 1), and "nu" and "condition" of the weights.
    """
    s, rng = cell.settings, np.random.default_rng(cell.seed)
    grid, curves, weights = TimeGrid(s["T"], s["steps"]), [], []
    for n in s["dimensions"]:
        for _ in range(s["each"]):
            drift = rng.standard_normal((n, n)) - rng.uniform(0.5, 2.5) * np.eye(n)
            columns = 0.3 * rng.standard_normal((2, n, n)) / math.sqrt(n)
            system = Linear(torch.from_numpy(drift), torch.from_numpy(columns))
            sigma, sigma_bar, e0 = rng.standard_normal(n), rng.standard_normal((n, 2)), rng.standard_normal(n)
            moment = tuple(map(tuple, np.outer(e0, e0).tolist()))
            setting = Setting(grid, 0.05, float(np.linalg.norm(e0)), dim=n, initial_moment=moment)
            hull = hull_of(system)
            searched = search_weight(hull, iterations=8)
            own = {**certified_constants(system), **error_constants(sigma, sigma_bar)}
            log_norm = LogNorm().continuous({name: float(c) for name, c in own.items()}, setting)
            both = [
                WeightedBound(w.matrix).continuous(
                    {name: float(c) for name, c in weighted_constants(w, sigma, sigma_bar).items()}, setting
                )
                for w in (certify_weight(np.eye(n), hull), searched)
            ]
            curves.append(np.stack((*both, log_norm)))
            weights.append((searched.nu.value, searched.condition))
    return {"curves": np.stack(curves), "nu": np.array(weights)[:, 0], "condition": np.array(weights)[:, 1]}


ROW = Row(WeightedBoundHolds(), dict.fromkeys(WeightedBoundHolds.cases, Outcome.HOLDS), repetitions=5)
