"""The limit from a second moment: its capital by definition, its expectation by enumeration, and how short it is."""

import copy
import itertools
import math

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from sdewm.exceptions import InvalidArgument
from sdewm.stats.catoni import BelowByMoment
from sdewm.stats.evidence import stakes

VALUES, WEIGHTS = np.array([0.0, 1.0, 9.0]), np.array([0.5, 0.4, 0.1])
MEAN, SECOND = float(VALUES @ WEIGHTS), float(VALUES**2 @ WEIGHTS)
VARIANCE = SECOND - MEAN**2


def expected_capital(evidence: BelowByMoment, mean: float) -> float:
    """E K over all 3^7 samples of the law above, each a column."""
    index = np.array(list(itertools.product(range(3), repeat=7))).T
    evidence.add(VALUES[index[:4]])
    evidence.add(VALUES[index[4:]])
    return float(WEIGHTS[index].prod(0) @ np.exp(evidence.log_evidence(mean)))


@pytest.mark.parametrize(
    ("known", "false"),
    [
        ({"second_moment": SECOND}, {"second_moment": 0.3 * SECOND}),
        ({"variance": VARIANCE}, {"variance": 0.3 * VARIANCE}),
    ],
)
def test_the_game_is_not_favourable(known: dict[str, float], false: dict[str, float]) -> None:
    """The expected capital is at most 1 for every mean up to the true one; with a false moment it exceeds 1."""
    for mean in (0.0, 0.5 * MEAN, 0.9 * MEAN, MEAN):
        assert expected_capital(BelowByMoment(**known), mean) <= 1.0 + 1e-12
    assert expected_capital(BelowByMoment(**known), 2.0 * MEAN) > 1.0
    assert expected_capital(BelowByMoment(**false), MEAN) > 1.0


@pytest.mark.parametrize("known", [{"second_moment": 8.0}, {"variance": 6.0}])
def test_the_evidence_increases_with_the_mean(known: dict[str, float]) -> None:
    """So that the limit is one number: all means above it are excluded, also far ones."""
    below = BelowByMoment(**known)
    below.add(np.random.default_rng(0).exponential(2.0, size=500))
    evidence = [
        float(below.log_evidence(m)) for m in np.concatenate([np.linspace(0.0, 10.0, 101), 10.0 ** np.arange(2, 9)])
    ]
    assert (np.diff([e for e in evidence if math.isfinite(e)]) >= -1e-9).all()
    assert evidence[-1] > math.log(100.0)
    limit = float(below.limit(0.01))
    assert float(below.log_evidence(limit)) == pytest.approx(math.log(100.0), rel=1e-8)


@pytest.mark.parametrize("kind", ["second_moment", "variance"])
def test_the_capital_by_its_definition(kind: str) -> None:
    """Σ_j w_j Π f(λ_j (a − Z))/q_j(m), path by path; f is at most 1 + x + x²/2, and increases."""
    x, m, v = np.random.default_rng(1).lognormal(size=200), 1.6, 9.0
    below = BelowByMoment(**{kind: v})
    below.add(x)
    grid, log_weights = stakes(6.0)
    assert np.exp(log_weights).sum() == pytest.approx(1.0, rel=1e-12)
    a, total = x[:25].mean(), []
    for g, log_weight in zip(grid, log_weights, strict=True):
        rate = g / math.sqrt(v)
        arguments = rate * (a - x[25:])
        f = np.where(arguments > -1.0, 1.0 + arguments + arguments**2 / 2, 0.5)
        at = m if kind == "second_moment" else min(m, a + 1.0 / rate)
        spread = v - 2 * a * at + a * a if kind == "second_moment" else v + (a - at) ** 2
        q = 1.0 + rate * (a - at) + rate**2 * spread / 2
        total.append(log_weight + np.log(f).sum() - 175 * math.log(q))
    assert float(below.log_evidence(m)) == pytest.approx(logsumexp(total), rel=1e-10)


@pytest.mark.parametrize("index", [2.1, 2.5])
def test_infinite_third_moments_are_no_matter(index: float) -> None:
    """Pareto tails: within 1.5 normal half widths at level .999 on average; far is as far as very far."""
    mean, second, alpha, paths = index / (index - 1.0), index / (index - 2.0), 0.0005, 10_000
    x = np.random.default_rng(2).random((paths, 40)) ** (-1.0 / index)
    half = norm.isf(alpha) * math.sqrt((second - mean**2) / paths)
    for known in ({"second_moment": second}, {"variance": second - mean**2}):
        below = BelowByMoment(**known)
        below.add(x)
        assert 0.5 < float((below.limit(alpha) - mean).mean()) / half < 1.5
        other = copy.deepcopy(below)
        below.add(np.full((1, 40), 1e200))
        other.add(np.full((1, 40), 1e8))
        assert below.limit(alpha) == pytest.approx(other.limit(alpha), rel=1e-12)


def test_before_the_first_path() -> None:
    """A second moment bounds the mean by itself, a variance does not."""
    assert float(BelowByMoment(second_moment=4.0).limit(0.1)) == 2.0
    assert float(BelowByMoment(variance=4.0).limit(0.1)) == math.inf
    few = BelowByMoment(variance=4.0)
    few.add(np.array([1.0, 2.0]))
    assert float(few.limit(0.001)) == math.inf
    assert float(few.log_evidence(-math.inf)) == -math.inf
    second = BelowByMoment(second_moment=4.0)
    second.add(np.array([1.0, 2.0]))
    assert float(second.log_evidence(2.1)) == math.inf


def test_columns_are_separate() -> None:
    """Each with its own centre."""
    x = np.random.default_rng(3).exponential(size=(300, 2)) * [1.0, 1.4]
    together, alone = BelowByMoment(second_moment=5.0), BelowByMoment(second_moment=5.0)
    together.add(x)
    alone.add(x[:, 1])
    assert together.limit(0.01)[1] == pytest.approx(float(alone.limit(0.01)), rel=1e-12)


def test_bad_arguments() -> None:
    """One of both, above zero."""
    with pytest.raises(InvalidArgument, match="second_moment or variance must be given, one of both"):
        BelowByMoment()
    with pytest.raises(InvalidArgument, match="one of both"):
        BelowByMoment(second_moment=1.0, variance=1.0)
    with pytest.raises(InvalidArgument, match="variance must be above zero, got 0"):
        BelowByMoment(variance=0.0)
    with pytest.raises(InvalidArgument, match="second_moment must be a finite number, got inf"):
        BelowByMoment(second_moment=math.inf)
