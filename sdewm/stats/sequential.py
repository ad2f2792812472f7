"""Is a mean below a bound of which two sides are known? Judged block by block, with an error rate that allows it."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

from numpy.typing import ArrayLike

from ..estimate import Estimate
from ..exceptions import InvalidArgument
from ..validation import integer, positive, real
from ..validation import level as check_level
from ..verdict import Grade, Outcome, Verdict
from .betting import Above, BelowByRange
from .catoni import BelowByMoment
from .central_limit import CentralLimit
from .evidence import Array, Evidence, checked, threshold

CONTRADICTION = "the limits contradict each other: a declared moment, a range or the independence of the paths is wrong"


@final
@dataclass(frozen=True)
class Comparison:
    """A mean D beside a bound B of which at_least <= B <= at_most is known.

    Attributes:
        outcome: holds (upper <= at_least), violated (lower > at_most), or inconclusive.
        estimate: the sample mean.
        lower, upper: limits on D, each missed with probability (1 − level)/2.
        lower_grade, upper_grade: how their error rate is known; the lower one is always certified.
        at_least, at_most: the two sides of the bound, None where one is not known.
        level: confidence level of both limits together.
        stopped_early: whether it stopped at a decision, not at the end of the paths.
        doubt: why an asymptotic upper limit is not trusted, None where it is, or is not used; or that both limits
            contradict each other, so that a premise is wrong.
        p_violated, p_holds: p-values against "D <= at_most" and "D >= at_least", which hold good whenever one stops;
            1 where there is no such side, or no certified limit for it.
    """

    outcome: Outcome
    estimate: Estimate
    lower: float
    upper: float
    lower_grade: Grade
    upper_grade: Grade
    at_least: float | None
    at_most: float | None
    level: float
    stopped_early: bool
    doubt: str | None
    p_violated: float
    p_holds: float

    @property
    def n(self) -> int:
        """Number of paths used."""
        return self.estimate.n

    @property
    def grade(self) -> Grade:
        """That of the limit which decided; of the upper one where none did."""
        return self.lower_grade if self.outcome is Outcome.VIOLATED else self.upper_grade

    def verdict(self, what: str = "the quantity") -> Verdict:
        """The same as a `Verdict`, with the reason in words.

        Args:
            what: name of D in the reason.
        """
        low = "unknown" if self.at_least is None else f"{self.at_least:.4g}"
        high = "unknown" if self.at_most is None else f"{self.at_most:.4g}"
        bound = low if low == high else f"between {low} and {high}"
        reason = (
            f"{what} is {self.estimate.value:.4g} [{self.lower:.4g}, {self.upper:.4g}] over {self.n} paths, "
            f"the bound is {bound}"
        )
        inside = -math.inf if self.at_least is None else self.at_least - self.upper
        outside = -math.inf if self.at_most is None else self.lower - self.at_most
        side = self.at_most if self.outcome is Outcome.VIOLATED else self.at_least
        allowed = (-math.inf, math.inf if side is None else side)
        margin = max(inside, outside) if math.isfinite(max(inside, outside)) else None
        if self.outcome is Outcome.INCONCLUSIVE:
            reason += f"; {self._why()}"
        return Verdict(self.outcome, self.grade, reason, (self.lower, self.upper), allowed, margin, self.level)

    def _why(self) -> str:
        """What keeps it from a decision."""
        if self.doubt == CONTRADICTION:
            return self.doubt
        if self.at_least is not None and self.lower <= self.at_least:
            return self.doubt or "the interval meets the bound, more paths would decide"
        if self.at_most is None:
            return "it does not hold at what the bound is known to reach, and no constant is certified from above"
        if self.upper <= self.at_most:
            return "the quantity lies between both sides of the bound, sharper constants would decide, not more paths"
        return (
            self.doubt or "the interval meets the upper side of the bound, more paths or sharper constants would decide"
        )


def compare_mean(
    blocks: Iterable[ArrayLike],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    level: float = 0.999,
    sequential: bool = True,
    paths: int | None = None,
    largest: float | None = None,
    second_moment: float | None = None,
    variance: float | None = None,
) -> Comparison:
    """Judge D = E Z <= B for Z >= 0 from blocks of paths, where at_least <= B <= at_most is known of B.

    With α = 1 − level, each side at α/2:

        holds      if D_up <= at_least,  wrong with probability at most α/2 if D > B,
        violated   if D_lo > at_most,    wrong with probability at most α/2 if D <= B.

    D_lo is the betting limit of `Above`: it assumes no moment, and is valid at every number of paths at once. D_up is
    that of `BelowByRange`, given a range, or of `BelowByMoment`, given a second moment or a variance, both valid alike;
    else that of `CentralLimit`, which is asymptotic, is looked at once, when the paths are at an end, and is infinite
    for a heavy tail. After every block it stops as soon as a certified limit has decided.

    Args:
        blocks: arrays of shape (n,), Z on further paths each, in a fixed order; drawn from only as far as needed, so
            that a generator simulates no block in vain.
        at_least: a number that the bound surely reaches; None: it cannot hold.
        at_most: a number that the bound surely does not exceed; None: it cannot be violated.
        level: confidence level of both sides together.
        sequential: stop early; otherwise all blocks are used, and judged once.
        paths: the most paths to use; by default all.
        largest: a number that Z cannot exceed.
        second_moment: a certified bound on E Z².
        variance: a certified bound on Var Z. Give at most one of these three.

    Returns:
        A `Comparison`; its `verdict` words the reason.

    Raises:
        InvalidArgument: no side of the bound is given, or the sides are in the wrong order, more than one of largest,
            second_moment and variance is given, there is no block, or a value is negative or above largest.
        NumericalFailure: a value is not finite.

    Source:
        Waudby-Smith and Ramdas (2024); Wang and Ramdas (2023); as in the named classes.

    Warning:
        That the paths are independent, and that largest, second_moment or variance are true bounds, is not checked.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> result = compare_mean((rng.random(4096) for _ in range(100)), at_least=0.6, at_most=0.6, largest=1.0)
        >>> print(result.verdict("E Z"))
        holds (certified): E Z is 0.4964 [0.4765, 0.5164] over 4096 paths, the bound is 0.6
    """
    alpha = (1.0 - check_level(level)) / 2.0
    low, high = _sides(at_least, at_most)
    above, below, central = Above(), _below(largest, second_moment, variance), CentralLimit()
    most_above = most_below = 0.0
    wanted, decided = threshold(alpha), False
    for block in _capped(blocks, paths):
        above.add(block)
        central.add(block)
        if below is not None:
            below.add(block)
        if sequential:
            most_above = max(most_above, float(above.log_evidence(high)))
            most_below = max(most_below, 0.0 if below is None else float(below.log_evidence(low)))
            decided = max(most_above, most_below) >= wanted
            if decided:
                break
    if not central.estimate.n:
        raise InvalidArgument("blocks must hold at least one block of paths, got none.")
    if not sequential:
        most_above = max(0.0, float(above.log_evidence(high)))
        most_below = 0.0 if below is None else max(0.0, float(below.log_evidence(low)))
    lower = float(above.limit(alpha))
    # The central limit theorem has its one look at the end of the paths, not where the other side chose to stop.
    asymptotic = math.inf if decided else central.upper(alpha)
    upper = asymptotic if below is None else float(below.limit(alpha))
    outcome, doubt = Outcome.INCONCLUSIVE, central.doubt if below is None else None
    if lower > upper:
        doubt = CONTRADICTION
    elif most_above >= wanted:
        outcome, lower = Outcome.VIOLATED, max(lower, high)
    elif most_below >= wanted:
        outcome, upper = Outcome.HOLDS, min(upper, low)
    elif below is None and upper <= low:
        outcome = Outcome.HOLDS
    return Comparison(
        outcome,
        central.estimate,
        lower,
        upper,
        Grade.CERTIFIED,
        Grade.ASYMPTOTIC if below is None else Grade.CERTIFIED,
        at_least,
        at_most,
        level,
        decided,
        doubt,
        math.exp(-most_above),
        math.exp(-most_below),
    )


def _sides(at_least: float | None, at_most: float | None) -> tuple[float, float]:
    """Both sides as numbers, infinite where nothing is known; sides that contradict each other are refused."""
    if at_least is None and at_most is None:
        raise InvalidArgument("at_least or at_most must be given, got neither: there is no bound to judge.")
    low = -math.inf if at_least is None else real("at_least", at_least)
    # An infinite upper side is what a constant that nobody certified amounts to.
    high = math.inf if at_most is None or at_most == math.inf else real("at_most", at_most)
    if low > high:
        raise InvalidArgument(f"at_least must not exceed at_most, got {at_least!r} and {at_most!r}.")
    return low, high


def _below(largest: float | None, second_moment: float | None, variance: float | None) -> Evidence | None:
    """What certifies the upper limit, or None."""
    named = {"largest": largest, "second_moment": second_moment, "variance": variance}
    given = [name for name, value in named.items() if value is not None]
    if len(given) > 1:
        raise InvalidArgument(f"largest, second_moment or variance: give at most one, got {' and '.join(given)}.")
    if largest is not None:
        return BelowByRange(positive("largest", largest))
    if not given:
        return None
    return BelowByMoment(second_moment=second_moment, variance=variance)


def _capped(blocks: Iterable[ArrayLike], paths: int | None) -> Iterator[Array]:
    """The blocks, checked, up to a number of paths."""
    left = None if paths is None else integer("paths", paths, least=1)
    for block in blocks:
        x = checked(block)
        if x.shape[1] != 1:
            raise InvalidArgument(f"blocks must be arrays of shape (n,), got one of shape {x.shape}.")
        yield x[:left, 0]
        if left is not None:
            left -= len(x)
            if left <= 0:
                return
