"""Is a quantity above a border?"""

import math

from ..estimate import Estimate
from ..validation import level as check_level
from ..verdict import Verdict
from .decide import CLOSE, decide, doubt_of, heavy_tail


def at_least(estimate: Estimate, border: float = 0.0, level: float = 0.999, *, what: str = "the quantity") -> Verdict:
    """Judge θ >= border: holds if the interval of θ lies above the border, violated if it lies below.

    Both wrong answers have at most the probability (1 − level)/2, asymptotically in the number of paths. With a heavy
    tail it decides only where the border is further away than the interval is wide.

    Args:
        estimate: estimate of θ.
        border: the border, in the unit of θ.
        level: confidence level of the two-sided interval.
        what: name of θ in the reason.

    Returns:
        A `Verdict`, graded asymptotic. An estimate without any spread decides by its value.

    Example:
        >>> import numpy as np
        >>> from sdewm.estimate import Moments
        >>> (mean,) = Moments.of(np.linspace(0.5, 1.5, 1000)).estimates()
        >>> at_least(mean).outcome.value
        'holds'
    """
    low, high = estimate.interval(check_level(level))
    inside, outside = low - border, border - high
    close = heavy_tail(estimate) and max(inside, outside) <= high - low
    return decide(
        f"{what} is {estimate.value:.4g} [{low:.4g}, {high:.4g}], allowed at least {border:.4g}",
        inside,
        outside,
        interval=(low, high),
        allowed=(border, math.inf),
        level=level,
        doubt=CLOSE if close else doubt_of(estimate, math.inf),
    )
