"""The exact Wasserstein distance against closed forms and against all permutations."""

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from sdewm.exceptions import InvalidArgument
from sdewm.stats.transport import paired_distances, wasserstein

Array = NDArray[np.float64]


def draw(n: int, dim: int, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((n, dim))


def by_all_permutations(x: Array, y: Array, order: float) -> float:
    costs = [np.mean(np.linalg.norm(x - y[list(p)], axis=1) ** order) for p in permutations(range(len(x)))]
    return float(min(costs) ** (1.0 / order))


@pytest.mark.parametrize("order", [1.0, 1.5, 2.0, 4.0])
@pytest.mark.parametrize(("n", "dim"), [(1, 3), (2, 2), (5, 2), (6, 3)])
def test_no_permutation_is_better(n: int, dim: int, order: float) -> None:
    for seed in range(5):
        x, y = draw(n, dim, seed), draw(n, dim, seed + 100)
        assert wasserstein(x, y, order) == pytest.approx(by_all_permutations(x, y, order), rel=1e-12)


def test_a_greedy_matching_would_be_caught() -> None:
    """The negative control: to match each point with the nearest one that is left is not optimal."""
    x, y = draw(6, 2, 0), draw(6, 2, 100)
    left, total = list(range(6)), 0.0
    for point in x:
        nearest = min(left, key=lambda j: float(np.linalg.norm(point - y[j])))
        left.remove(nearest)
        total += float(np.linalg.norm(point - y[nearest])) / 6
    assert total > 1.01 * wasserstein(x, y)


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0])
def test_numbers_are_sorted(order: float) -> None:
    x, y = draw(40, 1, 1)[:, 0], draw(40, 1, 2)[:, 0]
    # The same numbers on a line in the plane take the general way through the code.
    direction = np.array([0.6, 0.8])
    sorted_form = np.mean(np.abs(np.sort(x) - np.sort(y)) ** order) ** (1.0 / order)
    assert wasserstein(x, y, order) == pytest.approx(sorted_form, rel=1e-12)
    assert wasserstein(np.outer(x, direction), np.outer(y, direction), order) == pytest.approx(sorted_form, rel=1e-12)


@pytest.mark.parametrize("order", [1.0, 2.0])
def test_a_translation_costs_its_length(order: float) -> None:
    """|E X − E Y| bounds every W_p from below, and moving each point bounds it from above by the same number."""
    x = draw(60, 3, 3)
    assert wasserstein(x, x + np.array([3.0, 0.0, -4.0]), order) == pytest.approx(5.0, rel=1e-12)


def test_it_is_a_distance_of_sets_of_points() -> None:
    x, y, z = (draw(50, 2, seed) for seed in (4, 5, 6))
    mixed = y[np.random.default_rng(0).permutation(50)]
    assert wasserstein(x, y) == pytest.approx(wasserstein(y, x), rel=1e-12)
    assert wasserstein(x, y) == pytest.approx(wasserstein(x, mixed), rel=1e-12)
    assert wasserstein(y, mixed) == 0.0
    assert wasserstein(x, z) <= wasserstein(x, y) + wasserstein(y, z)
    assert wasserstein(x, y, 1.0) <= wasserstein(x, y, 2.0)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_sizes_do_not_overflow(size: float) -> None:
    x, y = draw(20, 2, 7), draw(20, 2, 8)
    assert wasserstein(size * x, size * y, 2.0) == pytest.approx(size * wasserstein(x, y, 2.0), rel=1e-12)


def test_the_given_pairs_bound_it_from_above() -> None:
    x = draw(80, 3, 9)
    moved = x + 0.5 * np.sin(3.0 * x)
    assert wasserstein(x, moved) < paired_distances(x, moved).mean()
    # Displacements far below the gaps between points leave the identity optimal.
    near = x + 1e-4 * np.sin(3.0 * x)
    assert wasserstein(x, near) == pytest.approx(paired_distances(x, near).mean(), rel=1e-12)


def test_two_samples_of_one_law_are_not_at_distance_zero() -> None:
    """The floor: W₁ of two independent samples shrinks with n in one dimension much faster than in four."""
    source = np.random.default_rng(0)

    def floor(n: int, dim: int) -> float:
        return float(np.mean([wasserstein(source.random((n, dim)), source.random((n, dim))) for _ in range(20)]))

    rates = {dim: np.log(floor(400, dim) / floor(50, dim)) / np.log(8.0) for dim in (1, 4)}
    assert rates[1] == pytest.approx(-0.5, abs=0.25)
    assert rates[4] == pytest.approx(-0.25, abs=0.1)


@pytest.mark.parametrize(
    ("x", "y", "order", "words"),
    [
        ([1.0], [1.0, 2.0], 1.0, "one shape"),
        ([[1.0, 2.0]], [1.0], 1.0, "one shape"),
        ([], [], 1.0, "1 <= n"),
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), 1.0, "shape"),
        ([1.0], [np.nan], 1.0, "y must be finite"),
        ([1.0], [2.0], 0.5, "order must be at least 1"),
        (np.zeros(4097), np.zeros(4097), 1.0, "n <= 4096"),
    ],
)
def test_bad_input_is_named(x: object, y: object, order: float, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        wasserstein(x, y, order)  # type: ignore[arg-type]
