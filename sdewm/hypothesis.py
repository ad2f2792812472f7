"""What a theorem assumes of the functions it is applied to, and how far that is known."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, final

from .exceptions import InvalidArgument
from .output import plain_fields
from .validation import one_of

GROWTHS = ("linear", "one-sided", "polynomial", "exponential", "explosive")


@final
class Status(Enum):
    """How a hypothesis is known."""

    CERTIFIED = "certified"
    DECLARED = "declared"
    PROBED = "probed"
    ASSUMED = "assumed"
    UNCHECKED = "unchecked"
    FAILS = "fails"


@final
@dataclass(frozen=True, repr=False)
class Hypothesis:
    """One hypothesis of a theorem, applied to one problem.

    Attributes:
        name: what is assumed, such as "loss growth".
        status: certified (true by construction, by a closed form, or by a computation that allows for its rounding),
            declared (the function says so itself), probed (a search for a counterexample found none, which proves
            nothing), assumed (the caller takes it on), unchecked, or fails.
        detail: one clause with what is known.
        declared: whether it is the author of a function who says so; what a probe has found may be a false alarm.
        remedy: "tame" where explicit steps have to be tamed, else empty.
    """

    name: str
    status: Status
    detail: str
    declared: bool = False
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values for JSON."""
        return plain_fields(self)

    def __str__(self) -> str:
        return f"{self.name}: {self.status.value}, {self.detail}"

    __repr__ = __str__


_ORDER = (Status.CERTIFIED, Status.DECLARED, Status.PROBED, Status.ASSUMED, Status.UNCHECKED, Status.FAILS)


def worse(a: Hypothesis, b: Hypothesis) -> Hypothesis:
    """The one of two about which less is known; the second if they are alike."""
    return a if _ORDER.index(a.status) > _ORDER.index(b.status) else b


@final
@dataclass(frozen=True)
class Facts:
    """What the author of a function declares of it, so that it need not be probed.

    Args:
        growth: "linear" (all derivatives that exist are bounded), "polynomial" (they grow at most like a power),
            "one-sided" (a drift that grows faster than linearly, but inwards: x·f(x) <= C (1 + |x|²)), "exponential"
            (faster than every power), or "explosive" (a drift whose solutions leave every bound in finite time).
        smoothness: number of continuous derivatives; 0 for |x|, 1 for its Huber version.

    Raises:
        InvalidArgument: the growth is unknown, or the smoothness is not a number >= 0.
    """

    growth: str = "linear"
    smoothness: float = math.inf

    def __post_init__(self) -> None:
        one_of("growth", self.growth, GROWTHS)
        number = isinstance(self.smoothness, int | float) and not isinstance(self.smoothness, bool)
        if not number or not self.smoothness >= 0:
            raise InvalidArgument(f"smoothness must be a number of derivatives >= 0, got {self.smoothness!r}.")


@final
@dataclass(frozen=True)
class Declared:
    """A function together with the facts that its author declares of it; made by `declare`."""

    function: Callable[..., Any]
    facts: Facts

    def __call__(self, *args: Any) -> Any:
        """function(*args)."""
        return self.function(*args)


def declare(function: Callable[..., Any], growth: str = "linear", smoothness: float = math.inf) -> Declared:
    """The function, with facts that are then believed in place of being probed.

    Args:
        function: a loss, or a drift or diffusion of an error.
        growth, smoothness: as in `Facts`.

    Raises:
        InvalidArgument: function cannot be called, or a fact is unknown.

    Example:
        >>> loss = declare(lambda x: (x**4).sum(-1), growth="polynomial")
        >>> facts_of(loss).growth
        'polynomial'
    """
    if not callable(function):
        raise InvalidArgument(f"function must be callable, got {function!r}.")
    return Declared(function, Facts(growth, smoothness))


def facts_of(owner: Any, name: str = "facts") -> Facts | None:
    """The facts that an object declares under this name, or None.

    Raises:
        InvalidArgument: what it declares is not of type `Facts`.
    """
    facts = getattr(owner, name, None)
    if facts is not None and not isinstance(facts, Facts):
        raise InvalidArgument(f"{name} of {type(owner).__name__} must be Facts(...), got {facts!r}.")
    return facts
