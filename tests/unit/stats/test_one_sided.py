"""Verdicts on a quantity being above a border, and how often they are wrong."""

import math

import numpy as np
import pytest
from alarm import FALSE_ALARM, spend
from scipy.stats import binom, t

from sdewm import InvalidArgument, Outcome
from sdewm.estimate import Estimate, Moments
from sdewm.stats.one_sided import at_least
from sdewm.verdict import Grade

HOLDS, VIOLATED, INCONCLUSIVE = Outcome.HOLDS, Outcome.VIOLATED, Outcome.INCONCLUSIVE


def mean_of(sample: np.ndarray) -> Estimate:
    """The mean of one column."""
    (mean,) = Moments.of(sample).estimates()
    return mean


@pytest.mark.parametrize(
    ("mean", "border", "outcome"),
    [
        (1.0, 0.0, HOLDS),
        (0.07, 0.0, HOLDS),
        (0.01, 0.0, INCONCLUSIVE),
        (-0.01, 0.0, INCONCLUSIVE),
        (-0.07, 0.0, VIOLATED),
        (1.0, 2.0, VIOLATED),
        (-1.0, -2.0, HOLDS),
    ],
)
def test_the_three_answers(mean: float, border: float, outcome: Outcome) -> None:
    """By the two-sided Student interval, whose half width is .0602 here; all numbers are in the verdict."""
    sample = np.linspace(-1.0, 1.0, 1000) + mean
    verdict = at_least(mean_of(sample), border, what="R")
    half = t.ppf(0.9995, 999) * sample.std(ddof=1) / math.sqrt(1000)
    assert verdict.outcome is outcome
    assert verdict.grade is Grade.ASYMPTOTIC
    assert verdict.interval == pytest.approx((mean - half, mean + half), rel=1e-9)
    assert verdict.allowed == (border, math.inf)
    assert verdict.margin == pytest.approx(max(mean - half - border, border - mean - half), rel=1e-9)
    assert verdict.reason.startswith(f"R is {mean:.4g} [")
    assert f"allowed at least {border:.4g}" in verdict.reason


def test_wrong_answers_are_as_rare_as_the_level_says() -> None:
    """At the border each of both answers has probability 2.5 % at level 95 %, exactly, for normal samples.

    A rule that looks at the value alone is wrong half of the time.
    """
    spend()
    n = 4000
    draws = np.random.default_rng(0).standard_normal((n, 40)) + 0.3
    outcomes = [at_least(mean_of(row), 0.3, 0.95).outcome for row in draws]
    low, high = (binom.ppf(p, n, 0.025) for p in (FALSE_ALARM / 4, 1 - FALSE_ALARM / 4))
    for answer in (HOLDS, VIOLATED):
        assert low <= sum(outcome is answer for outcome in outcomes) <= high
    assert not low <= sum(row.mean() >= 0.3 for row in draws) <= high


def test_it_decides_where_the_truth_is_clear() -> None:
    """Five standard errors above or below, at level 99.9 %: at least 90 % are decided, and none wrongly."""
    rng = np.random.default_rng(1)
    for side, answer in ((1.0, HOLDS), (-1.0, VIOLATED)):
        outcomes = [at_least(mean_of(row + side * 0.5)).outcome for row in rng.standard_normal((500, 100))]
        assert set(outcomes) <= {answer, INCONCLUSIVE}
        assert outcomes.count(answer) >= 450


def test_no_spread_decides_by_value() -> None:
    """Also at the border itself."""
    same = mean_of(np.full(10, 0.5))
    assert at_least(same, 0.5).outcome is HOLDS
    assert at_least(same, 0.4).outcome is HOLDS
    assert at_least(same, 0.6).outcome is VIOLATED


def test_one_path_is_not_enough() -> None:
    """It has no interval."""
    verdict = at_least(mean_of(np.array([3.0])))
    assert verdict.outcome is INCONCLUSIVE
    assert "one path has no interval" in verdict.reason


def test_a_heavy_tail_decides_only_far_from_the_border() -> None:
    """Where the border is further away than the interval is wide."""
    sample = np.linspace(-1.0, 1.0, 1000)
    sample[0] = 40.0
    estimate = mean_of(sample)
    low, high = estimate.interval(0.999)
    width = high - low
    for border, outcome in (
        (low - 0.1 * width, INCONCLUSIVE),
        (low - 0.9 * width, INCONCLUSIVE),
        (low - 1.1 * width, HOLDS),
        (high + 0.9 * width, INCONCLUSIVE),
        (high + 1.1 * width, VIOLATED),
    ):
        assert at_least(estimate, border).outcome is outcome
    assert "too much of the mean" in at_least(estimate, low - 0.1 * width).reason
    # Without the one path the same distance decides.
    light = mean_of(np.linspace(-1.0, 1.0, 1000))
    low, high = light.interval(0.999)
    assert at_least(light, low - 0.1 * (high - low)).outcome is HOLDS


def test_lognormal_tails_do_not_fool_it() -> None:
    """θ = E exp(2ξ) is just above the border, so that "violated" is wrong: the bare interval says so too often."""
    rng, truth, bare, judged = np.random.default_rng(2), math.exp(2.0), 0, 0
    for _ in range(400):
        estimate = mean_of(np.exp(2.0 * rng.standard_normal(1000)))
        bare += estimate.interval(0.95)[1] < truth
        judged += at_least(estimate, truth, 0.95).outcome is VIOLATED
    assert bare > 35  # nominal: 10
    assert judged <= 10


def test_bad_level() -> None:
    """As everywhere."""
    with pytest.raises(InvalidArgument, match="level must lie strictly between 0 and 1, got 1"):
        at_least(mean_of(np.arange(3.0)), 0.0, 1)
