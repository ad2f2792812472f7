"""Verdicts on paired differences: one number a seed, two arms that differ in one thing only."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..exceptions import InvalidArgument
from ..validation import level as check_level
from ..validation import real
from ..verdict import Verdict
from .decide import Interval, decide

Values = Sequence[float] | NDArray[np.float64]


def student_interval(values: Values, level: float = 0.95) -> Interval:
    """Student's interval for the mean of independent numbers, exact where they are normal.

    Raises:
        InvalidArgument: there are fewer than two numbers, or one is not finite.

    Example:
        >>> low, high = student_interval([1.0, 2.0, 3.0])
        >>> round(low, 3), round(high, 3)
        (-0.484, 4.484)
    """
    from scipy.special import stdtrit  # here, so that importing the package stays quick

    x = _checked(values)
    half = float(stdtrit(len(x) - 1, 0.5 + check_level(level) / 2.0)) * x.std(ddof=1) / math.sqrt(len(x))
    return float(x.mean() - half), float(x.mean() + half)


def detectable(values: Values, level: float = 0.95, power: float = 0.8) -> float:
    """How far the mean must lie from a border for this many numbers of this spread to tell, with this power.

    (t_{1−α/2} + t_power) s/√n, the usual approximation to the noncentral law.

    Raises:
        InvalidArgument: as for `student_interval`, or power does not lie in (.5, 1).

    Example:
        >>> round(detectable([-1.0, 1.0] * 5), 2)
        1.05
    """
    from scipy.special import stdtrit

    x = _checked(values)
    if not 0.5 < real("power", power) < 1.0:
        raise InvalidArgument(f"power must lie above .5 and below 1, got {power!r}.")
    quantiles = stdtrit(len(x) - 1, np.array([0.5 + check_level(level) / 2.0, power]))
    return float(quantiles.sum() * x.std(ddof=1) / math.sqrt(len(x)))


def paired(
    differences: Values, allowed: Interval, level: float = 0.95, *, what: str, unit: str = "", each: str = "pairs"
) -> Verdict:
    """Judge whether the mean of paired differences lies in `allowed`, by Student's interval.

    Holds if the interval lies inside, violated if it lies outside, else inconclusive. Its reason says how large an
    effect this many pairs could have told from the nearest border.

    Args:
        differences: one number a pair.
        allowed: an interval; a border is the smallest effect that matters, and may be infinite.
        level: confidence level.
        what: what was measured, in words.
        unit: of the differences, for the reason.
        each: what there is one number of, for the reason: single numbers are judged like differences.

    Raises:
        InvalidArgument: there are fewer than two pairs, a difference is not finite, or `allowed` is no interval.

    Warning:
        That pairs are independent is not checked, and neither is normality: for few pairs one that lies far off widens
        the interval, and rarely misleads it.

    Example:
        >>> paired([-0.3, -0.25, -0.35, -0.3], (-float("inf"), -0.1), what="change").outcome.value
        'holds'
    """
    low_border, high_border = (float(border) for border in allowed)
    if not low_border < high_border:
        raise InvalidArgument(f"allowed must be an interval (low, high) with low < high, got {allowed!r}.")
    x = _checked(differences)
    low, high = student_interval(x, level)
    suffix = f" {unit}" if unit else ""
    reason = (
        f"{what} is {x.mean():.3g} [{low:.3g}, {high:.3g}]{suffix} over {len(x)} {each}, allowed [{low_border:.3g}, "
        f"{high_border:.3g}]; {detectable(x, level):.2g} from a border would be told with power .8"
    )
    return decide(
        reason,
        min(low - low_border, high_border - high),
        max(low_border - high, low - high_border),
        interval=(low, high),
        allowed=(low_border, high_border),
        level=level,
    )


def _checked(values: Values) -> NDArray[np.float64]:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < 2:
        raise InvalidArgument(f"values must be at least two numbers, one a pair, got shape {x.shape}.")
    if not np.isfinite(x).all():
        raise InvalidArgument(f"values must be finite, but number {int((~np.isfinite(x)).argmax())} is not.")
    return x
