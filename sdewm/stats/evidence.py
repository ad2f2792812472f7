"""Evidence on a mean that may be looked at as often as one likes: a mixture of test martingales."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..exceptions import InvalidArgument, NumericalFailure
from ..validation import real

Array = NDArray[np.float64]

# Stakes in units of one over the spread, √2 apart. The best stake after n paths is about √(2 log(1/α)/n), so that the
# flat part of the weights serves n from about 1e3 to 1e6; beyond it a stake weighs half for every octave.
_OCTAVES = np.arange(-16.0, 10.25, 0.5)
_FLAT = (-8.0, -3.0)
# Products of eight factors stay below the largest number while each is below this.
_LARGE = 1e35
_CELLS = 1 << 18


def stakes(largest: float = 10.0) -> tuple[Array, Array]:
    """Stakes 2^-16 … 2^largest and the logarithms of their weights, which sum to one."""
    octaves = _OCTAVES[largest >= _OCTAVES]
    logs = -np.log(2.0) * np.maximum(0.0, np.maximum(_FLAT[0] - octaves, octaves - _FLAT[1]))
    return 2.0**octaves, logs - np.log(np.exp(logs).sum())


def checked(values: ArrayLike, largest: float | None = None) -> Array:
    """Values of n paths, as (n, k).

    Raises:
        InvalidArgument: they have another shape, are negative, or above the largest value that was declared.
        NumericalFailure: one is not finite.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim not in (1, 2) or not x.size:
        raise InvalidArgument(f"values must have shape (n,) or (n, k) with n, k >= 1, got {x.shape}.")
    x = x[:, None] if x.ndim == 1 else x
    finite = np.isfinite(x).all(1)
    if not finite.all():
        first, count = int(np.argmin(finite)), int((~finite).sum())
        raise NumericalFailure(
            f"{count} of {len(x)} paths of a block are not finite; refine the grid.", first, None, count
        )
    if x.min() < 0.0:
        raise InvalidArgument(f"values must be at least 0, got {x.min():.6g}; judge a quantity that is not negative.")
    if largest is not None and x.max() > largest:
        raise InvalidArgument(f"largest must be at least every value, got {largest!r} and a value of {x.max():.6g}.")
    return x


def head(x: Array) -> tuple[Array, Array]:
    """The first values of a block, from which a scale is learnt and on which nothing is staked, and the others."""
    cut = min(64, max(1, len(x) // 8))
    return x[:cut], x[cut:]


def log_products(factor: "Factor", x: Array) -> Array:
    """(J, k) sums over the n paths of log factor(x), which is (J, n, k) and at least 1/2.

    Logarithms are taken of products of eight: the rounding of 1 + θx is 1e-16 a path, without any drift.
    """
    total: Array | float = 0.0
    rows = max(8, _CELLS // (factor.stakes * x.shape[1]) // 8 * 8)
    for start in range(0, len(x), rows):
        with np.errstate(over="ignore"):
            f = factor(x[start : start + rows])
        if f.shape[1] % 8 or f.max() > _LARGE:
            total = total + np.log(f).sum(1)
            continue
        for _ in range(3):
            half = f.shape[1] // 2
            f = f[:, :half] * f[:, half:]
        total = total + np.log(f).sum(1)
    return np.asarray(total)


class Factor(ABC):
    """What each stake is multiplied by on one path.

    Attributes:
        stakes: the number J of stakes.
    """

    stakes: int

    @abstractmethod
    def __call__(self, x: Array) -> Array:
        """(J, n, k) factors of n paths of k quantities."""


class Evidence(ABC):
    """The capital of a gambler who starts with 1 and plays, fairly or to her loss if a hypothesis on a mean is true.

    Over all paths and all times her capital then exceeds 1/α with probability at most α (Ville 1939), whenever one
    looks and whyever one stops.
    """

    @abstractmethod
    def add(self, values: ArrayLike) -> None:
        """Play on further paths: (n,) values, or (n, k) for k quantities."""

    @abstractmethod
    def log_evidence(self, mean: ArrayLike) -> Array:
        """(k,) logarithm of the capital against the hypothesis that the mean lies on the far side of this number."""

    @abstractmethod
    def limit(self, alpha: float) -> Array:
        """(k,) confidence limits: beyond them every mean has evidence of at least 1/α against it."""


def log_mixture(log_weights: Array, log_capital: Array) -> Array:
    """(k,) logarithm of the weighted sum of J capitals."""
    logs = log_weights[:, None] + log_capital
    top = logs.max(0)
    if np.isinf(top).any():
        # A value too large for a product of a stake with it: there is no doubt then.
        return np.asarray(np.where(np.isinf(top), top, 0.0) + np.where(np.isinf(logs), 0.0, logs).max(0))
    total: Array = top + np.log(np.exp(logs - top).sum(0))
    return total


def threshold(alpha: float) -> float:
    """log(1/α).

    Raises:
        InvalidArgument: alpha is not strictly between 0 and 1.
    """
    if not 0.0 < real("alpha", alpha) < 1.0:
        raise InvalidArgument(f"alpha must lie strictly between 0 and 1, got {alpha!r}.")
    return -float(np.log(alpha))
