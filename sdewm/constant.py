"""Constants of a bound, with their pedigree: what is known of a supremum, and on which side."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from .exceptions import InvalidArgument
from .validation import real


class Constant(ABC):
    """A number that stands for the supremum of some quantity, such as a log-norm over all states.

    Attributes:
        value: the number.
        source: one clause that says where it is from.
    """

    value: float
    source: str

    @property
    @abstractmethod
    def at_least(self) -> float | None:
        """A number that the supremum surely reaches, or None."""

    @property
    @abstractmethod
    def at_most(self) -> float | None:
        """A number that the supremum surely does not exceed, or None."""

    def __str__(self) -> str:
        return f"{type(self).__name__.lower()} {self.value:.6g} ({self.source})"

    def __float__(self) -> float:
        return self.value


@final
@dataclass(frozen=True)
class Certified(Constant):
    """A number that is proved never to be exceeded.

    Args:
        value: the upper bound; infinity says that nothing is known.
        source: where it is from.
        attained: a number that is reached somewhere, where one is known; equal to `value` for an exact supremum.

    Raises:
        InvalidArgument: the value is NaN, or a greater one is attained.

    Example:
        >>> Certified(2.0, "a closed form", attained=2.0).at_least
        2.0
    """

    value: float
    source: str
    attained: float | None = None

    def __post_init__(self) -> None:
        if self.value != self.value:
            raise InvalidArgument(f"value must be a number, got {self.value!r}.")
        if self.attained is not None and not self.attained <= self.value:
            raise InvalidArgument(
                f"attained must be at most the certified value {self.value!r}, got {self.attained!r}: what is "
                f"certified does not hold where it was sampled; check the region for which it was certified."
            )

    @property
    def at_least(self) -> float | None:
        """What is attained."""
        return self.attained

    @property
    def at_most(self) -> float | None:
        """The value."""
        return self.value


@final
@dataclass(frozen=True)
class Sampled(Constant):
    """The largest value that was seen; the supremum is that or more.

    Args:
        value: the largest value.
        source: where it was looked for.

    Raises:
        InvalidArgument: the value is not finite.
    """

    value: float
    source: str

    def __post_init__(self) -> None:
        real("value", self.value)

    @property
    def at_least(self) -> float | None:
        """The value."""
        return self.value

    @property
    def at_most(self) -> float | None:
        """Nothing is known."""
        return None


@final
@dataclass(frozen=True)
class Assumed(Constant):
    """A number that the caller takes on; it decides nothing on either side.

    Args:
        value: the number.
        source: whose word it is.

    Raises:
        InvalidArgument: the value is not finite.
    """

    value: float
    source: str = "given by the caller"

    def __post_init__(self) -> None:
        real("value", self.value)

    @property
    def at_least(self) -> float | None:
        """Nothing is known."""
        return None

    @property
    def at_most(self) -> float | None:
        """Nothing is known."""
        return None


def carry(function: Callable[..., float], *constants: Constant, source: str) -> Constant:
    """function(values), for a function that increases in each of them, with the pedigree that is left.

    Certified if all are (attained if all are attained together, so that only one may vary: then the attained values of
    the others are their own), else Sampled if each has a side from below, else Assumed.

    Args:
        function: of as many numbers as there are constants, increasing in each.
        constants: what it is applied to.
        source: one clause on the result.

    Example:
        >>> print(carry(lambda a, b: a + b, Certified(2.0, "a norm"), Sampled(1.0, "paths"), source="their sum"))
        assumed 3 (their sum)
        >>> print(carry(lambda a: 2 * a, Sampled(1.0, "paths"), source="twice that"))
        sampled 2 (twice that)
    """
    above = [c.at_most for c in constants]
    below = [c.at_least for c in constants]
    low = None if any(b is None for b in below) else function(*below)
    if not any(a is None for a in above):
        return Certified(function(*above), source, low)
    if low is not None:
        return Sampled(low, source)
    return Assumed(function(*(c.value for c in constants)), source)


def joined(sampled: Sampled, certified: Certified | None) -> Constant:
    """What is known of one supremum from below and from above.

    From below it is what was sampled: what the certified one attains may be attained elsewhere.

    Raises:
        InvalidArgument: the certified value is below the sampled one.
    """
    if certified is None:
        return sampled
    return Certified(certified.value, f"{certified.source}; {sampled.source}", sampled.value)
