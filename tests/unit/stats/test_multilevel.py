"""Multilevel estimates: ladders of grids, the best numbers of samples, and sums of independent levels."""

import itertools

import numpy as np
import pytest
from alarm import assert_misses
from joint import assert_all_cover

from sdewm.estimate import Estimate, Moments
from sdewm.exceptions import InvalidArgument
from sdewm.stats import allocate, ladder, telescoped


@pytest.mark.parametrize(
    ("steps", "factor", "least", "expected"),
    [
        (64, None, 4, (4, 8, 16, 32, 64)),
        (64, 2, 4, (4, 8, 16, 32, 64)),
        (45, 3, 4, (5, 15, 45)),
        (60, 5, 4, (6, 12, 60)),
        (7, None, 2, (7,)),
        (8, 4, 4, (8,)),
        (1, None, 1, (1,)),
    ],
)
def test_ladders(steps: int, factor: int | None, least: int, expected: tuple[int, ...]) -> None:
    """Each number of steps divides the next, and none is below the least."""
    assert ladder(steps, factor, least) == expected


def test_allocation_is_the_cheapest() -> None:
    """No other numbers with the same variance cost less, by brute force over the neighbourhood."""
    variances, costs, allowed = np.array([4.0, 1.0, 0.2]), np.array([1.0, 3.0, 6.0]), 1e-3
    best = np.array(allocate(variances, costs, allowed))
    assert (variances / best).sum() <= allowed
    for move in itertools.product((0.8, 0.9, 1.0, 1.1, 1.25), repeat=3):
        other = best * move
        if (variances / other).sum() <= allowed:
            assert other @ costs >= 0.99 * (best @ costs)


def test_each_of_several_quantities_gets_its_variance() -> None:
    """Every level takes the most that one of them asks for, and at least the least."""
    variances, allowed = np.array([[4.0, 1.0], [0.1, 2.0], [0.0, 0.0]]), np.array([1e-2, 2e-3])
    n = np.array(allocate(variances, [1.0, 2.0, 4.0], allowed, 5))
    assert ((variances / n[:, None]).sum(0) <= allowed).all()
    assert n[2] == 5


def levels(coupled: bool) -> tuple[Estimate, ...]:
    """E exp(W_1) by 4, 8, 16 Euler steps of dx = x dW + x/2 dt, each level on noise of its own or all on one."""
    result = []
    for i, (steps, n) in enumerate(((4, 40_000), (8, 10_000), (16, 4000))):
        z = np.random.default_rng(0 if coupled else i).standard_normal((n, steps))
        fine = np.prod(1 + 0.5 / steps + z / steps**0.5, 1)
        if i:
            coarse = (z[:, ::2] + z[:, 1::2]) / 2**0.5
            fine = fine - np.prod(1 + 1 / steps + coarse * (2 / steps) ** 0.5, 1)
        result.append(Moments.of(fine, f"level {0 if coupled else i}").estimates()[0])
    return tuple(result)


def test_the_sum_of_the_levels_is_the_finest_grid() -> None:
    """(1 + h/2)^16, and twice the last level makes it Richardson's extrapolation."""
    found = [[level] for level in levels(coupled=False)]
    fine, coarse = (1 + 0.5 / 16) ** 16, (1 + 0.5 / 8) ** 8
    (total,) = telescoped(found, [1.0, 1.0, 1.0])
    assert_misses(total, (1 + 0.5 / 4) ** 4 - 0.1)
    assert total.standard_error == pytest.approx(sum(e.standard_error**2 for (e,) in found) ** 0.5)
    (extrapolated,) = telescoped(found, [1.0, 1.0, 2.0])
    assert_all_cover([(total, fine), (extrapolated, 2 * fine - coarse)])


def test_bad_arguments() -> None:
    with pytest.raises(InvalidArgument, match="factor must divide the 8 steps, got 3"):
        ladder(8, 3)
    with pytest.raises(InvalidArgument, match=r"variances must have shape .* \(2, 1\), got \(3, 1\)"):
        allocate([1.0, 2.0, 3.0], [1.0, 2.0], 1.0)
    with pytest.raises(InvalidArgument, match="costs and allowed must be above zero"):
        allocate([1.0], [0.0], 1.0)
    with pytest.raises(InvalidArgument, match="weights must be one for each of the 1 levels, got 2"):
        telescoped([Moments.of([1.0, 2.0]).estimates()], [1.0, 1.0])
    with pytest.raises(InvalidArgument, match="same noise"):
        telescoped([[level] for level in levels(coupled=True)], [1.0, 1.0, 1.0])
