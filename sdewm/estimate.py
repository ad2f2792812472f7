"""Means over independent paths, with intervals that remember which run they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .exceptions import InvalidArgument
from .output import frame, plain, table
from .validation import level as check_level

Array = NDArray[np.float64]

_SAME_NOISE = (
    "two estimates from separate samples of the same noise cannot be combined: their covariance is unknown; give the "
    "second run another seed, or observe both quantities in one run."
)


# Skewness of a mean above which its correction for skewness is no small one.
_SKEWED = 0.4


@final
@dataclass(frozen=True, eq=False)
class Moments:
    """First and second moments of k quantities observed on n independent paths.

    Sums of blocks are merged in a fixed order (Chan, Golub, LeVeque), so the result does not depend on who computed
    which block.

    Attributes:
        n: number of paths.
        mean: (k,) sample means.
        scatter: (k, k) sums of products of deviations from the mean.
        low, high: (k,) extremes, by which a single dominating path is noticed.
        noise: what fixes the noise of this run; two runs on the same noise are dependent.
        observations: (n, k) all of them, where there are few: intervals then correct for their skewness.
    """

    n: int
    mean: Array
    scatter: Array
    low: Array
    high: Array
    noise: str | None = None
    observations: Array | None = None

    @staticmethod
    def of(values: ArrayLike, noise: str | None = None, keep: bool = False) -> "Moments":
        """Moments of `values` of shape (n, k) or (n,), and these themselves if they are to be kept."""
        x = np.asarray(values, dtype=np.float64)
        x = x[:, None] if x.ndim == 1 else x
        if x.ndim != 2 or not x.shape[0]:
            raise InvalidArgument(f"values must have shape (n, k) with n >= 1, got {x.shape}.")
        with np.errstate(invalid="ignore"):  # an infinite value makes its own moments NaN, and that is noticed
            mean = x.mean(0)
            deviation = x - mean
            scatter = deviation.T @ deviation
            return Moments(len(x), mean, scatter, x.min(0), x.max(0), noise, x if keep else None)

    def to_arrays(self) -> dict[str, Array]:
        """All numbers as named arrays, for a file."""
        arrays = {
            "n": np.array([self.n], dtype=np.float64),
            "mean": self.mean,
            "scatter": self.scatter,
            "low": self.low,
            "high": self.high,
        }
        return arrays if self.observations is None else {**arrays, "observations": self.observations}

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array], noise: str | None = None) -> "Moments":
        """The inverse of `to_arrays`."""
        mean, scatter, low, high = (arrays[name] for name in ("mean", "scatter", "low", "high"))
        return Moments(int(arrays["n"][0]), mean, scatter, low, high, noise, arrays.get("observations"))

    def merge(self, other: "Moments") -> "Moments":
        """Moments of both samples together."""
        n = self.n + other.n
        kept = None
        if self.observations is not None and other.observations is not None:
            kept = np.concatenate((self.observations, other.observations))
        with np.errstate(invalid="ignore"):
            delta = other.mean - self.mean
            return Moments(
                n,
                self.mean + delta * (other.n / n),
                self.scatter + other.scatter + np.outer(delta, delta) * (self.n * other.n / n),
                np.minimum(self.low, other.low),
                np.maximum(self.high, other.high),
                self.noise,
                kept,
            )

    @property
    def covariance(self) -> Array:
        """(k, k) covariance of the means; infinite for a single path."""
        if self.n < 2:
            return np.full_like(self.scatter, np.inf)
        return self.scatter / ((self.n - 1) * self.n)

    def higher(self, weights: Array) -> tuple[float, float]:
        """Third and fourth cumulants of a linear combination of the means, without bias; zero if nothing is kept."""
        n = self.n
        if self.observations is None or n < 4:
            return 0.0, 0.0
        used = weights != 0.0
        d = (self.observations[:, used] - self.mean[used]) @ weights[used]
        m2, m3, m4 = (float((d**j).mean()) for j in (2, 3, 4))
        # Fisher's k-statistics, over n² and n³: cumulants of a mean.
        third = m3 / ((n - 1) * (n - 2))
        fourth = ((n + 1) * m4 - 3 * (n - 1) * m2**2) / (n * (n - 1) * (n - 2) * (n - 3))
        return third, fourth

    def estimate(self, weights: ArrayLike) -> "Estimate":
        """The linear combination of the k means with these weights."""
        return Estimate(0.0, ((self, np.asarray(weights, dtype=np.float64)),))

    def estimates(self) -> tuple["Estimate", ...]:
        """One estimate for each of the k means, sharing their covariance."""
        return tuple(self.estimate(row) for row in np.eye(len(self.mean)))


def student_bounds(freedom: float, level: float, skewness: float = 0.0, kurtosis: float = 0.0) -> tuple[float, float]:
    """Bounds of (mean − expectation) / standard error, for independent observations that need not be normal.

    With γ/√n and κ/n, the skewness and excess kurtosis of the mean, and Student's and the normal quantile t and z,

        −γ/√n (2z² + 1)/6 ± [t + z (11 γ²/n (z² + 2)/72 + e/n (3z² + 5)/12)],   e = max(κ − 3γ²/2, 0).

    This is the expansion of Cornish and Fisher for Student's statistic with the term that γ is itself estimated, so
    that either side is wrong by o(1/n) more than it should be, where Student's own bounds are by order γ/√n. Where the
    tails are lighter than a gamma law's, κ < 3γ²/2, that law's bounds are kept, which are wider. Bounds for different
    levels are nested, and zero lies between them, whatever γ and κ.

    Args:
        freedom: degrees of freedom of the standard error.
        level: two-sided confidence level.
        skewness, kurtosis: of the mean, not of an observation.

    Source: Hall, The Bootstrap and Edgeworth Expansion, 1992, sections 2.5, 2.6 and 3.5.

    Example:
        >>> low, high = student_bounds(63, 0.95, skewness=0.3)
        >>> round(low, 2), round(high, 2)
        (-2.59, 1.72)
    """
    from scipy.special import ndtri, stdtrit  # here, so that importing the package stays quick

    tail = 0.5 + check_level(level) / 2
    t, z = float(stdtrit(freedom, tail)), float(ndtri(tail))
    heavier = max(kurtosis - 1.5 * skewness**2, 0.0)
    half = t + z * (11.0 * skewness**2 * (z**2 + 2.0) / 72.0 + heavier * (3.0 * z**2 + 5.0) / 12.0)
    shift = -skewness * (2.0 * z**2 + 1.0) / 6.0
    return shift - half, shift + half


@final
@dataclass(frozen=True, eq=False)
class Estimate:
    """A linear combination of sample means with its standard error and interval.

    Estimates from one run share that run's covariance: `e.P * eps + (e.Q + e.S / 2) * eps**2` has an honest
    interval. Estimates from different runs are taken for independent.

    The interval is Student's, from the central limit theorem: it is asymptotic, and for heavy tails it is too short;
    `largest_share` says how much of the variance one single path contributes. Where the observations are kept, because
    they are few (replicates of a point set), it is corrected for their skewness by `student_bounds`, and not symmetric.

    Raises:
        InvalidArgument: two runs on the same noise are combined (their covariance is unknown).

    Example:
        >>> a, b = Moments.of([[1.0, 2.0], [3.0, 6.0], [2.0, 4.0]]).estimates()
        >>> (b - 2 * a).value, (b - 2 * a).standard_error
        (0.0, 0.0)
    """

    constant: float
    parts: tuple[tuple[Moments, Array], ...]
    _variance: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        variance = 0.0
        for m, w in self.parts:
            used = w != 0.0
            if used.any():
                # One path says nothing about its spread, not even of a difference.
                variance += np.inf if m.n < 2 else float(w[used] @ m.covariance[np.ix_(used, used)] @ w[used])
        # Rounding may push a variance of zero below it; a NaN stays one.
        object.__setattr__(self, "_variance", 0.0 if variance < 0.0 else variance)

    @property
    def value(self) -> float:
        """The point estimate."""
        return self.constant + sum(float(w[w != 0.0] @ m.mean[w != 0.0]) for m, w in self.parts)

    @property
    def standard_error(self) -> float:
        """Standard error of `value`."""
        return float(np.sqrt(self._variance))

    @property
    def n(self) -> int:
        """Number of paths of the smallest run that contributes."""
        return min((m.n for m, _ in self.parts), default=0)

    @property
    def largest_share(self) -> float:
        """Largest share of a contributing quantity's sum of squares that is due to one single path.

        Near 1/n for bounded quantities; a share of some per cent means that the interval rests on a few paths.
        """
        shares = [0.0]
        for m, w in self.parts:
            used = w != 0.0
            extreme = np.maximum(np.abs(m.low - m.mean), np.abs(m.high - m.mean))[used] ** 2
            total = np.diag(m.scatter)[used]
            share = np.divide(extreme, total, out=np.zeros_like(total), where=total > 0)
            shares.append(float(np.max(share, initial=0.0)))
        return max(shares)

    @property
    def extremes(self) -> tuple[float, float]:
        """How far the most extreme single paths lie below and above the value, at most."""
        below = above = 0.0
        for m, w in self.parts:
            down, up = m.mean - m.low, m.high - m.mean
            used = w != 0.0
            below += float(np.where(w > 0.0, w * down, -w * up)[used].sum())
            above += float(np.where(w > 0.0, w * up, -w * down)[used].sum())
        return below, above

    @property
    def largest_shift(self) -> float:
        """An upper bound of how far one single path, the most extreme one, moves the value."""
        return float(
            sum(
                np.abs(w[used]) @ np.maximum(np.abs(m.low - m.mean), np.abs(m.high - m.mean))[used] / m.n
                for m, w in self.parts
                for used in [w != 0.0]
            )
        )

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided confidence interval, with the same error on either side."""
        if self._variance == 0.0:
            check_level(level)
            return self.value, self.value
        low, high = student_bounds(max(self.n - 1, 1), level, *self._shape)
        return self.value - high * self.standard_error, self.value - low * self.standard_error

    @property
    def _shape(self) -> tuple[float, float]:
        """Skewness and excess kurtosis of `value`, as far as the observations are kept."""
        error = self.standard_error
        if not 0.0 < error < np.inf:
            return 0.0, 0.0
        # In units of the standard error, whose powers may be too small for floating point numbers.
        parts = [m.higher(w / error) for m, w in self.parts]
        return sum(third for third, _ in parts), sum(fourth for _, fourth in parts)

    @property
    def skewed(self) -> bool:
        """Whether the kept observations are so few for their skewness that even the corrected interval may be short."""
        return abs(self._shape[0]) > _SKEWED

    def covariance(self, other: "Estimate") -> float:
        """Covariance of two estimates: that of their common runs, and zero between runs on different noise.

        Raises:
            InvalidArgument: they come from separate samples of the same noise.
        """
        total = 0.0
        for moments, w in self.parts:
            for theirs, v in other.parts:
                if moments is theirs:
                    a, b = w != 0.0, v != 0.0
                    if a.any() and b.any():
                        total += np.inf if moments.n < 2 else float(w[a] @ moments.covariance[np.ix_(a, b)] @ v[b])
                elif moments.noise is not None and moments.noise == theirs.noise:
                    raise InvalidArgument(_SAME_NOISE)
        return total

    def __add__(self, other: "Estimate | float") -> "Estimate":
        if not isinstance(other, Estimate):
            return Estimate(self.constant + float(other), self.parts)
        parts = list(self.parts)
        for moments, weights in other.parts:
            for i, (mine, w) in enumerate(parts):
                if mine is moments:
                    parts[i] = (mine, w + weights)
                    break
                if mine.noise is not None and mine.noise == moments.noise:
                    raise InvalidArgument(_SAME_NOISE)
            else:
                parts.append((moments, weights))
        return Estimate(self.constant + other.constant, tuple(parts))

    def __mul__(self, factor: float) -> "Estimate":
        if isinstance(factor, Estimate):
            return NotImplemented
        factor = float(factor)
        return Estimate(self.constant * factor, tuple((m, w * factor) for m, w in self.parts))

    def __neg__(self) -> "Estimate":
        return self * -1.0

    def __sub__(self, other: "Estimate | float") -> "Estimate":
        return self + (-other)

    def __rsub__(self, other: float) -> "Estimate":
        return (-self) + other

    def __truediv__(self, divisor: float) -> "Estimate":
        return self * (1.0 / divisor)

    __radd__ = __add__
    __rmul__ = __mul__

    def __float__(self) -> float:
        return self.value

    def to_dict(self, level: float = 0.95) -> dict[str, Any]:
        """Value, standard error, interval and number of paths, as plain values for JSON.

        Args:
            level: confidence level of the interval.

        Example:
            >>> Moments.of([1.0, 2.0, 3.0]).estimates()[0].to_dict()["value"]
            2.0
        """
        low, high = self.interval(level)
        numbers = {"value": self.value, "standard_error": self.standard_error, "low": low, "high": high}
        return {**{name: plain(float(number)) for name, number in numbers.items()}, "level": level, "n": self.n}

    def to_frame(self, level: float = 0.95) -> Any:
        """`to_dict` as a pandas DataFrame of one row.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return frame([self.to_dict(level)])

    def _repr_html_(self) -> str:
        low, high = self.interval()
        numbers = (f"{self.value:.5g}", f"{self.standard_error:.2g}", f"[{low:.5g}, {high:.5g}]", str(self.n))
        return table("estimate", ["value", "standard error", "95 % interval", "n"], [numbers])

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.value:.5g} [{low:.5g}, {high:.5g}]"

    __repr__ = __str__
