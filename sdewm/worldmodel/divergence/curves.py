"""From squared errors of single states to curves with intervals."""

import numpy as np
from numpy.typing import NDArray

from ...stats.decide import heavy_tail
from ...stats.ratio import ratio_interval
from .measure import Squares
from .result import Curve
from .spread import Array, Band, moments, root_band

# An error below so many roundings is taken for one.
ROUNDINGS = 10.0
# A state, or a cluster, that moves a mean square by more than this part of it carries it.
CARRIED = 0.05


def curve_of(
    kind: str,
    unit: str,
    size: float,
    at: int,
    parts: list[Squares],
    floor: Array,
    cluster: NDArray[np.int64],
    level: float,
    tolerance: float,
) -> Curve:
    """One curve from the squares of its injections, which are averaged over: several directions of a drift.

    Args:
        kind, unit, size: of the curve, `at` the index of the size.
        parts: one for each injection.
        floor: the error that rounding alone makes, (horizon + 1,).
        cluster: of each state.
        level, tolerance: as for `divergence`.
    """
    squares = np.mean([part.error[at].numpy() for part in parts], 0).T
    steps = np.arange(squares.shape[1], dtype=np.float64)
    error = root_band(squares, cluster, level)
    grown = Band(error.value / size, error.low / size, error.high / size)
    law = {"initial": np.ones_like(steps), "zero drift": np.sqrt(steps), "drift": steps}[kind]
    single = [np.sqrt(part.error[at].numpy().mean(1)) for part in parts]
    predicted = ratio = within = agreeing = off = read = read_predicted = None
    firsts = [part.first.numpy() for part in parts if part.first is not None]
    if firsts:
        first = size**2 * np.mean(firsts, 0).T
        predicted = root_band(first, cluster, level)
        clear = (predicted.value > ROUNDINGS * floor) & (error.value > 0.0)
        ratio = ratio_band(squares, first, cluster, level, clear)
        agreeing = share_agreeing(squares, first, tolerance)
        within, off = where_it_ends(ratio, tolerance)
    reads = [part.read[at].numpy() for part in parts if part.read is not None]
    if reads:
        read = root_band(np.mean(reads, 0).T, cluster, level)
    read_firsts = [part.read_first.numpy() for part in parts if part.read_first is not None]
    if read_firsts:
        read_predicted = root_band(size**2 * np.mean(read_firsts, 0).T, cluster, level)
    near = error.value[1:] <= ROUNDINGS * floor[1:]
    lost = None if not near[-1] else int(len(near) - np.argmin(near[::-1]) + 1) if not near.all() else 1
    # A large share of the variance alone says little: of a thousand states one has it often, and moves the mean by 1 %.
    means = moments(squares, cluster).estimates()[:lost]
    tails = [heavy_tail(mean) and mean.largest_shift > CARRIED * mean.value for mean in means]
    return Curve(
        kind,
        unit,
        size,
        error,
        grown,
        np.median(np.sqrt(squares), 0),
        law,
        predicted,
        ratio,
        within,
        agreeing,
        off,
        np.array(single) if kind == "drift" else None,
        read,
        read_predicted,
        lost,
        tails.index(True) if any(tails) else None,
    )


def ratio_band(top: Array, bottom: Array, cluster: NDArray[np.int64], level: float, clear: NDArray[np.bool_]) -> Band:
    """√(mean top / mean bottom) of (states, k), with Fieller's interval; NaN where it is not clear of rounding."""
    k = top.shape[1]
    rows = np.full((3, k), np.nan)
    joint = moments(np.concatenate((top, bottom), 1), cluster).estimates()
    for n, (above, below) in enumerate(zip(joint[:k], joint[k:], strict=True)):
        if clear[n]:
            low, high = ratio_interval(above, below, level)
            value = above.value / below.value
            # Rounding may leave the value of a deterministic ratio a hair outside its interval.
            rows[:, n] = np.sqrt(np.maximum([value, min(low, value), max(high, value)], 0.0))
    return Band(*rows)


def share_agreeing(top: Array, bottom: Array, tolerance: float) -> Array:
    """The share of states whose own root of top / bottom lies within 1 ± tolerance, (k,); zero agrees with zero.

    Example:
        >>> share_agreeing(np.array([[1.0], [4.0]]), np.array([[1.1], [1.0]]), 0.1)
        array([0.5])
    """
    close = (np.sqrt(top) >= (1.0 - tolerance) * np.sqrt(bottom)) & (
        np.sqrt(top) <= (1.0 + tolerance) * np.sqrt(bottom)
    )
    share: Array = close.mean(0)
    return share


def where_it_ends(ratio: Band, tolerance: float) -> tuple[int, int | None]:
    """The last step up to which all intervals lie within 1 ± tolerance, and the first whose interval lies outside.

    Between both the states are too few to say. Where there is nothing to compare, at NaN, nothing is off.

    Example:
        >>> one, two = np.ones(4), np.array([1.0, 1.0, 1.2, 1.5])
        >>> where_it_ends(Band(two, two - 0.15 * (two - one), two + 0.3), 0.1)
        (-1, 2)
    """
    none = np.isnan(ratio.value)
    inside = none | ((ratio.low >= 1.0 - tolerance) & (ratio.high <= 1.0 + tolerance))
    outside = ~none & ((ratio.low > 1.0 + tolerance) | (ratio.high < 1.0 - tolerance))
    within = len(inside) - 1 if inside.all() else int(np.argmin(inside)) - 1
    return within, int(np.argmax(outside)) if outside.any() else None
