"""Limits for a mean by betting: from below for what is not negative, from above for what has a range."""

from typing import final

import numpy as np
from numpy.typing import ArrayLike

from ..validation import positive
from .evidence import Array, Evidence, Factor, checked, head, log_mixture, log_products, stakes, threshold

_HALVINGS = 64
_TINY = 1e-300


@final
class _Bet(Factor):
    """1 + θz."""

    def __init__(self, theta: Array) -> None:
        self.theta, self.stakes = theta[:, None, :], len(theta)

    def __call__(self, x: Array) -> Array:
        return 1.0 + self.theta * x


@final
class Above(Evidence):
    """Evidence that the mean of Z >= 0 lies above m; no moment but the mean need exist.

    For one stake θ >= 0 the capital is

        K_n(m; θ) = Π_i (1 + θ Z_i) / (1 + θ m) = Π_i (1 + λ (Z_i − m)),    λ = θ / (1 + θ m) in [0, 1/m):

    a supermartingale wherever E Z <= m. In θ the data enter by Σ log(1 + θ Z_i) alone, so that one pass serves every m.
    The capital is the mixture of K_n(m; θ_j) over a fixed grid of stakes θ_j = 2^(j/2)/s, j = −32 … 20, for which no
    number of paths must be planned. The scale s is the spread of the first values (an eighth of the first block, at
    most 64), on which nothing is staked. The mixture decreases in m, so the lower limit is where it crosses 1/α.

    Source:
        Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024), section 4;
        Ville's inequality. The mixture is Cover's universal portfolio on a grid.

    Warning:
        The paths must be independent, or at least have the conditional mean E Z given all earlier ones.

    Example:
        >>> above = Above()
        >>> above.add(np.random.default_rng(0).exponential(size=4096))
        >>> bool(0.9 < above.limit(0.025) < 1.0)
        True
    """

    def __init__(self) -> None:
        self._grid, self._log_weights = stakes()
        # Until the first values are in there is one quantity, and nothing at stake.
        self._theta = self._logs = np.zeros((len(self._grid), 1))
        self._n = self._sum = np.zeros(1)
        self._flat = self._empty = True

    def add(self, values: ArrayLike) -> None:
        """Bet on further paths.

        Args:
            values: (n,), or (n, k) for k quantities.

        Raises:
            InvalidArgument: a value is negative, or the shape is another one.
            NumericalFailure: a value is not finite.
        """
        x = checked(values)
        if self._empty:
            k = x.shape[1]
            self._flat, self._empty = np.ndim(values) == 1, False
            self._theta, self._logs = np.zeros((len(self._grid), k)), np.zeros((len(self._grid), k))
            self._n, self._sum = np.zeros(k), np.zeros(k)
        known = self._theta[0] > 0.0
        if not known.all():
            first, x = head(x)
            self._bet(first)
            self._theta = np.where(known, self._theta, self._grid[:, None] / self._scale(first))
        if len(x):
            self._bet(x)

    @staticmethod
    def _scale(x: Array) -> Array:
        """(k,) spread, or the mean where there is none; infinite (no stake) while nothing but zeros was seen."""
        mean, spread = x.mean(0), x.std(0)
        # A spread of pure rounding would put all stakes at infinity.
        scale = np.where(spread > 1e-9 * mean, spread, mean)
        return np.where(scale > 0.0, scale, np.inf)

    def _bet(self, x: Array) -> None:
        """Bet with the present stakes; a quantity without any does not count these paths."""
        on = self._theta[0] > 0.0
        if on.any():
            self._logs = self._logs + log_products(_Bet(self._theta), x)
            self._n = self._n + on * len(x)
            self._sum = self._sum + np.where(on, x.sum(0), 0.0)

    def log_evidence(self, mean: ArrayLike) -> Array:
        """(k,) logarithm of the capital against "E Z <= mean"; infinite for a negative one."""
        m = np.asarray(mean, dtype=np.float64)
        # Against a mean below infinity there is never any evidence.
        finite = np.where(np.isposinf(m), 0.0, np.maximum(m, 0.0))
        growth = self._logs - self._n * np.log1p(self._theta * finite)
        logs = np.where(m < 0.0, np.inf, log_mixture(self._log_weights, growth))
        logs = np.where(np.isposinf(m), -np.inf, logs)
        return logs[0] if self._flat and np.ndim(mean) == 0 else logs

    def limit(self, alpha: float) -> Array:
        """(k,) lower limits: with probability 1 − alpha E Z is at or above all of them, however often one looks."""
        wanted = threshold(alpha)
        # Above the mean of the values no stake has gained.
        low, high = np.full_like(self._sum, _TINY), np.maximum(self._sum / np.maximum(self._n, 1.0), _TINY)
        known = np.reshape(self.log_evidence(low), low.shape) >= wanted
        for _ in range(_HALVINGS):
            # One value may be larger than the limit by any number of digits.
            middle = np.where(high > 4.0 * low, np.sqrt(low) * np.sqrt(high), 0.5 * (low + high))
            enough = np.reshape(self.log_evidence(middle), middle.shape) >= wanted
            low, high = np.where(enough, middle, low), np.where(enough, high, middle)
        limits = np.where(known, low, 0.0)
        return np.asarray(limits[0]) if self._flat else limits


@final
class BelowByRange(Evidence):
    """Evidence that the mean of Z in [0, R] lies below m: betting on R − Z.

    Args:
        largest: the range R, which no value exceeds.

    Raises:
        InvalidArgument: largest is not a number above zero.

    Source:
        Waudby-Smith and Ramdas 2024, as for `Above`.

    Warning:
        That no value *can* exceed R is the caller's word; a value that does is refused.

    Example:
        >>> below = BelowByRange(1.0)
        >>> below.add(np.random.default_rng(0).random(4096))
        >>> bool(0.5 < below.limit(0.025) < 0.53)
        True
    """

    def __init__(self, largest: float) -> None:
        self.largest = positive("largest", largest)
        self._above = Above()

    def add(self, values: ArrayLike) -> None:
        """Bet on further paths: (n,) values, or (n, k).

        Raises:
            InvalidArgument: a value lies outside [0, R].
            NumericalFailure: a value is not finite.
        """
        x = checked(values, self.largest)
        self._above.add(self.largest - (x[:, 0] if np.ndim(values) == 1 else x))

    def log_evidence(self, mean: ArrayLike) -> Array:
        """(k,) logarithm of the capital against "E Z >= mean"; infinite above R."""
        return self._above.log_evidence(self.largest - np.asarray(mean, dtype=np.float64))

    def limit(self, alpha: float) -> Array:
        """(k,) upper limits, however often one looks; R where nothing is known yet."""
        return np.asarray(self.largest - self._above.limit(alpha))
