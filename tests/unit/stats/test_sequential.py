"""A mean beside the two sides of a bound: answers, stopping, grades, and reasons."""

import json
import math
from collections.abc import Iterator

import numpy as np
import pytest

from sdewm.exceptions import InvalidArgument, NumericalFailure
from sdewm.stats import Above, BelowByMoment, BelowByRange, CentralLimit, compare_mean
from sdewm.verdict import Grade, Outcome, Verdict

HOLDS, VIOLATED, INCONCLUSIVE = Outcome.HOLDS, Outcome.VIOLATED, Outcome.INCONCLUSIVE


def blocks(count: int = 8, seed: int = 0) -> list[np.ndarray]:
    """Uniform values, of mean 1/2."""
    return list(np.random.default_rng(seed).random((count, 1024)))


class Counted:
    """An iterator that counts what was asked of it."""

    def __init__(self, values: list[np.ndarray]) -> None:
        self.values, self.asked = values, 0

    def __iter__(self) -> Iterator[np.ndarray]:
        for value in self.values:
            self.asked += 1
            yield value


KNOWN = [{"largest": 1.0}, {"second_moment": 1.0 / 3.0}, {"variance": 1.0 / 12.0}]


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.7, 0.7, HOLDS),
        (0.7, 5.0, HOLDS),
        (0.7, None, HOLDS),
        (0.3, 0.3, VIOLATED),
        (0.1, 0.3, VIOLATED),
        (None, 0.3, VIOLATED),
        (0.3, 0.7, INCONCLUSIVE),
        (0.5, 0.5, INCONCLUSIVE),
        (0.3, None, INCONCLUSIVE),
        (0.3, math.inf, INCONCLUSIVE),
        (None, 0.7, INCONCLUSIVE),
    ],
)
def test_the_answers(known: dict[str, float], low: float | None, high: float | None, outcome: Outcome) -> None:
    """With certified limits; a clear answer takes one block, and no second one is drawn."""
    source = Counted(blocks())
    result = compare_mean(source, at_least=low, at_most=high, **known)
    assert result.outcome is outcome
    assert result.grade is Grade.CERTIFIED
    assert result.stopped_early == (outcome is not INCONCLUSIVE)
    assert result.n == 1024 * source.asked == 1024 * (8 if outcome is INCONCLUSIVE else 1)
    assert result.lower < 0.5 < result.upper
    assert result.doubt is None
    assert (result.p_violated <= 0.0005) == (outcome is VIOLATED)
    assert (result.p_holds <= 0.0005) == (outcome is HOLDS)
    verdict = result.verdict("E Z")
    assert (verdict.outcome, verdict.grade, verdict.level) == (outcome, Grade.CERTIFIED, 0.999)
    assert verdict.interval == (result.lower, result.upper)
    if outcome is not INCONCLUSIVE:
        assert verdict.margin is not None
        assert verdict.margin >= 0.0
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_the_limits_are_those_of_the_classes() -> None:
    """Each at half of 1 − level."""
    x = blocks(1)
    for known, below in zip(
        KNOWN, [BelowByRange(1.0), BelowByMoment(second_moment=1 / 3), BelowByMoment(variance=1 / 12)], strict=True
    ):
        result = compare_mean(x, at_least=0.4, at_most=0.6, level=0.9, **known)
        above = Above()
        above.add(x[0])
        below.add(x[0])
        assert (result.lower, result.upper) == (float(above.limit(0.05)), float(below.limit(0.05)))
    central = CentralLimit()
    central.add(x[0])
    assert compare_mean(x, at_least=0.4, at_most=0.6, level=0.9).upper == central.upper(0.05)


def test_without_a_certificate_holds_is_asymptotic_and_comes_last() -> None:
    """All paths are used; but a violation is certified, and stops."""
    source = Counted(blocks())
    result = compare_mean(source, at_least=0.7, at_most=0.7)
    assert (result.outcome, result.grade, result.stopped_early) == (HOLDS, Grade.ASYMPTOTIC, False)
    assert (source.asked, result.p_holds) == (8, 1.0)
    result = compare_mean(blocks(), at_least=0.3, at_most=0.3)
    assert (result.outcome, result.grade, result.stopped_early) == (VIOLATED, Grade.CERTIFIED, True)
    assert result.upper == math.inf
    assert result.upper_grade is Grade.ASYMPTOTIC


def test_without_stopping_all_blocks_are_used_and_judged_once() -> None:
    """The same answer; limits at the end."""
    for low, outcome in ((0.7, HOLDS), (0.3, VIOLATED)):
        result = compare_mean(blocks(), at_least=low, at_most=low, sequential=False, largest=1.0)
        assert (result.outcome, result.n, result.stopped_early) == (outcome, 8192, False)


def test_the_most_paths() -> None:
    """The last block is cut, and no further one drawn."""
    source = Counted(blocks())
    result = compare_mean(source, at_least=0.5, at_most=0.5, paths=1500, largest=1.0)
    assert (result.n, source.asked) == (1500, 2)


def test_reasons() -> None:
    """Monte Carlo width, gap of the constants, a missing side, a tail."""

    def reason(low: float | None, high: float | None, x: list[np.ndarray], **known: float) -> str:
        verdict = compare_mean(x, at_least=low, at_most=high, **known).verdict("E Z")
        assert verdict.outcome is INCONCLUSIVE
        return verdict.reason

    assert reason(0.5, 0.5, blocks(), largest=1.0).endswith(
        "the bound is 0.5; the interval meets the bound, more paths would decide"
    )
    assert "between 0.3 and 0.7; the quantity lies between both sides" in reason(0.3, 0.7, blocks(), largest=1.0)
    assert "between 0.3 and unknown; it does not hold at what" in reason(0.3, None, blocks(), largest=1.0)
    assert "meets the upper side of the bound" in reason(0.3, 0.5, blocks(), largest=1.0)
    heavy = [np.exp(2.0 * np.random.default_rng(0).standard_normal(2048))]
    assert "too heavy to judge" in reason(100.0, 100.0, heavy)
    assert compare_mean(heavy, at_least=100.0).doubt is not None


def test_a_deterministic_quantity() -> None:
    """Without spread the asymptotic limit is the value, and the certified one is close to it."""
    x = [np.full(4096, 2.0)]
    assert compare_mean(x, at_least=2.0, at_most=2.0).outcome is HOLDS
    assert compare_mean(x, at_least=1.98, at_most=1.98).outcome is VIOLATED
    assert compare_mean([np.zeros(4096)], at_least=2.0, at_most=2.0).outcome is INCONCLUSIVE


def test_bad_arguments() -> None:
    """One sentence each."""
    x = blocks(1)
    with pytest.raises(InvalidArgument, match="at_least or at_most must be given"):
        compare_mean(x)
    with pytest.raises(InvalidArgument, match=r"at_least must not exceed at_most, got 2\.0 and 1\.0"):
        compare_mean(x, at_least=2.0, at_most=1.0)
    with pytest.raises(InvalidArgument, match="at_least must be a finite number"):
        compare_mean(x, at_least=math.nan)
    with pytest.raises(InvalidArgument, match="at_most must be a finite number"):
        compare_mean(x, at_most=math.nan)
    with pytest.raises(InvalidArgument, match="give at most one, got largest and variance"):
        compare_mean(x, at_least=1.0, largest=1.0, variance=1.0)
    with pytest.raises(InvalidArgument, match="at least one block"):
        compare_mean([], at_least=1.0)
    with pytest.raises(InvalidArgument, match=r"arrays of shape \(n,\), got one of shape"):
        compare_mean([np.zeros((4, 2))], at_least=1.0)
    with pytest.raises(InvalidArgument, match="paths must be a whole number >= 1"):
        compare_mean(x, at_least=1.0, paths=0)
    with pytest.raises(InvalidArgument, match="level must lie strictly"):
        compare_mean(x, at_least=1.0, level=1.0)
    with pytest.raises(InvalidArgument, match="values must be at least 0"):
        compare_mean([-x[0]], at_least=1.0)
    with pytest.raises(NumericalFailure, match="not finite"):
        compare_mean([np.append(x[0], np.nan)], at_least=1.0)
