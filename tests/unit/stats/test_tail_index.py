"""Hill's estimate on tails whose index is known."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from alarm import spend
from scipy.stats import chi2

from sdewm.exceptions import InvalidArgument
from sdewm.stats import tail_index

N = 20_000


def pareto(index: float, rng: np.random.Generator, n: int = N) -> np.ndarray:
    """P(X > x) = x^−index."""
    return np.asarray(rng.random(n) ** (-1.0 / index))


def stopped(index: float, rng: np.random.Generator) -> np.ndarray:
    """A geometric Brownian motion at an exponential time: an exact Pareto tail above 1 (Reed 2001).

    The index is the positive root of σ²κ²/2 + bκ = rate, b the drift of the logarithm.
    """
    drift, sigma = -0.1, 0.5
    rate = 0.5 * sigma**2 * index**2 + drift * index
    time = rng.exponential(1.0 / rate, N)
    return np.exp(drift * time + sigma * np.sqrt(time) * rng.standard_normal(N))


def kesten(index: float, rng: np.random.Generator) -> np.ndarray:
    """X = A X' + 1, log A normal of mean −κσ²/2 and variance σ², so that E A^κ = 1."""
    sigma, x = 0.5, np.ones(N)
    for _ in range(80):
        x = np.exp(sigma * rng.standard_normal(N) - 0.5 * index * sigma**2) * x + 1.0
    return x


Draw = Callable[[float, np.random.Generator], np.ndarray]


def test_the_formula() -> None:
    """By a plain loop, and the limits by the χ² law."""
    x = pareto(2.0, np.random.default_rng(0), 1000)
    tail = tail_index(x, 0.96)
    top = sorted(x, reverse=True)
    values = {k: k / sum(math.log(top[i] / top[k]) for i in range(k)) for k in (100, 25)}
    assert tail.exceedances == 100
    assert tail.value == pytest.approx(values[100], rel=1e-12)
    assert tail.lower == pytest.approx(min(v * chi2.ppf(0.01, 2 * k) / (2 * k) for k, v in values.items()), rel=1e-12)
    assert tail.upper == pytest.approx(max(v * chi2.ppf(0.99, 2 * k) / (2 * k) for k, v in values.items()), rel=1e-12)


@pytest.mark.parametrize("draw", [pareto, stopped])
@pytest.mark.parametrize("index", [1.5, 3.0])
def test_exact_tails(draw: Draw, index: float) -> None:
    """The index lies between the limits, of level 1 − 1e-6; twice of it does not."""
    spend(1e-6)
    tail = tail_index(draw(index, np.random.default_rng(0)), 1.0 - 1e-6)
    assert tail.lower < index < tail.upper < 2.0 * index


def test_no_moment_is_allowed_that_does_not_exist() -> None:
    """κ = 2, where the mean has no central limit theorem, and κ = 4 for the square: allowed once in 200 on average.

    Without limits, by the estimate alone, half of all samples allow it.
    """
    spend(4e-6)  # P(more than 12 of 400 | .005), of each
    for index, order in ((2.0, 1.0), (4.0, 2.0)):
        allowed = bare = 0
        for seed in range(400):
            tail = tail_index(pareto(index, np.random.default_rng(seed), 2000))
            allowed += tail.allows(order)
            bare += tail.value > 2.0 * order
        assert allowed <= 12 < 100 < bare


@pytest.mark.parametrize(("index", "first", "second"), [(1.5, False, False), (3.0, True, False), (8.0, True, True)])
def test_kesten_processes(index: float, first: bool, second: bool) -> None:
    """What is established: a central limit theorem for the mean needs κ > 2, and for the mean square κ > 4."""
    tail = tail_index(kesten(index, np.random.default_rng(0)))
    assert tail.lower < index
    assert (tail.allows(1.0), tail.allows(2.0)) == (first, second)


def test_light_tails_have_a_large_index() -> None:
    """And a lognormal one that depends on its spread: the heavier the less is established."""
    x = np.random.default_rng(0).standard_normal(N)
    assert tail_index(abs(x)).allows(2.0)
    lower = [tail_index(np.exp(sigma * x)).lower for sigma in (0.3, 1.0, 3.0)]
    assert lower[0] > 5.0 > lower[1] > 1.0 > lower[2]


def test_the_unit_does_not_matter_and_ties_are_infinite() -> None:
    """An index has no unit; a constant has no tail."""
    x = pareto(2.0, np.random.default_rng(0))
    assert tail_index(1e-9 * x).lower == pytest.approx(tail_index(x).lower, rel=1e-9)
    assert tail_index(np.ones(1000)).lower == math.inf


def test_bad_arguments() -> None:
    """One sentence each."""
    x = np.ones(200)
    for values in (np.ones(99), np.ones((200, 2))):
        with pytest.raises(InvalidArgument, match=r"values must have shape \(n,\) with n >= 100"):
            tail_index(values)
    for value in (-1.0, np.nan, np.inf):
        with pytest.raises(InvalidArgument, match="values must be finite and at least 0"):
            tail_index(np.append(x, value))
    with pytest.raises(InvalidArgument, match="exceedances must be at most n - 1 = 199, got 200"):
        tail_index(x, exceedances=200)
    with pytest.raises(InvalidArgument, match="exceedances must be a whole number >= 2"):
        tail_index(x, exceedances=1)
    with pytest.raises(InvalidArgument, match="values must have more than 34 above zero"):
        tail_index(np.append(np.zeros(190), np.ones(10)))
    with pytest.raises(InvalidArgument, match="order must be above zero"):
        tail_index(x).allows(0.0)
