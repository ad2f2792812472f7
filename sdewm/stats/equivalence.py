"""Is a quantity zero for all practical purposes, or is it not?"""

from ..estimate import Estimate
from ..exceptions import InvalidArgument
from ..validation import level as check_level
from ..verdict import Verdict
from .decide import NEGLIGIBLE, decide, doubt_of


def equivalence(estimate: Estimate, tolerance: float, level: float = 0.999, *, what: str = "the difference") -> Verdict:
    """Judge |θ| <= tolerance: holds if the interval of θ lies inside ±tolerance, violated if it lies outside.

    Both wrong answers have at most the probability 1 − level, asymptotically in the number of paths.

    Args:
        estimate: estimate of θ.
        tolerance: half-width of what counts as zero, in the unit of θ.
        level: confidence level of the interval.
        what: name of θ in the reason.

    Returns:
        A `Verdict`, graded asymptotic; inconclusive where the interval meets the border, or where the tail is too heavy
        for the central limit theorem (`heavy_tail`) and one path moves the mean by more than 1 % of the tolerance.

    Raises:
        InvalidArgument: tolerance is not above zero.

    Example:
        >>> import numpy as np
        >>> from sdewm.estimate import Moments
        >>> (mean,) = Moments.of(np.linspace(-1.0, 1.2, 1000)).estimates()
        >>> equivalence(mean, 0.5).outcome.value
        'holds'
    """
    if not tolerance > 0.0:
        raise InvalidArgument(f"tolerance must be above zero, got {tolerance!r}.")
    low, high = estimate.interval(check_level(level))
    reason = f"{what} is {estimate.value:.4g} [{low:.4g}, {high:.4g}], allowed ±{tolerance:.4g}"
    return decide(
        reason,
        tolerance - max(-low, high),
        max(low, -high) - tolerance,
        interval=(low, high),
        allowed=(-tolerance, tolerance),
        level=level,
        doubt=doubt_of(estimate, NEGLIGIBLE * tolerance),
    )
