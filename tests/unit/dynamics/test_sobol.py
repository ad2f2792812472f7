"""Scrambled Sobol paths: each one a Brownian motion, together a net, replicates independent."""

import numpy as np
import pytest
import torch
from alarm import assert_normal
from systems import F64
from torch import Tensor

from sdewm.drifts import Linear
from sdewm.dynamics import BrownianMotion, RepresentationError, Variations
from sdewm.dynamics.brownian import BLOCK
from sdewm.dynamics.ensemble import prepare, reduce_blocks
from sdewm.dynamics.sobol import DIMENSIONS, Sobol, SobolMotion, _bridge, _directions, _orders, _scrambled
from sdewm.grid import TimeGrid

GRID = TimeGrid(1.0, 6)


def normals(motion: SobolMotion, *blocks: int) -> Tensor:
    """(steps, paths, dim) of some blocks, in float64."""
    return torch.cat([torch.stack(list(motion.steps(block, F64))) for block in blocks or (0,)], 1)


def cells(values: Tensor, count: int) -> set[int]:
    """Which of `count` equally likely cells the normals fall into."""
    return set((torch.special.ndtr(values) * count).floor().int().tolist())


@pytest.mark.parametrize("steps", [1, 2, 7, 12, 16])
def test_the_bridge_is_orthogonal(steps: int) -> None:
    """So that independent normals stay such; the first is the sum of all, whatever the number of steps."""
    matrix = _bridge(torch.eye(steps, dtype=F64))
    torch.testing.assert_close(matrix.T @ matrix, torch.eye(steps, dtype=F64), rtol=0, atol=1e-14)
    torch.testing.assert_close(matrix[:, 0], torch.full((steps,), steps**-0.5, dtype=F64))


def test_the_second_coordinate_moves_the_middle_alone() -> None:
    """A bridge: it leaves the end where it is."""
    path = _bridge(torch.eye(8, dtype=F64))[:, 1].cumsum(0)
    assert float(path[-1].abs()) < 1e-14
    assert int(path.abs().argmax()) == 3


@pytest.mark.parametrize("points", [16, 1024, 4096])
def test_each_replicate_is_a_net(points: int) -> None:
    """W_T of the paths of a replicate: one in each of as many cells; and so on the first two coordinates together."""
    z = normals(SobolMotion(0, TimeGrid(1.0, 1), 2, points=points), *range(4))
    for first in range(0, 4 * BLOCK, points):
        x, y = z[0, first : first + points].unbind(1)
        assert len(cells(x, points)) == len(cells(y, points)) == points
        u, v = ((torch.special.ndtr(a) * points).floor().long() for a in (x, y))
        m = points.bit_length() - 1
        for k in range(m + 1):
            assert len(set(((u >> k) * points + (v >> (m - k))).tolist())) == points
    other = normals(SobolMotion(0, TimeGrid(1.0, 1), 2, points=points), 4)[0, :points, 0]
    assert not torch.equal(other, z[0, :points, 0])
    plain = BrownianMotion(0, TimeGrid(1.0, 1), 2).normals(points)[0, :, 0]
    assert len(cells(plain, points)) < 0.8 * points  # independent points would be seen


def test_each_replicate_exchanges_later_coordinates_within_their_groups() -> None:
    """The first eight stay, and each group of a dyadic level is permuted, for every replicate in its own way."""
    orders = _orders(0, "a", 4, 3, 50)
    assert np.array_equal(orders[:, :8], np.tile(np.arange(8), (3, 1)))
    for first, last in ((8, 16), (16, 32), (32, 50)):
        groups = [tuple(row) for row in orders[:, first:last]]
        assert all(sorted(row) == list(range(first, last)) for row in groups)
        assert len({*groups, tuple(range(first, last))}) == 4
    assert np.array_equal(_orders(0, "a", 4, 3, 50), orders)
    assert np.array_equal(_orders(0, "a", 4, 1, 8), [np.arange(8)])


@pytest.mark.parametrize("points", [16, 4096])
def test_exchanged_coordinates_are_each_evenly_spread(points: int) -> None:
    """Every one of 50 dimensions of every replicate has one point in each cell, also where blocks are drawn apart."""
    motion = SobolMotion(5, TimeGrid(1.0, 1), 50, points=points)
    z = normals(motion, *range(4))[0]
    for first in range(0, 2 * points, points):
        for column in z[first % (4 * BLOCK) :][:points].T:
            assert len(cells(column, points)) == points


def test_groups_are_coordinates_of_one_net_and_not_scrambled_apart() -> None:
    """Scrambled apart the same points are paired in each replicate, and products do not average out."""
    together = [normals(m) for m in Sobol(256).motions(0, TimeGrid(1.0, 1), {"paths": 1, "error-1": 1})]
    apart = [normals(SobolMotion(0, TimeGrid(1.0, 1), 1, name, points=256)) for name in ("paths", "error-1")]

    def filled(pair: list[Tensor]) -> int:
        u, v = ((torch.special.ndtr(z[0, :256, 0]) * 16).floor().int() for z in pair)
        return len(set((16 * u + v).tolist()))

    assert filled(together) == 256
    assert filled(apart) < 200


def test_a_path_has_the_same_noise_in_any_order_and_replicates_may_span_blocks() -> None:
    """To the bit, whatever else is drawn."""
    motion = SobolMotion(3, GRID, 2, points=4096)
    whole = normals(motion, 0, 1, 2, 3, 4)
    assert torch.equal(normals(motion, 2), whole[:, 2 * BLOCK : 3 * BLOCK])
    assert torch.equal(normals(motion, 4), whole[:, 4 * BLOCK :])
    points = torch.from_numpy(_scrambled(0, "a", 3, 5, 4096, 1024))
    assert points.shape == (1, 5, BLOCK)
    assert not torch.equal(points, torch.from_numpy(_scrambled(0, "a", 3, 5, 4096, 0)))


def test_seeds_and_purposes_give_distinct_noise_and_the_format_is_golden() -> None:
    """A change here needs new numbers and a note in the changelog."""
    first = {(s, p): float(normals(SobolMotion(s, GRID, 1, p))[0, 0, 0]) for s in range(20) for p in ("paths", "b")}
    assert len(set(first.values())) == len(first)
    z = normals(SobolMotion(7, GRID, 2, points=64))
    seen = torch.stack((z[0, 0, 0], z[5, 63, 1], z[3, 64, 0]))
    torch.testing.assert_close(seen, torch.tensor([-1.42532943, 0.17848896, -0.41316522], dtype=F64), rtol=0, atol=1e-6)


def test_coarsened_increments_are_sums() -> None:
    """Of the same paths."""
    motion = SobolMotion(3, TimeGrid(2.0, 12), 2)
    fine = normals(motion)
    for k in (2, 3, 12):
        coarse = motion.coarsen(k)
        assert coarse.grid == TimeGrid(2.0, 12 // k)
        torch.testing.assert_close(
            normals(coarse), fine.reshape(12 // k, k, BLOCK, 2).sum(1) / k**0.5, rtol=1e-13, atol=1e-14
        )
    assert torch.equal(normals(motion.coarsen(2).coarsen(3)), normals(motion.coarsen(6)))


def test_each_path_is_a_brownian_motion() -> None:
    """The first path of many replicates: independent normals, uncorrelated over steps and columns."""
    motion = SobolMotion(0, GRID, 2, points=2)
    z = normals(motion, *range(8))[:, ::2]  # one path a replicate
    n = z.numel()
    assert_normal(float(z.mean()), 0.0, n**-0.5)
    assert_normal(float((z**2).mean()), 1.0, (2 / n) ** 0.5)
    assert_normal(float((z**4).mean()), 3.0, (96 / n) ** 0.5)
    for a, b in ((z[1:], z[:-1]), (z[..., 0], z[..., 1]), (z[:, 1:], z[:, :-1])):
        assert_normal(float((a * b).mean()), 0.0, a.numel() ** -0.5)
    both = normals(motion, *range(8))
    assert float((both[:, ::2] * both[:, 1::2]).mean()) < -0.2  # within a replicate they do depend on each other


def test_replicate_means_are_unbiased_and_spread_far_less() -> None:
    """E W_T² = 1 and E W_{T/2} W_T = ½ over 64 replicates of 64 points, against 64 independent points."""
    z = normals(SobolMotion(1, TimeGrid(1.0, 8), 1, points=64), *range(4))[..., 0] * 8**-0.5
    for values, truth, gain in ((z.sum(0) ** 2, 1.0, 8.0), (z[:4].sum(0) * z.sum(0), 0.5, 5.0)):
        means = values.reshape(64, 64).mean(1)
        assert_normal(float(means.mean()), truth, float(means.std()) / 8.0)
        assert gain * float(means.var()) < float(values.var()) / 64


def test_the_limit_of_the_tables_itself_works() -> None:
    """All 21201 dimensions, as many columns in one step."""
    assert len(_directions(DIMENSIONS, 2)[0]) == DIMENSIONS


@pytest.mark.parametrize(("points", "paths"), [(16, 64), (8192, 16384)])
def test_moments_are_those_of_replicate_means(points: int, paths: int) -> None:
    """One observation a replicate, also where it spans several blocks of the engine."""
    error = RepresentationError(diffusion=lambda t, x: torch.ones_like(x), correlation="independent")
    ensemble = prepare({"v": Variations(Linear(-1.0, 0.0), error)}, 0.0, GRID, paths, motion=Sobol(points))
    (moments,) = reduce_blocks(ensemble, lambda states: states["v"].y1[:, 0])
    motions = Sobol(points).motions(0, GRID, {"paths": 1, "error-1": 1})
    z = normals(motions[1], *range(-(-paths // BLOCK)))[:, :paths, 0]
    weights = torch.tensor([(1.0 - GRID.h) ** (5 - n) * GRID.h**0.5 for n in range(6)], dtype=F64)
    means = (weights @ z).reshape(-1, points).mean(1)
    assert moments.n == paths // points
    assert float(moments.mean[0]) == pytest.approx(float(means.mean()), abs=1e-12)
    assert float(moments.scatter[0, 0]) == pytest.approx(float(means.var()) * (moments.n - 1), abs=1e-12)
