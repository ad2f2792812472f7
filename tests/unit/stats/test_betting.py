"""Limits by betting: the capital by its definition, its expectation by enumeration, and how short the limits are."""

import itertools
import math

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from sdewm.exceptions import InvalidArgument, NumericalFailure
from sdewm.stats.betting import Above, BelowByRange
from sdewm.stats.evidence import Evidence, head, stakes

VALUES, WEIGHTS = np.array([0.0, 1.0, 9.0]), np.array([0.5, 0.4, 0.1])
MEAN, SECOND = float(VALUES @ WEIGHTS), float(VALUES**2 @ WEIGHTS)


def expected_capital(evidence: Evidence, mean: float, paths: int = 7, block: int = 7) -> float:
    """E K over all 3^paths samples of the law above, each a column."""
    index = np.array(list(itertools.product(range(3), repeat=paths))).T
    for start in range(0, paths, block):
        evidence.add(VALUES[index[start : start + block]])
    return float(WEIGHTS[index].prod(0) @ np.exp(evidence.log_evidence(mean)))


@pytest.mark.parametrize("block", [1, 2, 7])
def test_the_game_is_fair(block: int) -> None:
    """At the true mean the expected capital is 1, by enumeration; below it grows, above it falls."""
    assert expected_capital(Above(), MEAN, block=block) == pytest.approx(1.0, rel=1e-12)
    assert expected_capital(BelowByRange(9.0), MEAN, block=block) == pytest.approx(1.0, rel=1e-12)
    assert expected_capital(Above(), MEAN * 1.1, block=block) < 0.999 < 1.001 < expected_capital(Above(), MEAN / 1.1)
    assert (
        expected_capital(BelowByRange(9.0), MEAN / 1.1)
        < 0.999
        < 1.001
        < expected_capital(BelowByRange(9.0), 1.1 * MEAN)
    )


def test_a_scale_learnt_from_what_is_staked_on_is_unfair() -> None:
    """The control of the enumeration: the same capital, the scale taken from all values."""
    index = np.array(list(itertools.product(range(3), repeat=7))).T
    x = VALUES[index]
    scale = x.std(0)
    theta = stakes()[0][:, None] / np.where(scale > 0.0, scale, np.where(x[0] > 0.0, x[0], np.inf))
    logs = np.log1p(theta[:, None] * x).sum(1) - 7 * np.log1p(theta * MEAN)
    capital = WEIGHTS[index].prod(0) @ np.exp(logsumexp(stakes()[1][:, None] + logs, axis=0))
    assert abs(capital - 1.0) > 1e-3


def test_the_capital_by_its_definition() -> None:
    """Σ_j w_j Π (1 + λ_j (Z − m)), path by path, with λ_j = θ_j/(1 + θ_j m) in [0, 1/m)."""
    rng = np.random.default_rng(0)
    x, m = rng.lognormal(size=300), 1.4
    above = Above()
    for block in np.split(x, [96, 100, 197]):
        above.add(block)
    grid, log_weights = stakes()
    assert np.exp(log_weights).sum() == pytest.approx(1.0, rel=1e-12)
    theta = grid / x[:12].std()
    rates = theta / (1.0 + theta * m)
    assert (rates < 1.0 / m).all()
    capital = log_weights.copy()
    for value in x[12:]:
        capital += np.log1p(rates * (value - m))
    assert float(above.log_evidence(m)) == pytest.approx(logsumexp(capital), rel=1e-10)


def test_the_limit_is_where_the_evidence_is_enough() -> None:
    """To rounding, on the safe side; and it moves with the unit."""
    x = np.random.default_rng(1).exponential(size=(2000, 3))
    above, below = Above(), BelowByRange(20.0)
    above.add(x)
    below.add(x)
    for evidence in (above, below):
        limit = evidence.limit(0.01)
        assert evidence.log_evidence(limit) == pytest.approx(np.full(3, math.log(100.0)), rel=1e-8)
        assert (evidence.log_evidence(limit) >= math.log(100.0) - 1e-9).all()
    for unit in (1e-12, 1e12):
        scaled = Above()
        scaled.add(unit * x)
        assert scaled.limit(0.01) == pytest.approx(unit * above.limit(0.01), rel=1e-9)


def test_columns_are_separate_and_the_split_into_blocks_does_not_matter() -> None:
    """After the first block, to rounding."""
    x = np.random.default_rng(2).exponential(size=(1000, 2))
    together, alone, split = Above(), Above(), Above()
    together.add(x)
    alone.add(x[:, 1])
    for block in np.split(x[:, 1], [512, 700, 703]):
        split.add(block)
    assert np.ndim(alone.limit(0.01)) == 0
    for other in (together.limit(0.01)[1], split.limit(0.01)):
        assert float(other) == pytest.approx(float(alone.limit(0.01)), rel=1e-12)


@pytest.mark.parametrize(("paths", "level", "ratio"), [(1000, 0.999, 1.5), (10_000, 0.999, 1.5), (10_000, 0.95, 1.8)])
def test_the_limits_are_not_much_longer_than_those_of_one_look(paths: int, level: float, ratio: float) -> None:
    """Beside the normal half width, on average over 40 samples of |N|² (from below) and of uniforms (from above)."""
    rng, alpha = np.random.default_rng(3), (1.0 - level) / 2.0
    half = norm.isf(alpha) / math.sqrt(paths)
    above, below = Above(), BelowByRange(1.0)
    z, u = rng.standard_normal((paths, 40)) ** 2, rng.random((paths, 40))
    above.add(z)
    below.add(u)
    assert 0.9 < float((z.mean(0) - above.limit(alpha)).mean()) / (half * math.sqrt(2.0)) < ratio
    assert 0.9 < float((below.limit(alpha) - u.mean(0)).mean()) / (half * math.sqrt(1.0 / 12.0)) < ratio


def test_nothing_is_known_without_paths() -> None:
    """Nor from zeros alone; the first that is not zero sets the scale."""
    above = Above()
    assert (float(above.limit(0.1)), float(above.log_evidence(1.0))) == (0.0, 0.0)
    assert float(BelowByRange(2.0).limit(0.1)) == 2.0
    above.add(np.zeros(100))
    assert (float(above.limit(0.1)), float(above.log_evidence(0.5))) == (0.0, 0.0)
    above.add(np.ones(800))
    assert 0.9 < float(above.limit(0.1)) < 1.0
    rare = Above()
    rare.add(np.zeros((100, 2)))
    rare.add(np.column_stack([np.ones(800), np.zeros(800)]))
    assert rare.limit(0.1)[0] == pytest.approx(float(above.limit(0.1)), rel=1e-12)
    assert rare.limit(0.1)[1] == 0.0


def test_a_constant_is_found_quickly() -> None:
    """The limit is within log(1/α) plus the weight, over n, of a number without spread."""
    above = Above()
    above.add(np.full(4096, 3.0) * (1.0 + 1e-16 * np.arange(4096)))
    assert 3.0 * (1.0 - 20.0 / 4000.0) < float(above.limit(0.001)) < 3.0


def test_means_that_cannot_be() -> None:
    """A negative mean, or one above the range, is excluded at once; an infinite one never is."""
    above, below = Above(), BelowByRange(1.0)
    x = np.random.default_rng(4).random(64)
    above.add(x)
    below.add(x)
    assert above.log_evidence(-1.0) == math.inf == below.log_evidence(1.5)
    assert above.log_evidence(math.inf) == -math.inf == below.log_evidence(-math.inf)


def test_huge_values_do_no_harm() -> None:
    """Squares near the largest number are evidence, and no overflow."""
    above = Above()
    above.add(np.concatenate([np.ones(800), np.full(8, 1e300)]))
    assert 0.9 < float(above.limit(0.01)) < 1e298


def test_the_first_values_are_an_eighth_at_most_64() -> None:
    """And at least one."""
    assert [len(head(np.zeros((n, 1)))[0]) for n in (1, 7, 16, 512, 4096)] == [1, 1, 2, 64, 64]


def test_bad_arguments() -> None:
    """One sentence each."""
    with pytest.raises(InvalidArgument, match="values must have shape"):
        Above().add(np.zeros((2, 2, 2)))
    with pytest.raises(InvalidArgument, match="values must have shape"):
        Above().add(np.zeros(0))
    with pytest.raises(InvalidArgument, match="values must be at least 0, got -1"):
        Above().add(np.array([1.0, -1.0]))
    with pytest.raises(InvalidArgument, match=r"largest must be at least every value, got 1.0 and a value of 2"):
        BelowByRange(1.0).add(np.array([1.0, 2.0]))
    with pytest.raises(InvalidArgument, match="largest must be above zero"):
        BelowByRange(0.0)
    with pytest.raises(InvalidArgument, match="alpha must lie strictly between 0 and 1, got 1"):
        Above().limit(1.0)
    with pytest.raises(NumericalFailure, match="2 of 3 paths of a block are not finite") as failure:
        Above().add(np.array([1.0, np.inf, np.nan]))
    assert (failure.value.path, failure.value.count) == (1, 2)
