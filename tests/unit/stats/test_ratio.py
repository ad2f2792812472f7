"""Fieller's interval covers what it should, and verdicts on ratios follow from it."""

import math

import numpy as np
import pytest

from sdewm import Estimate, InvalidArgument, Outcome
from sdewm.estimate import Moments
from sdewm.stats import all_of, ratio_interval, rms_ratio


def pair(top: np.ndarray, bottom: np.ndarray) -> tuple[Estimate, Estimate]:
    a, b = Moments.of(np.stack((top, bottom), 1)).estimates()
    return a, b


def test_interval_covers_and_a_wrong_ratio_is_excluded() -> None:
    # 2000 repetitions at 95 %: 100 ± 10 misses; outside [55, 145] has probability below 1e-5.
    rng, misses, wrong = np.random.default_rng(0), 0, 0
    for _ in range(2000):
        bottom = 1.0 + 0.3 * rng.standard_normal(60)
        top = 2.0 * bottom + 0.4 * rng.standard_normal(60)
        low, high = ratio_interval(*pair(top, bottom))
        misses += not low <= 2.0 <= high
        wrong += low <= 2.4 <= high
    assert 55 <= misses <= 145
    assert wrong < 10


def test_a_bottom_near_zero_gives_no_interval() -> None:
    rng = np.random.default_rng(1)
    assert ratio_interval(*pair(rng.standard_normal(50) + 1, rng.standard_normal(50))) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("factor", "outcome"),
    [(1.0, Outcome.HOLDS), (1.5, Outcome.VIOLATED), (0.5, Outcome.VIOLATED), (1.1, Outcome.INCONCLUSIVE)],
)
def test_the_three_answers(factor: float, outcome: Outcome) -> None:
    draws = np.random.default_rng(2).uniform(0.5, 1.5, (4000, 2))
    verdict = rms_ratio(*pair(factor**2 * draws[:, 0], draws[:, 1]), (0.9, 1.1))
    assert verdict.outcome is outcome


def test_zero_is_no_border_for_a_ratio() -> None:
    draws = np.random.default_rng(3).uniform(0.0, 2.0, (400, 2)) ** 2
    assert rms_ratio(*pair(0.01 * draws[:, 0], draws[:, 1]), (0.0, 1.0)).outcome is Outcome.HOLDS
    assert rms_ratio(*pair(9.0 * draws[:, 0], draws[:, 1]), (2.0, math.inf)).outcome is Outcome.HOLDS


def test_a_heavy_tail_decides_only_far_from_the_border() -> None:
    draws = np.random.default_rng(4).uniform(0.5, 1.5, (1000, 2))
    draws[0, 0] = 300.0
    low, high = ratio_interval(*pair(draws[:, 0], draws[:, 1]), 0.999)
    near = math.sqrt(high) + 0.1 * (math.sqrt(high) - math.sqrt(low))
    assert rms_ratio(*pair(draws[:, 0], draws[:, 1]), (0.0, near)).outcome is Outcome.INCONCLUSIVE
    assert rms_ratio(*pair(draws[:, 0], draws[:, 1]), (0.0, 100.0)).outcome is Outcome.HOLDS


def test_all_of_needs_all() -> None:
    draws = np.random.default_rng(5).uniform(0.5, 1.5, (4000, 2))
    held, refuted, open_ = (
        rms_ratio(*pair(factor**2 * draws[:, 0], draws[:, 1]), (0.9, 1.1)) for factor in (1.0, 2.0, 1.1)
    )
    assert all_of({"a": held, "b": held}).outcome is Outcome.HOLDS
    assert all_of({"a": held, "b": open_}).outcome is Outcome.INCONCLUSIVE
    decided = all_of({"a": held, "b": refuted, "c": open_})
    assert decided.outcome is Outcome.VIOLATED
    assert decided.reason.startswith("b: ")
    assert len(decided.flags) == 2


def test_bad_arguments() -> None:
    a, b = pair(np.arange(1.0, 4.0), np.arange(1.0, 4.0))
    with pytest.raises(InvalidArgument, match=r"allowed must be an interval of non-negative numbers, got \(1, 0\)"):
        rms_ratio(a, b, (1, 0))
    with pytest.raises(InvalidArgument, match="verdicts is empty"):
        all_of({})
