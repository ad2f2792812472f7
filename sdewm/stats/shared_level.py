"""Limits on what depends on several estimates, from the limits of each: the level is shared."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from ..exceptions import InvalidArgument
from ..validation import integer
from ..validation import level as check_level
from ..verdict import Grade


@final
@dataclass(frozen=True)
class Limits:
    """Two-sided limits on one number.

    Args:
        lower, upper: the limits; a deterministic number has both alike.
        miss: probability that the number is not between them; 0 for a deterministic one.
        grade: whether a theorem says so, or the central limit theorem.

    Raises:
        InvalidArgument: lower is not at most upper, or miss is not in [0, 1).

    Example:
        >>> Limits.exactly(2.0)
        Limits(lower=2.0, upper=2.0, miss=0.0, grade=<Grade.CERTIFIED: 'certified'>)
    """

    lower: float
    upper: float
    miss: float
    grade: Grade

    def __post_init__(self) -> None:
        if not self.lower <= self.upper:
            raise InvalidArgument(f"lower must be at most upper, got {self.lower!r} and {self.upper!r}.")
        if not 0.0 <= self.miss < 1.0:
            raise InvalidArgument(f"miss must be a probability in [0, 1), got {self.miss!r}.")

    @staticmethod
    def exactly(value: float) -> "Limits":
        """A number that is known."""
        return Limits(value, value, 0.0, Grade.CERTIFIED)


def share(level: float, parts: int) -> float:
    """The level of each of several intervals that hold all together at the given level, by the union bound.

    Args:
        level: confidence level of all together.
        parts: number of intervals.

    Example:
        >>> round(share(0.99, 2), 12)
        0.995
    """
    return 1.0 - (1.0 - check_level(level)) / integer("parts", parts, least=1)


def increasing(function: Callable[..., float], *limits: Limits) -> Limits:
    """Limits on function(θ_1, …, θ_k), for a function that increases in every argument.

    All θ_j lie between their limits at once with probability at least 1 − Σ miss_j, and then the function lies between
    its values at the lower and at the upper limits. The estimates may depend on each other in any way.

    Args:
        function: of as many numbers as there are limits.
        limits: on each argument.

    Raises:
        InvalidArgument: the function decreases from the lower limits to the upper ones, the probabilities sum to one
            or more, or there are no limits.

    Warning:
        That the function increases in every argument is not checked.

    Example:
        >>> s = Limits(0.9, 1.1, 0.001, Grade.ASYMPTOTIC)
        >>> bound = increasing(lambda s, growth: growth * s**2, s, Limits.exactly(2.0))
        >>> round(bound.lower, 6), round(bound.upper, 6), bound.grade.value
        (1.62, 2.42, 'asymptotic')
    """
    if not limits:
        raise InvalidArgument("limits must be given, one for each argument of function, got none.")
    miss = math.fsum(each.miss for each in limits)
    if not miss < 1.0:
        raise InvalidArgument(f"limits must miss with probabilities that sum to less than 1, got {miss:.6g}.")
    low = function(*(each.lower for each in limits))
    high = function(*(each.upper for each in limits))
    if not low <= high:
        raise InvalidArgument(
            f"function must increase in every argument, got {low!r} at the lower limits, then {high!r}."
        )
    certified = all(each.grade is Grade.CERTIFIED for each in limits)
    return Limits(low, high, miss, Grade.CERTIFIED if certified else Grade.ASYMPTOTIC)
