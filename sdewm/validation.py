"""Checks of plain arguments, so that every function words the same complaint in the same way."""

import math
import numbers
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .exceptions import InvalidArgument

Value = TypeVar("Value")
# What is taken wherever a tensor of numbers is asked for.
TensorLike = Tensor | NDArray[Any] | Sequence[Any]
_LARGEST = 2**63 - 1


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


def tensor(name: str, value: Any) -> Tensor:
    """A tensor as it is; an array or a nested list of numbers as a copy, in numpy's precision, on the CPU.

    A plain array says nothing of the dtype that a computation should have: whoever asks casts it.

    Raises:
        InvalidArgument: it does not hold numbers, or rows of several lengths; some of it is masked; it has whole
            numbers of 2⁶³ and more, which a tensor would wrap to negative ones.

    Example:
        >>> tensor("x0", [[1, 2], [3.5, 4]])
        tensor([[1.0000, 2.0000],
                [3.5000, 4.0000]], dtype=torch.float64)
    """
    if isinstance(value, Tensor):
        return value
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # rows of several lengths, or tensors with a gradient
        array = np.asarray(None)
    kinds = {"b": np.bool_, "i": np.int64, "u": np.int64, "f": np.float64, "c": np.complex128}
    if array.dtype.kind not in kinds:
        given = " ".join(repr(value).split())
        raise InvalidArgument(
            f"{name} must hold numbers, as a tensor, an array or a list whose rows are equally long, got "
            f"{given if len(given) <= 80 else f'{given[:79]}…'}."
        )
    # An array of numpy's masked kind is one of plain values with a mask beside it, which a tensor does not have.
    parts = [value, *value] if isinstance(value, list | tuple) else [value]
    if any(isinstance(each, np.ma.MaskedArray) and np.ma.is_masked(each) for each in parts):
        raise InvalidArgument(f"{name} has masked values, which a tensor cannot have: fill them or leave them out.")
    if array.dtype.kind == "u" and array.size and int(array.max()) > _LARGEST:
        raise InvalidArgument(
            f"{name} has whole numbers of 2**63 and more, such as {int(array.max())}, which do not fit into int64: "
            "make them floats."
        )
    # A copy, since a tensor may neither be read-only nor run backwards; bytes are kept, they may be an image.
    kept = array.dtype == np.uint8 or array.dtype in (np.float32, np.complex64)
    wanted = array.dtype.newbyteorder("=") if kept else kinds[array.dtype.kind]
    return torch.from_numpy(np.array(array, dtype=wanted, order="C"))


def level(value: object) -> float:
    """A confidence level strictly between zero and one."""
    number = real("level", value)
    if not 0.0 < number < 1.0:
        raise InvalidArgument(f"level must lie strictly between 0 and 1, got {value!r}.")
    return number
