"""Checks of plain arguments, so that every function words the same complaint in the same way."""

import math
import numbers
from collections.abc import Collection, Iterable
from typing import TypeVar

from .exceptions import InvalidArgument

Value = TypeVar("Value")


def integer(name: str, value: object, *, least: int) -> int:
    """`value` as an `int` that is at least `least`; bools and fractions are refused."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < least:
        raise InvalidArgument(f"{name} must be a whole number >= {least}, got {value!r}.")
    return int(value)


def positive(name: str, value: object) -> float:
    """`value` as a finite `float` above zero."""
    number = real(name, value)
    if not number > 0.0:
        raise InvalidArgument(f"{name} must be above zero, got {value!r}.")
    return number


def not_negative(name: str, value: object) -> float:
    """`value` as a finite `float` of at least zero."""
    number = real(name, value)
    if number < 0.0:
        raise InvalidArgument(f"{name} must be at least 0, got {value!r}.")
    return number


def real(name: str, value: object) -> float:
    """`value` as a finite `float`."""
    try:
        number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidArgument(f"{name} must be a finite number, got {value!r}.")
    return number


def one_of(name: str, value: str, allowed: Collection[str]) -> str:
    """`value` if it is among `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        raise InvalidArgument(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}.")
    return value


def instance(name: str, value: Value, kind: type) -> Value:
    """`value` if it is a `kind`."""
    if not isinstance(value, kind):
        raise InvalidArgument(f"{name} must be a {kind.__name__}, got {type(value).__name__}.")
    return value


def strings(name: str, value: object) -> tuple[str, ...]:
    """One string, or several, as a tuple."""
    listed = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(each, str) for each in listed):
        raise InvalidArgument(f"{name} must be a string or a sequence of strings, got {value!r}.")
    return listed


def level(value: object) -> float:
    """A confidence level strictly between zero and one."""
    number = real("level", value)
    if not 0.0 < number < 1.0:
        raise InvalidArgument(f"level must lie strictly between 0 and 1, got {value!r}.")
    return number
