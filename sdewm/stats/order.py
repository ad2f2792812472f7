"""Of what order in ε is a remainder? Three tests on remainders of one sample of paths at several sizes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import NDArray

from ..estimate import Estimate
from ..exceptions import InvalidArgument
from ..validation import level as check_level
from ..validation import positive, real
from ..verdict import Grade, Outcome, Verdict
from .decide import CLOSE, decide, doubt_of, heavy_tail

Array = NDArray[np.float64]

# A mean that is closer to zero than this many standard errors has no logarithm worth a slope.
CLEAR = 4.0
# T1 takes a coefficient for nothing that is below this part of its scale.
TOLERATED = 0.05
# Raw and extrapolated slopes may differ by this much before the sizes are too large for their order to show.
CURVED = 0.1


def size_floor(digits: float) -> float:
    """The smallest ε at which a remainder of order ε³ stands clear of rounding: 10 times the cube root of `digits`.

    Args:
        digits: relative rounding of the states' dtype, `torch.finfo(dtype).eps`.
    """
    return float(10.0 * digits ** (1 / 3))


def check_sizes(sizes: Sequence[float], floor: float, dtype: str, least: int = 3) -> tuple[float, ...]:
    """Sizes of the error in increasing order, none below the floor of their dtype.

    Raises:
        InvalidArgument: there are too few, one is not a positive number, two are equal, or rounding dominates.
    """
    if isinstance(sizes, str) or not isinstance(sizes, Iterable) or len(listed := list(sizes)) < least:
        raise InvalidArgument(f"sizes must hold at least {least} numbers, got {sizes!r}.")
    # Entries of arrays and tensors are numbers too.
    sizes = [size.item() if hasattr(size, "item") else size for size in listed]
    ordered = tuple(sorted(positive("sizes", size) for size in sizes))
    if any(b < 1.2 * a for a, b in pairwise(ordered)):
        raise InvalidArgument(f"sizes must differ by a factor of at least 1.2, got {list(ordered)!r}.")
    if ordered[0] < floor:
        remedy = "" if dtype == "torch.float64" else ", or float64 states, whose floor is 6.1e-05"
        # Rounded up, so that the number that is named is accepted.
        digit = 10.0 ** (math.floor(math.log10(floor)) - 2)
        named = math.ceil(floor / digit) * digit
        raise InvalidArgument(
            f"sizes begin at {ordered[0]:g}, where rounding in {dtype} dominates a remainder of order ε³; use sizes of "
            f"at least {named:.3g}{remedy}."
        )
    return ordered


def richardson_weights(sizes: Sequence[float]) -> Array:
    """Weights w with Σ w_j = 1 and Σ w_j ε_j^m = 0 for 1 <= m < K: they extrapolate K values to ε = 0.

    Example:
        >>> [round(float(w), 3) for w in richardson_weights([0.1, 0.2])]
        [2.0, -1.0]
    """
    scaled = np.asarray(sizes, dtype=np.float64) / max(sizes)
    powers = np.vander(scaled, increasing=True).T
    target = np.zeros(len(scaled))
    target[0] = 1.0
    return np.asarray(np.linalg.solve(powers, target), dtype=np.float64)


def negligible(
    coefficient: Estimate,
    scale: Estimate,
    fraction: float = TOLERATED,
    level: float = 0.999,
    *,
    root: bool = False,
    floor: float | Estimate = 0.0,
    what: str = "the missing coefficient",
) -> Verdict:
    """T1: judge |m| <= fraction · s for a coefficient m and a scale s of the same run, such as E |c_i|.

    The one-sided statements m <= fraction · s and −m <= fraction · s are linear in the means, so that the sampling
    error of the scale is counted, with its covariance. Holds if both are certain, violated if one is refuted. Where the
    scale is a root, s = √E p², each quantity gets an interval of its own and an equal share of the error probability.

    Args:
        coefficient: estimate of m.
        scale: estimate of s >= 0, or of s² where `root` is set; from the same run.
        fraction: how much of the scale counts as nothing.
        level: confidence level; each wrong verdict has at most the probability 1 − level, asymptotically. Where the
            rare large paths of a heavy tail could still move the verdict it decides only if the border is further away
            than the interval is wide: measured on lognormal tails exp(σξ), σ = 2 and 2.5, n = 1000, at a truth beside
            the border, at most 5 of 400 verdicts are wrong where bare intervals give up to 50.
        root: whether `scale` estimates s².
        floor: what is tolerated besides: a number, such as rounding may amount to, or an estimate of the same run.
        what: name of m in the reason.

    Raises:
        InvalidArgument: fraction is not in (0, 1), or floor is below zero.

    Example:
        >>> from sdewm.estimate import Moments
        >>> m, s = Moments.of([[0.01, 1.0], [-0.01, 1.2], [0.0, 0.8], [0.0, 1.0]] * 100).estimates()
        >>> negligible(m, s).outcome.value
        'holds'
    """
    besides = floor if isinstance(floor, Estimate) else Estimate(real("floor", floor), ())
    if not positive("fraction", fraction) < 1.0 or not besides.value >= 0.0:
        raise InvalidArgument(f"fraction must lie in (0, 1) and floor be >= 0, got {fraction!r} and {floor!r}.")
    low, high = coefficient.interval(check_level(level))
    if root:
        # Each of two or three intervals has an equal share of the error probability.
        share = 1.0 - (1.0 - level) / (2.0 + bool(besides.parts))
        low, high = coefficient.interval(share)
        s_low, s_high = (math.sqrt(max(s, 0.0)) for s in scale.interval(share))
        least, most = (max(f, 0.0) for f in besides.interval(share))
        tolerance = fraction * math.sqrt(max(scale.value, 0.0)) + besides.value
        inside = fraction * s_low + least - max(-low, high)
        outside = max(low, -high) - fraction * s_high - most
    else:
        border = fraction * scale + besides
        sides = [(sign * coefficient - border).interval(level) for sign in (1.0, -1.0)]
        tolerance = border.value
        inside, outside = -max(up for _, up in sides), max(down for down, _ in sides)
        s_low, s_high = scale.interval(level)
    # A heavy tail spoils the interval on the side from which the rare large paths come: what has been seen of them is
    # in it, what has not would lie further out. So it is doubted where the border is within the interval's width.
    own = heavy_tail(coefficient) and max(inside, outside) <= high - low
    close = own and (outside <= 0.0 or _outlier_towards_zero(coefficient))
    # A scale is mostly found too small: that may refute, but not confirm, what is true.
    close |= outside > 0.0 and heavy_tail(scale) and outside <= fraction * (s_high - s_low)
    return decide(
        f"{what} is {coefficient.value:.4g} [{low:.4g}, {high:.4g}], allowed ±{tolerance:.4g}",
        inside,
        outside,
        interval=(low, high),
        allowed=(-tolerance, tolerance),
        level=level,
        doubt=CLOSE if close else doubt_of(coefficient, math.inf),
    )


def _outlier_towards_zero(estimate: Estimate) -> bool:
    """Whether the path that is furthest from the mean lies on the side of zero."""
    below, above = estimate.extremes
    return below > above if estimate.value > 0.0 else above > below


@final
@dataclass(frozen=True)
class Slope:
    """The slope of log |mean| against log ε, by least squares, with its standard error by the delta method.

    Attributes:
        value: the slope.
        standard_error: of the value; the means of one run are correlated, and that is counted.
        n: number of paths.
    """

    value: float
    standard_error: float
    n: int

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided confidence interval."""
        from scipy.special import stdtrit  # here, so that importing the package stays quick

        half = 0.0
        if self.standard_error:
            half = float(stdtrit(max(self.n - 1, 1), 0.5 + check_level(level) / 2)) * self.standard_error
        return self.value - half, self.value + half


def log_slope(means: Sequence[Estimate], sizes: Sequence[float], power: float = 1.0) -> Slope:
    """Slope of log |mean_j|^power against log ε_j; power ½ turns mean squares into root mean squares.

    Raises:
        InvalidArgument: a mean is zero.
    """
    values = np.array([m.value for m in means])
    if not bool((values != 0.0).all()):
        raise InvalidArgument("means must not be zero: a zero has no logarithm.")
    x = np.log(np.asarray(sizes, dtype=np.float64))
    x = x - x.mean()
    weights = power * x / float(x @ x)
    relative = weights / values
    covariance = np.array([[a.covariance(b) for b in means] for a in means])
    variance = float(relative @ covariance @ relative)
    return Slope(float(weights @ np.log(np.abs(values))), math.sqrt(max(variance, 0.0)), min(m.n for m in means))


def order_at_least(
    means: Sequence[Estimate],
    sizes: Sequence[float],
    threshold: float,
    level: float = 0.999,
    *,
    power: float = 1.0,
    rounding: float = 0.0,
    clear: float = CLEAR,
    what: str = "the order of the mean remainder",
) -> Verdict:
    """T2 and T3: judge whether a remainder is of an order above the threshold, by the slope in log ε.

    Args:
        means: estimates of the mean remainder at each size (T2), or of its mean square with power ½ (T3).
        sizes: the sizes.
        threshold: border of the slope, between two orders: 2.5 tells order 2 from order 3.
        level: confidence level.
        power: 1 for means, ½ for mean squares.
        rounding: what rounding alone may amount to; a remainder that is nowhere larger holds.
        clear: how many standard errors a mean must be from zero, or its slope is noise and the verdict inconclusive.
            Mean squares cannot be zero by cancellation, so that T3 sets it to zero: the same rare paths carry them at
            every size, and their slope is sharp even where their size is not.
        what: name of the slope in the reason.

    Returns:
        A `Verdict`.
    """
    allowed = (threshold, math.inf)
    if all(abs(m.value) ** power <= rounding for m in means):
        reason = f"{what}: the remainder is rounding, at most {max(abs(m.value) ** power for m in means):.2g}"
        return Verdict(Outcome.HOLDS, Grade.ASYMPTOTIC, reason, None, allowed, None, level)
    if min(m.n for m in means) < 2:
        reason = f"{what} cannot be read off: one path has no interval"
        return Verdict(Outcome.INCONCLUSIVE, Grade.ASYMPTOTIC, reason, None, allowed, None, level)
    unclear = [s for m, s in zip(means, sizes, strict=True) if not abs(m.value) > clear * m.standard_error]
    if unclear:
        listed = ", ".join(f"{s:g}" for s in unclear)
        reason = f"{what} cannot be read off: at ε = {listed} the mean is within {clear:g} standard errors of zero"
        return Verdict(Outcome.INCONCLUSIVE, Grade.ASYMPTOTIC, reason, None, allowed, None, level)
    slope = log_slope(means, sizes, power)
    low, high = slope.interval(level)
    reason = f"{what} is {slope.value:.3f} [{low:.3f}, {high:.3f}], allowed at least {threshold:g}"
    inside, outside = low - threshold, threshold - high
    return decide(reason, inside, outside, interval=(low, high), allowed=allowed, level=level)


def local_slopes(squares: Sequence[float], sizes: Sequence[float]) -> Array:
    """Slopes of the root of `squares` between neighbouring sizes."""
    slopes: Array = 0.5 * np.diff(np.log(np.asarray(squares))) / np.diff(np.log(np.asarray(sizes)))
    return slopes


def curvature(squares: Sequence[float], sizes: Sequence[float]) -> float:
    """How far a raw slope between neighbouring sizes is from the slope extrapolated to ε = 0, at most.

    A slope that is an order plus a term linear in ε is extrapolated from its values at the smallest sizes. Sizes at
    which this exceeds 0.1 are so large that the next orders hide the one that is looked for: truncation dominates.
    """
    slopes = local_slopes(squares, sizes)
    middles = np.sqrt(np.asarray(sizes[1:]) * np.asarray(sizes[:-1]))
    a, b = slopes[0], slopes[1]
    limit = a - middles[0] * (b - a) / (middles[1] - middles[0])
    return float(np.abs(slopes - limit).max())
