"""Verdicts on paired differences, and how often they are wrong."""

import math

import numpy as np
import pytest
from alarm import FALSE_ALARM, spend
from scipy.stats import binom, nct, t, ttest_1samp

from sdewm import InvalidArgument, Outcome
from sdewm.stats.paired import detectable, paired, student_interval

SAMPLE = np.array([-0.31, -0.22, -0.4, -0.28, -0.35, -0.3, -0.19, -0.33, -0.27, -0.36])


def test_the_interval_is_students() -> None:
    expected = ttest_1samp(SAMPLE, 0.0).confidence_interval(0.99)
    assert student_interval(SAMPLE, 0.99) == pytest.approx((expected.low, expected.high), rel=1e-12)


@pytest.mark.parametrize(
    ("allowed", "outcome"),
    [
        ((-math.inf, -0.1), Outcome.HOLDS),
        ((-math.inf, -0.3), Outcome.INCONCLUSIVE),
        ((-math.inf, -0.5), Outcome.VIOLATED),
        ((-0.1, math.inf), Outcome.VIOLATED),
        ((-0.5, -0.1), Outcome.HOLDS),
    ],
)
def test_the_three_answers(allowed: tuple[float, float], outcome: Outcome) -> None:
    verdict = paired(SAMPLE, allowed, 0.95, what="change", unit="nats")
    assert verdict.outcome is outcome
    assert "change is -0.301 [" in verdict.reason
    assert "over 10 pairs" in verdict.reason


def test_wrong_decisions_are_as_rare_as_the_level_says() -> None:
    """At the border, "holds" comes out with half of one minus the level; beyond it, nearly always."""
    draws = np.random.default_rng(0).standard_normal((2000, 10))
    wrong = sum(paired(row, (-math.inf, 0.0), 0.9, what="x").outcome is Outcome.HOLDS for row in draws)
    spend()
    low, high = binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], 2000, 0.05)
    assert low <= wrong <= high
    right = sum(paired(row - 2.0, (-math.inf, 0.0), 0.9, what="x").outcome is Outcome.HOLDS for row in draws[:100])
    assert right > 95


def test_what_ten_pairs_can_tell() -> None:
    """Against the noncentral law: the approximation is near the power that it promises."""
    values = SAMPLE - SAMPLE.mean()
    effect = detectable(values, 0.95, 0.8)
    noncentrality = effect / values.std(ddof=1) * math.sqrt(10)
    assert nct.sf(t.ppf(0.975, 9), 9, noncentrality) == pytest.approx(0.8, abs=0.03)
    # Ten pairs tell about one standard deviation.
    assert effect / values.std(ddof=1) == pytest.approx(1.0, abs=0.05)


def test_bad_input() -> None:
    with pytest.raises(InvalidArgument, match="values must be at least two numbers"):
        paired([1.0], (0.0, 1.0), what="x")
    with pytest.raises(InvalidArgument, match="number 1 is not"):
        paired([1.0, math.nan], (0.0, 1.0), what="x")
    with pytest.raises(InvalidArgument, match="allowed must be an interval"):
        paired([1.0, 2.0], (1.0, 0.0), what="x")
    with pytest.raises(InvalidArgument, match="level must lie strictly between"):
        student_interval([1.0, 2.0], 1.0)
    with pytest.raises(InvalidArgument, match="power must lie above"):
        detectable([1.0, 2.0], 0.95, 0.2)
