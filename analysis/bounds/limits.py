"""Limits on what the claims about bounds estimate."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdewm.stats import Limits, compare_mean

Array = NDArray[np.float64]


def mean_limits(
    values: Array,
    miss: float,
    *,
    largest: float | None = None,
    variance: float | None = None,
    second_moment: float | None = None,
) -> Limits:
    """Two-sided limits on the mean of Z >= 0, by betting from below and as certified as may be from above.

    Args:
        values: Z on independent paths, (n,).
        miss: probability that the mean is not between them.
        largest, variance, second_moment: what is certified of Z; with none of them the upper limit is asymptotic.
    """
    known: dict[str, Any] = {"largest": largest, "variance": variance, "second_moment": second_moment}
    found = compare_mean([values], at_least=0.0, level=1.0 - miss, sequential=False, **known)
    return Limits(found.lower, found.upper, miss, found.upper_grade)


def ends(limits: Limits) -> tuple[float, float]:
    """Both limits, as they are recorded."""
    return limits.lower, limits.upper
