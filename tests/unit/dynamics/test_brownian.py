"""Noise format 1. Golden values guard the format: a change here needs a new number and a note in the changelog."""

import itertools

import pytest
import torch
from alarm import assert_normal

from sdewm.dynamics import NOISE_FORMAT, BrownianMotion
from sdewm.dynamics.brownian import BLOCK, generator
from sdewm.grid import TimeGrid

GRID = TimeGrid(1.0, 5)


def test_golden_values_of_noise_format_1() -> None:
    assert (NOISE_FORMAT, BLOCK) == (1, 1024)
    z = BrownianMotion(0, TimeGrid(1.0, 3), 2).normals(1026)
    far = BrownianMotion(2**40 + 7, TimeGrid(1.0, 3), 1, "error-1").normals(2)
    seen = torch.stack((z[0, 0, 0], z[0, 0, 1], z[2, 0, 1], z[1, 1023, 0], z[0, 1024, 1], z[2, 1025, 1], far[2, 1, 0]))
    # The last bits belong to the processor's logarithm and cosine.
    golden = [1.103114, 1.745310, 0.293799, -0.552375, -0.014838, 1.536949, 0.584525]
    torch.testing.assert_close(seen, torch.tensor(golden, dtype=torch.float64), rtol=0, atol=2e-5)


@pytest.mark.parametrize("dim", [1, 3])
def test_a_path_has_the_same_noise_among_any_number_of_paths(dim: int) -> None:
    motion = BrownianMotion(3, GRID, dim)
    whole = motion.normals(5000)
    for paths in (1, 5, 1024, 1025):
        assert torch.equal(motion.normals(paths), whole[:, :paths])
    assert torch.equal(BrownianMotion(3, GRID, dim).normals(5000), whole)


def test_blocks_may_be_drawn_in_any_order() -> None:
    motion = BrownianMotion(3, GRID, 2)
    whole = motion.normals(3 * BLOCK, torch.float32)
    for block in (2, 0, 1, 0):
        rows = torch.stack(list(motion.steps(block)))
        assert torch.equal(rows, whole[:, block * BLOCK : (block + 1) * BLOCK])


def test_interleaved_streams_do_not_disturb_each_other() -> None:
    a, b = BrownianMotion(0, GRID, 1), BrownianMotion(1, GRID, 1)
    pairs = list(zip(a.steps(0), b.steps(0), strict=True))
    torch.randn(1)
    assert torch.equal(torch.stack([x for x, _ in pairs]), torch.stack(list(a.steps(0))))
    assert torch.equal(torch.stack([y for _, y in pairs]), torch.stack(list(b.steps(0))))


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = BrownianMotion(0, GRID, 1).normals(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(BrownianMotion(0, GRID, 1).normals(3), first)


@pytest.mark.parametrize("dim", [1, 7, 300])  # below, across and above the numbers drawn at a time
def test_a_longer_grid_begins_with_the_shorter(dim: int) -> None:
    longer = BrownianMotion(3, TimeGrid(9.0, 270 if dim == 1 else 40), dim).normals(3)
    for steps in (1, 2, 37):
        assert torch.equal(BrownianMotion(3, TimeGrid(1.0, steps), dim).normals(3), longer[:steps])


def test_float64_is_the_cast_of_float32() -> None:
    motion = BrownianMotion(3, GRID, 2)
    assert torch.equal(motion.normals(1030, torch.float32).double(), motion.normals(1030, torch.float64))


def test_increments_have_the_variance_of_a_step() -> None:
    motion = BrownianMotion(3, TimeGrid(8.0, 2), 1)
    assert torch.equal(motion.increments(4), 2.0 * motion.normals(4))


def test_seeds_purposes_and_blocks_give_distinct_noise() -> None:
    def first(seed: int, purpose: str = "paths", block: int = 0) -> tuple[float, ...]:
        return tuple(torch.empty(16).normal_(generator=generator(seed, purpose, block)).tolist())

    keys = [(seed, "paths", 0) for seed in range(1001)]
    keys += [(seed + k * 2**32, "paths", 0) for seed in range(5) for k in (1, 2, 2**32, 2**64)]
    keys += [(0, purpose, 0) for purpose in ("error-1", "error-2", "", "path", "shtap", "paths: space-time area")]
    keys += [(0, "paths", block) for block in range(1, 1000)] + [(1, "paths", 1), (2**32, "paths", 1)]
    assert len(set(keys)) == len(keys)
    assert len({first(*key) for key in keys}) == len(keys)
    assert first(5) == first(5)


def test_seeds_equal_in_their_low_32_bits_collide_without_our_generator() -> None:
    naive = [torch.empty(4).normal_(generator=torch.Generator().manual_seed(s)).tolist() for s in (5, 5 + 2**32)]
    assert naive[0] == naive[1]  # the reason for setting the whole state


def test_coarsened_increments_are_sums() -> None:
    motion = BrownianMotion(3, TimeGrid(2.0, 12), 2)
    fine = motion.increments(1030)
    for k in (1, 2, 3, 4, 12):
        coarse = motion.coarsen(k)
        assert coarse.grid == TimeGrid(2.0, 12 // k)
        expected = fine.reshape(12 // k, k, 1030, 2).sum(1)
        torch.testing.assert_close(coarse.increments(1030), expected, rtol=1e-13, atol=1e-14)
    assert torch.equal(motion.coarsen(2).coarsen(3).normals(7), motion.coarsen(6).normals(7))
    assert torch.equal(
        motion.coarsen(3).normals(7, torch.float32), motion.coarsen(3).normals(1030, torch.float32)[:, :7]
    )


def test_a_coarsened_longer_grid_begins_with_the_shorter() -> None:
    short = BrownianMotion(3, TimeGrid(1.0, 40), 5).coarsen(4).normals(3)
    assert torch.equal(BrownianMotion(3, TimeGrid(1.0, 400), 5).coarsen(4).normals(3)[:10], short)


def test_moments() -> None:
    z = BrownianMotion(0, TimeGrid(1.0, 60), 2).normals(4 * BLOCK)
    n = z.numel()
    assert_normal(float(z.mean()), 0.0, n**-0.5)
    assert_normal(float((z**2).mean()), 1.0, (2 / n) ** 0.5)
    assert_normal(float((z**3).mean()), 0.0, (15 / n) ** 0.5)
    assert_normal(float((z**4).mean()), 3.0, (96 / n) ** 0.5)


def test_steps_columns_paths_blocks_seeds_and_purposes_are_uncorrelated() -> None:
    grid = TimeGrid(1.0, 60)
    z = BrownianMotion(0, grid, 2).normals(4 * BLOCK)
    pairs = {
        "steps": (z[1:], z[:-1]),
        "columns": (z[..., 0], z[..., 1]),
        "paths": (z[:, 1:], z[:, :-1]),
        "blocks": (z[:, :BLOCK], z[:, BLOCK : 2 * BLOCK]),
        "seeds": (z, BrownianMotion(1, grid, 2).normals(4 * BLOCK)),
        "purposes": (z, BrownianMotion(0, grid, 2, "error-1").normals(4 * BLOCK)),
    }
    for a, b in pairs.values():
        assert_normal(float((a * b).mean()), 0.0, a.numel() ** -0.5)
        assert_normal(float(((a**2 - 1) * (b**2 - 1)).mean()), 0.0, 2 * a.numel() ** -0.5)
    assert float((z * z).mean()) > 0.9  # the same noise under two names would be seen


def test_a_sum_of_steps_is_a_brownian_motion() -> None:
    w = BrownianMotion(0, TimeGrid(4.0, 16), 1).increments(4 * BLOCK)[..., 0].cumsum(0)
    for s, t in itertools.combinations((3, 7, 15), 2):
        cov, var = (s + 1) / 4, ((s + 1) * (t + 1) + (s + 1) ** 2) / 16
        assert_normal(float((w[s] * w[t]).mean()), cov, (var / (4 * BLOCK)) ** 0.5)
