"""One verdict from the verdicts of several cells."""

from collections.abc import Sequence

import numpy as np

from ..exceptions import InvalidArgument
from ..validation import real
from ..verdict import Outcome
from .evidence import threshold


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values, in the order given.

    With p_(1) <= … <= p_(k),  p̃_(i) = max_{j <= i} min(1, (k − j + 1) p_(j)). To reject all with p̃ <= α rejects a true
    hypothesis with probability at most α, however the p-values depend on each other. An anytime-valid p-value, such as
    `Comparison.p_violated`, may be used as it stands, whenever each cell was stopped.

    Args:
        p_values: one for each cell.

    Raises:
        InvalidArgument: there is none, or one is not in [0, 1].

    Source:
        Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        (0.03, 0.06, 0.06)
    """
    p = np.array([real("p_values", value) for value in p_values])
    if not p.size or p.min() < 0.0 or p.max() > 1.0:
        raise InvalidArgument(f"p_values must be numbers in [0, 1], at least one, got {tuple(p_values)!r}.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return tuple(float(value) for value in adjusted)


def family(outcomes: Sequence[Outcome], p_violated: Sequence[float], alpha: float) -> Outcome:
    """Judge a claim over several cells: violated if one cell is, after Holm; else it holds if all cells hold.

    Both wrong answers have at most the probability that the cells allow: "violated" alpha, by Holm; "holds" that of a
    single cell, because a claim that is false is false in some cell, and that cell must hold too (intersection-union).

    Args:
        outcomes: outcome of each cell. One whose hypotheses fail or whose numbers failed decides the claim, so.
        p_violated: p-value of each against "D <= B"; 1 for a cell that cannot be violated.
        alpha: probability of a false "violated" over all cells together.

    Returns:
        hypothesis fails or numerical failure, where a cell has it (in this order); violated; holds; or inconclusive: a
        cell that is violated by itself but not after Holm is inconclusive.

    Raises:
        InvalidArgument: the numbers of outcomes and p-values differ, or one is out of its range.

    Warning:
        A cell that stops as soon as it is violated by itself has a p-value just below its own level, which k cells
        then multiply by up to k: give each the level 1 − 2 alpha / k to have them stop late enough.

    Example:
        >>> family([Outcome.HOLDS, Outcome.VIOLATED], [1.0, 0.001], 0.05).value
        'violated'
    """
    threshold(alpha)
    if len(outcomes) != len(p_violated):
        raise InvalidArgument(f"p_violated must have one value for each outcome, got {len(p_violated)}.")
    adjusted = holm(p_violated)
    for failure in (Outcome.HYPOTHESIS_FAILS, Outcome.NUMERICAL_FAILURE):
        if failure in outcomes:
            return failure
    if any(p <= alpha for p in adjusted):
        return Outcome.VIOLATED
    return Outcome.HOLDS if all(outcome is Outcome.HOLDS for outcome in outcomes) else Outcome.INCONCLUSIVE
