"""Intervals and verdicts for the ratio of two means."""

import math
from collections.abc import Mapping

from ..estimate import Estimate
from ..exceptions import InvalidArgument
from ..validation import level as check_level
from ..verdict import Outcome, Verdict
from .decide import CLOSE, decide, heavy_tail


def ratio_interval(top: Estimate, bottom: Estimate, level: float = 0.95) -> tuple[float, float]:
    """Fieller's interval of E top / E bottom: all ρ for which zero lies in the interval of top − ρ bottom.

    It needs no linearisation, and is (−∞, ∞) where the bottom cannot be told from zero. That interval is Student's:
    where observations are kept, their skewness is not corrected for.

    Args:
        top, bottom: estimates, of one run or of independent ones.
        level: confidence level.

    Example:
        >>> from sdewm.estimate import Moments
        >>> a, b = Moments.of([[4.0, 8.1], [5.0, 9.9], [6.0, 12.1], [5.0, 9.9]]).estimates()
        >>> low, high = ratio_interval(b, a)
        >>> round(low, 2), round(high, 2)
        (1.96, 2.04)
    """
    from scipy.special import stdtrit  # here, so that importing the package stays quick

    dof = max(min(n for n in (top.n, bottom.n) if n) - 1, 1)
    t2 = float(stdtrit(dof, 0.5 + check_level(level) / 2)) ** 2
    var_top, var_bottom = top.standard_error**2, bottom.standard_error**2
    covariance = top.covariance(bottom)
    # (top − ρ bottom)² <= t² Var(top − ρ bottom), a quadratic inequality in ρ.
    a = bottom.value**2 - t2 * var_bottom
    b = top.value * bottom.value - t2 * covariance
    c = top.value**2 - t2 * var_top
    if not a > 0.0:
        return -math.inf, math.inf
    root = math.sqrt(max(b * b - a * c, 0.0))
    return (b - root) / a, (b + root) / a


def rms_ratio(
    top: Estimate,
    bottom: Estimate,
    allowed: tuple[float, float],
    level: float = 0.999,
    *,
    what: str = "the ratio of root mean squares",
) -> Verdict:
    """Judge whether √(E top / E bottom), for two non-negative quantities, lies in `allowed`.

    Holds if its interval lies inside, violated if it lies outside; each is wrong with probability at most 1 − level,
    asymptotically in the number of independent paths (or clusters of paths). With a heavy tail it decides only where
    the border is further away than the interval is wide.

    Raises:
        InvalidArgument: allowed is not an interval of non-negative numbers.
    """
    if not 0.0 <= allowed[0] < allowed[1]:
        raise InvalidArgument(f"allowed must be an interval of non-negative numbers, got {allowed!r}.")
    low, high = ratio_interval(top, bottom, level)
    low, high = math.sqrt(max(low, 0.0)), math.sqrt(max(high, 0.0))
    value = math.sqrt(max(top.value / bottom.value, 0.0)) if bottom.value else math.inf
    reason = f"{what} is {value:.4g} [{low:.4g}, {high:.4g}], allowed [{allowed[0]:.4g}, {allowed[1]:.4g}]"
    # A ratio is never below zero: there is no border there.
    floor = allowed[0] or -math.inf
    inside = min(low - floor, allowed[1] - high)
    outside = max(floor - high, low - allowed[1])
    # A heavy tail spoils the interval, so that a border within its width decides nothing.
    close = (heavy_tail(top) or heavy_tail(bottom)) and max(inside, outside) <= high - low
    return decide(
        reason,
        inside,
        outside,
        interval=(low, high),
        allowed=allowed,
        level=level,
        doubt=CLOSE if close else None,
    )


def all_of(verdicts: Mapping[str, Verdict]) -> Verdict:
    """One verdict on a statement about several cells: it holds if all hold, and is violated if one is.

    Give each cell the level 1 − α/k, so that all k together are wrong with probability at most α (Bonferroni).

    Returns:
        The verdict that decides: the least clear one of those that hold, the clearest one of those that are violated,
        or the first that is undecided; the others are named in its flags.

    Raises:
        InvalidArgument: there is no verdict.
    """
    if not verdicts:
        raise InvalidArgument("verdicts is empty: give at least one.")
    violated = {name: v for name, v in verdicts.items() if v.outcome is Outcome.VIOLATED}
    undecided = {name: v for name, v in verdicts.items() if v.outcome not in (Outcome.HOLDS, Outcome.VIOLATED)}
    if violated:
        name = max(violated, key=lambda key: violated[key].margin or 0.0)
    elif undecided:
        name = next(iter(undecided))
    else:
        name = min(verdicts, key=lambda key: verdicts[key].margin or 0.0)
    chosen = verdicts[name]
    others = tuple(f"{key}: {v.outcome.value}, {v.reason}" for key, v in verdicts.items() if key != name)
    return Verdict(
        chosen.outcome,
        chosen.grade,
        f"{name}: {chosen.reason}",
        chosen.interval,
        chosen.allowed,
        chosen.margin,
        chosen.level,
        chosen.flags + others,
    )
