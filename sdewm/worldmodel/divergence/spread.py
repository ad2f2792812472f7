"""Means over states with intervals, where several states may belong to one cluster."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from ...estimate import Moments

Array = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Band:
    """A curve with its interval at each point, not for all points at once.

    Attributes:
        value, low, high: arrays of one shape.
    """

    value: Array
    low: Array
    high: Array


@final
@dataclass(frozen=True, eq=False)
class Spread:
    """How a number is spread over states: arrays of one shape each.

    Attributes:
        mean, median, largest: over the states.
        low, high: their 5 % and 95 % quantiles.
    """

    mean: Array
    low: Array
    median: Array
    high: Array
    largest: Array

    @staticmethod
    def of(values: Array) -> "Spread":
        """The spread over the last axis."""
        low, median, high = np.quantile(values, (0.05, 0.5, 0.95), axis=-1)
        return Spread(values.mean(-1), low, median, high, values.max(-1))


def moments(values: Array, cluster: NDArray[np.int64]) -> Moments:
    """Moments of the mean of `values` (states, k), whose clusters are independent and their states need not be.

    Of each cluster the mean of what deviates, times its share of the states: its sum over clusters has the variance of
    the mean (the linearisation of a ratio of sums, where clusters are of unequal size).

    Example:
        >>> moments(np.array([[1.0], [3.0], [2.0]]), np.array([0, 0, 1])).estimates()[0].value
        2.0
    """
    count = int(cluster.max()) + 1
    mean = values.mean(0)
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, cluster, values - mean)
    return Moments.of(mean + sums * (count / len(values)), keep=True)


def mean_band(values: Array, cluster: NDArray[np.int64], level: float) -> Band:
    """The mean of (states, k) over states; −∞ where one of them is."""
    finite = np.isfinite(values).all(0)
    shown = moments(np.where(finite, values, 0.0), cluster)
    rows = np.array([(e.value, *e.interval(level)) for e in shown.estimates()]).T
    rows[:, ~finite] = values.mean(0)[~finite]
    return Band(*rows)


def root_band(values: Array, cluster: NDArray[np.int64], level: float) -> Band:
    """The root of the mean of squares (states, k) over states."""
    band = mean_band(values, cluster, level)
    return Band(*(np.sqrt(np.maximum(part, 0.0)) for part in (band.value, band.low, band.high)))
