"""Control variates: unbiased, with honest intervals, and never worse than what regression can do."""

import numpy as np
import pytest
from alarm import FALSE_ALARM, spend
from joint import assert_all_cover
from numpy.typing import NDArray
from scipy.stats import binom

from sdewm.estimate import Moments
from sdewm.exceptions import InvalidArgument
from sdewm.stats import controlled
from sdewm.stats.controls import select

Array = NDArray[np.float64]


def sample(n: int, seed: int) -> Array:
    """Two columns of means 1 and −2 that depend on two controls of mean zero."""
    z = np.random.default_rng(seed).standard_normal((n, 4))
    return np.stack((1 + 2 * z[:, 0] - z[:, 1] + 0.3 * z[:, 2], -2 + z[:, 0] + 0.1 * z[:, 3], z[:, 0], z[:, 1]), 1)


def test_the_estimate_is_that_of_least_squares() -> None:
    """The intercept at the known means, with the classical variance and degrees of freedom."""
    x, known = sample(40, 0), np.array([0.2, -0.1])
    found = controlled(Moments.of(x), 2, known)
    design = np.column_stack((np.ones(40), x[:, 2:] - known))
    inverse = np.linalg.inv(design.T @ design)
    for j, estimate in enumerate(found):
        beta = inverse @ design.T @ x[:, j]
        variance = ((x[:, j] - design @ beta) ** 2).sum() / 37 * inverse[0, 0]
        assert estimate.value == pytest.approx(beta[0])
        assert estimate.standard_error == pytest.approx(variance**0.5)
        assert estimate.n == 38
    joint = found[0] - 2.0 * found[1]
    beta = inverse @ design.T @ (x[:, 0] - 2 * x[:, 1])
    variance = ((x[:, 0] - 2 * x[:, 1] - design @ beta) ** 2).sum() / 37 * inverse[0, 0]
    assert joint.standard_error == pytest.approx(variance**0.5)


def test_variance_falls_by_what_is_explained() -> None:
    """By the known factors 5.09 / 0.09 and 1.01 / 0.01."""
    moments = Moments.of(sample(20_000, 1))
    found = controlled(moments, 2)
    assert_all_cover(zip(found, (1.0, -2.0), strict=True))
    for estimate, plain, gain in zip(found, moments.estimates()[:2], (5.09 / 0.09, 101.0), strict=True):
        assert (plain.standard_error / estimate.standard_error) ** 2 == pytest.approx(gain, rel=0.05)


def covering(correct: bool) -> int:
    """How many of 1000 intervals at 95 % from 8 observations hold the truth, with the fit accounted for or not."""
    hits = 0
    for seed in range(1000):
        x = sample(8, seed)
        if correct:
            (estimate, _) = controlled(Moments.of(x), 2)
        else:
            fit = np.linalg.lstsq(x[:, 2:] - x[:, 2:].mean(0), x[:, 0] - x[:, 0].mean(), rcond=None)[0]
            (estimate,) = Moments.of(x[:, 0] - x[:, 2:] @ fit).estimates()
        low, high = estimate.interval()
        hits += low <= 1.0 <= high
    return hits


def test_intervals_cover_and_those_that_forget_the_fit_do_not() -> None:
    """Exact for normal columns, so that 8 observations suffice."""
    spend()
    low, high = binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], 1000, 0.95)
    assert low <= covering(correct=True) <= high
    assert covering(correct=False) < low


def test_wrong_known_means_give_a_wrong_answer() -> None:
    """The known mean matters: 0.1 moves the estimate by 0.2."""
    low, high = controlled(Moments.of(sample(20_000, 2)), 2, [0.1, 0.0])[0].interval(1 - FALSE_ALARM)
    assert not low <= 1.0 <= high
    assert low <= 1.2 <= high


def test_controls_that_say_nothing_new_change_nothing() -> None:
    """A repeated column and a constant one, in any unit, are counted for nothing; no control is the plain mean."""
    x = sample(50, 3)
    once = controlled(Moments.of(x[:, [0, 2]]), 1)[0]
    again = controlled(Moments.of(np.column_stack((x[:, [0, 2]], 1e6 * x[:, 2], np.full(50, 3.0)))), 3, [0, 0, 3])[0]
    assert again.value == pytest.approx(once.value)
    assert again.standard_error == pytest.approx(once.standard_error)
    assert again.n == once.n == 49
    plain, none = Moments.of(x[:, 0]).estimates()[0], controlled(Moments.of(x[:, 0]), 0)[0]
    assert (none.value, none.interval()) == (plain.value, pytest.approx(plain.interval()))


def test_select_keeps_the_covariance() -> None:
    """Columns in another order, all their numbers with them."""
    moments, at = Moments.of(sample(30, 4), "noise"), [2, 0]
    chosen = select(moments, at)
    again = Moments.of(sample(30, 4)[:, at], "noise")
    for name, value in chosen.to_arrays().items():
        np.testing.assert_allclose(value, again.to_arrays()[name], rtol=1e-12)
    assert chosen.noise == "noise"


def test_bad_arguments() -> None:
    moments = Moments.of(sample(4, 0))
    with pytest.raises(InvalidArgument, match="controls must leave a column to be estimated, got 4 of 4"):
        controlled(moments, 4)
    with pytest.raises(InvalidArgument, match="controls must be at least two fewer than the 3 observations, got 2"):
        controlled(Moments.of(sample(3, 0)), 2)
    with pytest.raises(InvalidArgument, match="controls must be a whole number"):
        controlled(moments, -1)
