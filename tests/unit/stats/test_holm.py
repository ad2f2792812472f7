"""Several cells, one verdict."""

import itertools

import numpy as np
import pytest

from sdewm.exceptions import InvalidArgument
from sdewm.stats import family, holm
from sdewm.verdict import Outcome

HOLDS, VIOLATED, INCONCLUSIVE = Outcome.HOLDS, Outcome.VIOLATED, Outcome.INCONCLUSIVE
FAILS, NUMERICAL = Outcome.HYPOTHESIS_FAILS, Outcome.NUMERICAL_FAILURE


def closed_testing(p: tuple[float, ...]) -> list[float]:
    """Holm by another way: reject what every Bonferroni test of a subset with it rejects (Marcus, Peritz, Gabriel)."""
    cells = range(len(p))
    subsets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(cells, size)]
    return [max(min(1.0, len(s) * min(p[j] for j in s)) for s in subsets if i in s) for i in cells]


def test_holm_is_the_closure_of_bonferroni() -> None:
    """On random and on tied p-values; without the factor it would not be."""
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, 5):
        for p in (rng.random(size), rng.random(size) ** 4, np.full(size, 0.01), np.zeros(size)):
            assert holm(tuple(p)) == pytest.approx(closed_testing(tuple(p)), rel=1e-12)
    assert holm([0.01, 0.01]) != pytest.approx([0.01, 0.01])


def test_the_error_rate_over_the_family() -> None:
    """Three true cells with independent p-values, by quadrature: at most α; without Holm it is 1 − (1 − α)³."""
    grid = (np.arange(40) + 0.5) / 40.0
    alpha, wrong, bare = 0.25, 0, 0
    for p in itertools.product(grid, repeat=3):
        wrong += min(holm(p)) <= alpha
        bare += min(p) <= alpha
    assert wrong / 40**3 <= alpha < bare / 40**3


@pytest.mark.parametrize(
    ("outcomes", "p", "answer"),
    [
        ([HOLDS, HOLDS], [1.0, 1.0], HOLDS),
        ([HOLDS, INCONCLUSIVE], [1.0, 1.0], INCONCLUSIVE),
        ([HOLDS, VIOLATED], [1.0, 0.001], VIOLATED),
        ([HOLDS, VIOLATED], [1.0, 0.009], INCONCLUSIVE),
        ([VIOLATED], [0.009], VIOLATED),
        ([VIOLATED, FAILS], [0.0, 1.0], FAILS),
        ([NUMERICAL, FAILS], [1.0, 1.0], FAILS),
        ([NUMERICAL, VIOLATED], [1.0, 0.0], NUMERICAL),
    ],
)
def test_family(outcomes: list[Outcome], p: list[float], answer: Outcome) -> None:
    """At alpha = .01."""
    assert family(outcomes, p, 0.01) is answer


def test_bad_arguments() -> None:
    """One sentence each."""
    for p in ([], [-0.1], [1.1]):
        with pytest.raises(InvalidArgument, match=r"p_values must be numbers in \[0, 1\]"):
            holm(p)
    with pytest.raises(InvalidArgument, match="p_violated must have one value for each outcome, got 2"):
        family([HOLDS], [1.0, 1.0], 0.01)
    with pytest.raises(InvalidArgument, match="alpha must lie strictly"):
        family([HOLDS], [1.0], 0.0)
