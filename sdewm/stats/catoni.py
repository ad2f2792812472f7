"""A limit from above for a mean whose second moment is bounded, whatever its higher moments are."""

import math
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from ..exceptions import InvalidArgument
from ..validation import positive
from .evidence import Array, Evidence, Factor, checked, head, log_mixture, log_products, stakes, threshold

_HALVINGS = 60
_LARGEST_OCTAVE = 6.0


@final
class _Influence(Factor):
    """½ (1 + (1 + λ(a − z))₊²): 1 + x + x²/2 down to its least value, and that from there on."""

    def __init__(self, rates: Array, centre: Array) -> None:
        self.rates, self.stakes = rates[:, None, None], len(rates)
        # 1 + λ(a − z) = (1 + λa) − λz
        self.start = 1.0 + self.rates * centre

    def __call__(self, x: Array) -> Array:
        f = np.maximum(self.start - self.rates * x, 0.0)
        return 0.5 * (1.0 + f * f)


@final
class BelowByMoment(Evidence):
    """Evidence that the mean of Z >= 0 lies below m, from a bound on its second moment or on its variance.

    With the influence f(x) = ½ (1 + (1 + x)₊²), increasing, at least ½ and at most 1 + x + x²/2, and a centre a,

        E f(λ(a − Z)) <= 1 + λ(a − D) + ½ λ² E(Z − a)² <= q_λ(D)
        q_λ(D) = 1 + λ(a − D) + ½ λ² (v − 2aD + a²)              given E Z² <= v,
        q_λ(D) = 1 + λ(a − D) + ½ λ² (v + (a − D)²)              given Var Z <= v,

    so that Π f(λ(a − Z_i)) / q_λ(m)^n is a supermartingale if E Z = m. It is one for every E Z >= m too: the first q
    decreases in m; for the second take its least value up to m (it is at m or at a + 1/λ), which is allowed because the
    supremum of E f over all laws of variance <= v decreases in their mean (shift the law). The capital is the mixture
    over a grid of rates λ_j = 2^(j/2)/√v, j = −32 … 12, with the weights of `Above`. The centre is the mean of the
    first values (an eighth of the first block, at most 64), which are then left out; a bad centre makes the limit
    longer, not wrong. An outlier, however far, costs no more than a factor 2 q_λ(m) of capital, which is about 2.

    Args:
        second_moment: a certified bound on E Z².
        variance: a certified bound on Var Z; give one of both.

    Raises:
        InvalidArgument: none or both are given, or it is not above zero.

    Source:
        Catoni, Ann. IHP 48 (2012); Wang and Ramdas, "Catoni-style confidence sequences for heavy-tailed mean
        estimation", SPA 163 (2023). The one-sided, monotone influence and the centre are as derived above.

    Warning:
        The bound is believed. For independent paths, as in `Above`.

    Example:
        >>> below = BelowByMoment(second_moment=2.0)
        >>> below.add(np.random.default_rng(0).exponential(size=4096))
        >>> bool(1.0 < below.limit(0.025) < 1.1)
        True
    """

    def __init__(self, *, second_moment: float | None = None, variance: float | None = None) -> None:
        if (second_moment is None) == (variance is None):
            raise InvalidArgument(
                f"second_moment or variance must be given, one of both, got {second_moment!r} and {variance!r}."
            )
        self._of_second = second_moment is not None
        self._bound = positive("second_moment", second_moment) if self._of_second else positive("variance", variance)
        grid, self._log_weights = stakes(_LARGEST_OCTAVE)
        self._rates = grid / math.sqrt(self._bound)
        # Until the first values are in there is one quantity, of which nothing is known.
        self._centre, self._logs, self._n = np.zeros(1), np.zeros((len(grid), 1)), 0
        self._flat = self._empty = True

    def add(self, values: ArrayLike) -> None:
        """Bet on further paths: (n,) values, or (n, k).

        Raises:
            InvalidArgument: a value is negative, or the shape is another one.
            NumericalFailure: a value is not finite.
        """
        x = checked(values)
        if self._empty:
            self._flat, self._empty = np.ndim(values) == 1, False
            first, x = head(x)
            self._centre = first.mean(0)
            self._logs = np.zeros((len(self._rates), len(self._centre)))
        if len(x):
            self._logs = self._logs + log_products(_Influence(self._rates, self._centre), x)
            self._n += len(x)

    def _log_expected(self, m: Array) -> Array:
        """(J, k) log q_λ(m)."""
        rate, a = self._rates[:, None], self._centre
        if self._of_second:
            q = 1.0 + rate * (a - m) + 0.5 * rate**2 * (self._bound - 2.0 * a * m + a**2)
            # Beyond √v no law has this mean; there q may fall to zero.
            return np.asarray(np.log(np.maximum(q, 0.25)))
        gap = np.maximum(rate * (a - m), -1.0)
        return np.asarray(np.log(1.0 + gap + 0.5 * (rate**2 * self._bound + gap**2)))

    def log_evidence(self, mean: ArrayLike) -> Array:
        """(k,) logarithm of the capital against "E Z >= mean"; infinite above the root of the second moment."""
        m = np.asarray(mean, dtype=np.float64)
        finite = np.where(np.isneginf(m), 0.0, m)
        logs = log_mixture(self._log_weights, self._logs - self._n * self._log_expected(finite))
        # Against a mean above minus infinity there is never any evidence.
        logs = np.where(np.isneginf(m), -np.inf, logs)
        if self._of_second:
            logs = np.where(m > math.sqrt(self._bound), np.inf, logs)
        return logs[0] if self._flat and np.ndim(mean) == 0 else logs

    def limit(self, alpha: float) -> Array:
        """(k,) upper limits, however often one looks; the root of the second moment, or infinity, at first."""
        wanted = threshold(alpha)
        root = math.sqrt(self._bound)
        top = root if self._of_second else math.inf
        low = np.zeros_like(self._centre)
        # At a + 1/λ of the smallest rate the evidence has all that it will ever have.
        high = np.full_like(low, root) if self._of_second else self._centre + 1.0 / self._rates[0]
        reached = np.reshape(self.log_evidence(high), high.shape) >= wanted
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            enough = np.reshape(self.log_evidence(middle), middle.shape) >= wanted
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        limits = np.where(reached, high, top)
        return limits[0] if self._flat else limits
