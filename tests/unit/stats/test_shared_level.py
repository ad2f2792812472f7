"""Limits on what depends on several estimates."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from sdewm.exceptions import InvalidArgument
from sdewm.stats import Limits, increasing, share
from sdewm.verdict import Grade

CERTIFIED, ASYMPTOTIC = Grade.CERTIFIED, Grade.ASYMPTOTIC


def test_the_limits_and_the_grade() -> None:
    """Corner values; the probabilities add up; the weaker grade remains."""
    a, b = Limits(1.0, 2.0, 0.01, CERTIFIED), Limits(3.0, 4.0, 0.02, ASYMPTOTIC)
    assert increasing(lambda x, y: x * y, a, b) == Limits(3.0, 8.0, 0.03, ASYMPTOTIC)
    assert increasing(lambda x, y: x * y, a, Limits.exactly(2.0)) == Limits(2.0, 4.0, 0.01, CERTIFIED)
    assert increasing(math.exp, Limits(0.0, math.inf, 0.01, CERTIFIED)).upper == math.inf


def test_the_worst_dependence_uses_up_the_level() -> None:
    """Two estimates that miss on disjoint events: the sum of the probabilities is attained, so less would not do."""
    u = (np.arange(10_000) + 0.5) / 10_000
    first, second = (u < 0.05), (u >= 0.95)
    level = share(0.9, 2)
    assert level == pytest.approx(0.95)
    assert (first | second).mean() == pytest.approx(1.0 - 0.9)
    assert increasing(max, *[Limits(0.0, 1.0, 1.0 - level, CERTIFIED)] * 2).miss == pytest.approx(0.1)


def test_coverage_of_the_larger_of_two() -> None:
    """Exact normal intervals of two estimates, by quadrature: at least the level, and less if it is not shared."""
    error = norm.ppf((np.arange(2000) + 0.5) / 2000)

    def covered(level: float) -> float:
        # The worst dependence: the errors are opposite. Then the limits of max(θ, θ) miss on either tail of both.
        half = norm.isf((1.0 - level) / 2.0)
        inside = 0
        for e in error:
            both = [Limits(x - half, x + half, 1.0 - level, CERTIFIED) for x in (e, -e)]
            limits = increasing(max, *both)
            inside += limits.lower <= 0.0 <= limits.upper
        return inside / len(error)

    assert covered(share(0.8, 2)) >= 0.8 > covered(0.8) - 1e-9


def test_bad_arguments() -> None:
    """One sentence each."""
    with pytest.raises(InvalidArgument, match=r"lower must be at most upper, got 2\.0 and 1\.0"):
        Limits(2.0, 1.0, 0.1, CERTIFIED)
    with pytest.raises(InvalidArgument, match=r"lower must be at most upper, got nan"):
        Limits(math.nan, 1.0, 0.1, CERTIFIED)
    with pytest.raises(InvalidArgument, match="miss must be a probability"):
        Limits(1.0, 2.0, 1.0, CERTIFIED)
    with pytest.raises(InvalidArgument, match="limits must be given"):
        increasing(lambda: 0.0)
    with pytest.raises(InvalidArgument, match=r"sum to less than 1, got 1\.2"):
        increasing(max, *[Limits(0.0, 1.0, 0.6, CERTIFIED)] * 2)
    with pytest.raises(InvalidArgument, match="function must increase in every argument"):
        increasing(lambda x: -x, Limits(0.0, 1.0, 0.1, CERTIFIED))
    with pytest.raises(InvalidArgument, match="parts must be a whole number"):
        share(0.9, 0)
