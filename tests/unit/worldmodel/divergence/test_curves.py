"""Intervals over states that come in clusters, and where first order ends."""

import numpy as np
import pytest
import torch
from alarm import FALSE_ALARM, spend

from sdewm.worldmodel.divergence.curves import curve_of, ratio_band, share_agreeing, where_it_ends
from sdewm.worldmodel.divergence.measure import Squares
from sdewm.worldmodel.divergence.spread import Band, Spread, mean_band, moments, root_band


def test_a_cluster_counts_once() -> None:
    values = np.random.default_rng(0).normal(size=(20, 3)) ** 2
    one = mean_band(values, np.arange(20), 0.95)
    thrice = mean_band(np.repeat(values, 3, 0), np.repeat(np.arange(20), 3), 0.95)
    alone = mean_band(np.repeat(values, 3, 0), np.arange(60), 0.95)
    for part in ("value", "low", "high"):
        np.testing.assert_allclose(getattr(one, part), getattr(thrice, part), rtol=1e-12)
    # Control: copies taken for independent states make the interval too short.
    assert ((alone.high - alone.low) < 0.7 * (one.high - one.low)).all()


def test_clusters_of_unequal_size() -> None:
    values = np.array([[1.0], [2.0], [3.0], [10.0]])
    got = moments(values, np.array([0, 0, 0, 1]))
    assert got.n == 2
    assert got.mean[0] == pytest.approx(4.0)
    # Residual sums −6 and 6, over n = 4 states: the ratio estimator's variance is Σ r² / n² · G / (G − 1).
    assert got.covariance[0, 0] == pytest.approx((36.0 + 36.0) / 16.0 * 2.0)


def test_intervals_cover() -> None:
    """Root mean squares of chi-squared states in clusters: 95 % intervals miss in about 5 % of 400 repetitions."""
    source, misses, alone = np.random.default_rng(1), 0, 0
    cluster = np.repeat(np.arange(40), 3)
    for _ in range(400):
        shared = source.normal(size=(40, 1)).repeat(3, 0)
        values = (0.95 * shared + (1.0 - 0.95**2) ** 0.5 * source.normal(size=(120, 1))) ** 2
        for k, labels in enumerate((cluster, np.arange(120))):
            band = root_band(values, labels, 0.95)
            missed = not band.low[0] <= 1.0 <= band.high[0]
            misses, alone = misses + missed * (k == 0), alone + missed * (k == 1)
    spend(FALSE_ALARM)
    # A binomial of 400 and .07 exceeds 56 with probability 3e-7, and one of .035 is zero with 7e-7.
    assert 1 <= misses <= 56
    # Control: taken for independent, states of one cluster miss more often than that.
    assert alone > 56


def test_the_ratio_of_a_multiple_is_exact() -> None:
    top = np.random.default_rng(0).gamma(1.0, size=(50, 2))
    clear = np.array([True, False])
    band = ratio_band(4.0 * top, top, np.arange(50), 0.95, clear)
    assert band.value[0] == pytest.approx(2.0)
    assert band.low[0] == pytest.approx(2.0, abs=1e-6)
    assert band.high[0] == pytest.approx(2.0, abs=1e-6)
    assert np.isnan(band.value[1])


def test_where_it_ends() -> None:
    value = np.array([np.nan, 1.0, 1.05, 1.08, 1.2, 1.3])
    assert where_it_ends(Band(value, value - 0.01, value + 0.01), 0.1) == (3, 4)
    # An interval across the border is neither inside nor outside.
    assert where_it_ends(Band(value, value - 0.15, value + 0.15), 0.1) == (0, 5)
    assert where_it_ends(Band(value[:3], value[:3], value[:3]), 0.1) == (2, None)
    assert where_it_ends(Band(1.0 / value, 1.0 / value, 1.0 / value), 0.1) == (3, 4)


def test_agreeing_counts_states_on_both_sides() -> None:
    top, bottom = np.array([[0.7], [1.0], [1.3], [0.0]]), np.array([[1.0], [1.0], [1.0], [0.0]])
    assert share_agreeing(top, bottom, 0.1).tolist() == [0.5]


def one_curve(squares: np.ndarray, first: np.ndarray):
    part = Squares(torch.from_numpy(squares)[None], torch.from_numpy(first), None, None)
    floor = np.zeros(len(squares))
    return curve_of("initial", "raw", 1.0, 0, [part], floor, np.arange(squares.shape[1]), 0.95, 0.1)


def test_a_wrong_prediction_is_off_at_once() -> None:
    """Control: errors that grow like 1.2^N, predicted as if like 1.1^N, are 9 % off at first and 19 % at the second."""
    n, size = np.arange(6)[:, None], np.random.default_rng(0).gamma(4.0, size=50)
    wrong = one_curve(1.2 ** (2 * n) * size, 1.1 ** (2 * n) * size)
    assert (wrong.within, wrong.off) == (1, 2)
    right = one_curve(1.2 ** (2 * n) * size, 1.2 ** (2 * n) * size)
    assert (right.within, right.off) == (5, None)


def test_a_state_that_carries_the_mean_is_flagged() -> None:
    size = np.ones((3, 100))
    assert one_curve(size, size).heavy is None
    size = size * np.random.default_rng(0).chisquare(50, size=(1, 100))
    assert one_curve(size, size).heavy is None
    # Much of the variance, but of a thousand states, moves the mean by little.
    many = np.ones((3, 1000)) + np.random.default_rng(0).uniform(-0.1, 0.1, size=(1, 1000))
    many[2, 7] = 20.0
    assert one_curve(many, many).heavy is None
    size[2, 7] = 1000.0
    assert one_curve(size, size).heavy == 2


def test_minus_infinity_is_no_nan() -> None:
    band = mean_band(np.array([[1.0, -np.inf], [2.0, -np.inf], [3.0, 1.0]]), np.arange(3), 0.95)
    assert band.value.tolist() == [2.0, -np.inf]
    assert band.low[1] == band.high[1] == -np.inf


def test_spread() -> None:
    spread = Spread.of(np.arange(101.0))
    assert (spread.low, spread.median, spread.high, spread.largest, spread.mean) == (5.0, 50.0, 95.0, 100.0, 50.0)
