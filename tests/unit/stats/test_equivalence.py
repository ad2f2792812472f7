"""Verdicts of the equivalence test, and how often they are wrong."""

import numpy as np
import pytest

from sdewm import InvalidArgument, Outcome
from sdewm.estimate import Moments
from sdewm.stats import equivalence


def estimate_of(sample: np.ndarray) -> object:
    return Moments.of(sample).estimates()[0]


@pytest.mark.parametrize(
    ("mean", "outcome"),
    [
        (0.0, Outcome.HOLDS),
        (0.5, Outcome.HOLDS),
        (1.0, Outcome.INCONCLUSIVE),
        (1.5, Outcome.VIOLATED),
        (-1.5, Outcome.VIOLATED),
    ],
)
def test_the_three_answers(mean: float, outcome: Outcome) -> None:
    sample = np.linspace(-1.0, 1.0, 1000) + mean
    verdict = equivalence(estimate_of(sample), 1.0, what="the mean")  # type: ignore[arg-type]
    assert verdict.outcome is outcome
    assert verdict.reason.startswith("the mean is")
    assert verdict.interval is not None
    assert verdict.interval[0] < mean < verdict.interval[1]
    assert verdict.margin is not None
    assert (verdict.margin > 0) == (outcome is not Outcome.INCONCLUSIVE)


def test_wrong_answers_are_as_rare_as_the_level_says() -> None:
    # At the border both "holds" and "violated" are errors of probability 2.5 % each at level 95 %; 4000 repetitions
    # give 100 ± 9.9 of either, and more than 150 has probability below 1e-6.
    draws = np.random.default_rng(0).standard_normal((4000, 100)) + 0.3
    outcomes = [equivalence(estimate_of(row), 0.3, 0.95).outcome for row in draws]  # type: ignore[arg-type]
    for wrong in (Outcome.HOLDS, Outcome.VIOLATED):
        count = sum(outcome is wrong for outcome in outcomes)
        assert count < 150
    # Control: a rule that looks at the value alone is wrong every time.
    assert sum(abs(row.mean()) <= 0.3 for row in draws) > 1500


def test_a_heavy_tail_is_not_judged() -> None:
    sample = np.random.default_rng(1).standard_normal(1000) * 0.01
    sample[17] = 50.0
    verdict = equivalence(estimate_of(sample), 1.0)  # type: ignore[arg-type]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "tail" in verdict.reason
    # One extreme path that cannot move the mean anywhere near the border does not matter.
    assert equivalence(estimate_of(sample), 100.0).outcome is Outcome.HOLDS  # type: ignore[arg-type]


def test_lognormal_tails_do_not_fool_the_check() -> None:
    # Sample means of exp(σξ) mostly lie below the truth. The nominal 95 % interval at σ = 2 and n = 1000 covers about
    # 85 %; with the tail check there is hardly a verdict left that could be wrong.
    sigma, rng = 2.0, np.random.default_rng(2)
    truth = np.exp(sigma**2 / 2)
    naive = judged_wrong = 0
    for _ in range(400):
        estimate = estimate_of(np.exp(sigma * rng.standard_normal(1000)) - truth)
        low, high = estimate.interval(0.95)  # type: ignore[attr-defined]
        naive += not low <= 0.0 <= high
        judged_wrong += equivalence(estimate, 1e-9, 0.95).outcome is Outcome.VIOLATED  # type: ignore[arg-type]
    assert naive > 35
    assert judged_wrong == 0


def test_bad_arguments() -> None:
    estimate = estimate_of(np.arange(3.0))
    with pytest.raises(InvalidArgument, match="tolerance must be above zero, got 0"):
        equivalence(estimate, 0)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="level must lie strictly between 0 and 1, got 1"):
        equivalence(estimate, 1.0, level=1)  # type: ignore[arg-type]


def test_one_path_is_not_enough() -> None:
    verdict = equivalence(estimate_of(np.array([0.1])), 1.0)  # type: ignore[arg-type]
    assert verdict.outcome is Outcome.INCONCLUSIVE
