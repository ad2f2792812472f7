"""The asymptotic limit: its formula, its doubt, and what the correction for skewness is for."""

import math

import numpy as np
import pytest
from alarm import FALSE_ALARM, spend
from scipy.stats import binom, skew, t

from sdewm.stats.central_limit import CentralLimit


def of(values: np.ndarray, blocks: int = 1) -> CentralLimit:
    """The limit from values in so many blocks."""
    limit = CentralLimit()
    for block in np.array_split(values, blocks):
        limit.add(block)
    return limit


def test_the_formula_and_the_blocks() -> None:
    """Against the moments of scipy; the blocks make no difference, nor does a large mean."""
    x = np.random.default_rng(0).exponential(size=5000)
    z, s, root = t.isf(0.01, 4999), x.std(ddof=1), math.sqrt(5000)
    expected = x.mean() + s / root * (z + skew(x) * (2 * z**2 + 1) / (6 * root))
    for blocks in (1, 7):
        assert of(x, blocks).upper(0.01) == pytest.approx(expected, rel=1e-12)
        assert of(x + 1e6, blocks).skewness == pytest.approx(skew(x), rel=1e-6)
    assert of(x).estimate.n == 5000


def test_what_is_not_skew_to_the_right_has_the_plain_limit() -> None:
    """A correction downwards would be at the expense of the level."""
    for x in (np.linspace(0.0, 1.0, 1001), 1.0 - np.linspace(0.0, 1.0, 1001) ** 3):
        plain = x.mean() + t.isf(0.01, 1000) * x.std(ddof=1) / math.sqrt(1001)
        assert of(x).upper(0.01) == pytest.approx(plain, rel=1e-9)


def test_the_plain_limit_is_too_low() -> None:
    """1 = E|N|² exceeds the limit from 400 paths no more often than it should, by correction and check; the plain one
    it exceeds too often."""
    spend()
    n, alpha = 20_000, 0.005
    x = np.random.default_rng(0).gamma(0.5, 2.0, size=(n, 400))
    below = x[x.mean(1) < 0.9]  # no limit is nearer to its mean
    plain = int((below.mean(1) + t.isf(alpha, 399) * below.std(1, ddof=1) / 20.0 < 1.0).sum())
    corrected = sum(of(row).upper(alpha) < 1.0 for row in below)
    assert corrected <= binom.isf(FALSE_ALARM, n, alpha) < plain


@pytest.mark.parametrize(
    ("values", "doubt"),
    [
        (np.array([2.0]), "one path has no interval"),
        (np.zeros(1000), "all paths give zero, so that a rare event would not be seen"),
        (np.append(np.zeros(999), 1.0), "one path makes up 100% of the variance, so its tail is too heavy to judge"),
        (np.append(np.linspace(0.0, 1.0, 999), 1e120), "one path makes up 100%"),
        (np.append(np.linspace(0.0, 1.0, 999), 1e200), "one path makes up 100%"),
    ],
)
def test_doubt(values: np.ndarray, doubt: str) -> None:
    """Then there is no limit."""
    limit = of(values, min(2, len(values)))
    assert limit.doubt is not None
    assert limit.doubt.startswith(doubt)
    assert limit.upper(0.01) == math.inf


def test_a_deterministic_quantity_has_itself_as_limit() -> None:
    """The largest value, where all differ by rounding only; one path of a millionth more is spread again."""
    x = 3.0 + 1e-12 * np.random.default_rng(1).random(100)
    assert of(x, 3).upper(0.01) == x.max()
    assert of(np.append(np.full(99, 3.0), 3.0 + 3e-6)).upper(0.01) == math.inf


def test_nothing_without_paths() -> None:
    """No path, no limit."""
    assert CentralLimit().upper(0.01) == math.inf
    assert CentralLimit().estimate.n == 0
    assert CentralLimit().skewness == 0.0
