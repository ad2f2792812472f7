"""From the distance to a border to a verdict, in one place."""

import math

from ..estimate import Estimate
from ..verdict import Grade, Outcome, Verdict

Interval = tuple[float, float]

CLOSE = "one path carries too much of the mean to judge so close"
# A single path of a heavy tail may move an estimate by this part of what is tolerated.
NEGLIGIBLE = 0.01


def decide(
    reason: str,
    inside: float,
    outside: float,
    *,
    interval: Interval,
    allowed: Interval,
    level: float,
    doubt: str | None = None,
) -> Verdict:
    """Holds if the interval lies `inside` >= 0 of what is allowed, violated if it lies `outside` > 0 of it.

    Args:
        reason: the numbers, in words.
        inside, outside: distance of the interval from the border, on either side.
        interval, allowed, level: as in `Verdict`.
        doubt: why the interval is not to be trusted; then the verdict is inconclusive.
    """
    if doubt is not None:
        return Verdict(Outcome.INCONCLUSIVE, Grade.ASYMPTOTIC, f"{reason}; {doubt}", interval, allowed, None, level)
    if inside >= 0.0:
        return Verdict(Outcome.HOLDS, Grade.ASYMPTOTIC, reason, interval, allowed, inside, level)
    if outside > 0.0:
        return Verdict(Outcome.VIOLATED, Grade.ASYMPTOTIC, reason, interval, allowed, outside, level)
    reason += "; the interval meets the border, more paths would decide"
    return Verdict(Outcome.INCONCLUSIVE, Grade.ASYMPTOTIC, reason, interval, allowed, max(inside, outside), level)


def heavy_tail(estimate: Estimate) -> bool:
    """Whether one single path makes up so much of the variance that the central limit theorem is not to be trusted.

    The border is 2 %, or 4 ln(n)/n where that is more: twice what the largest of n normal numbers makes up. Measured on
    lognormal samples exp(σξ): at n = 512 and 1000 none with σ >= 1.5 passes and at most 0.2 % with σ = 1; at n = 20 000
    21 % with σ = 1 pass, and then the nominal 95 % interval covers 94 %.

    Warning:
        For few paths the check is weak: at n = 128 and σ = 1, 12 % pass and their 95 % intervals cover 84 %.
    """
    return estimate.n > 1 and estimate.largest_share > max(0.02, 4.0 * math.log(estimate.n) / estimate.n)


def doubt_of(estimate: Estimate, tolerated_shift: float) -> str | None:
    """Why an estimate's interval is not to be trusted, or None.

    Args:
        estimate: the estimate.
        tolerated_shift: how far one single path may move the value of an estimate with a heavy tail.
    """
    if not estimate.n > 1:
        return "one path has no interval"
    if heavy_tail(estimate) and estimate.largest_shift > tolerated_shift:
        return f"one path makes up {estimate.largest_share:.0%} of the variance, so its tail is too heavy to judge"
    return None
