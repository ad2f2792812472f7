"""Pairs of paths under W and −W, and the sums of noise that control variates are made of."""

import pickle

import pytest
import torch
from systems import F64, Contracting, Network, elementwise, fixed
from torch import Tensor

from sdewm.dynamics import BrownianMotion, RepresentationError, StepMap, Variations, simulate_coupled
from sdewm.dynamics.brownian import BLOCK
from sdewm.dynamics.ensemble import prepare, reduce_blocks
from sdewm.dynamics.noise import INDEPENDENT, Antithetic, AntitheticMotion, Independent
from sdewm.dynamics.sobol import Sobol
from sdewm.dynamics.total_noise import TotalNoise, hermite
from sdewm.grid import TimeGrid

GRID = TimeGrid(1.0, 8)
SHARED = RepresentationError(diffusion=elementwise)


def normals(motion: AntitheticMotion, *blocks: int) -> Tensor:
    """(steps, paths, dim)."""
    return torch.cat([torch.stack(list(motion.steps(block, F64))) for block in blocks], 1)


def test_pairs_are_the_paths_of_the_source_and_their_mirror_images() -> None:
    """None is left out and none comes twice, over the borders of blocks."""
    source = BrownianMotion(3, GRID, 2)
    z = normals(AntitheticMotion(source), 0, 1, 2)
    assert torch.equal(z[:, ::2], source.normals(3 * BLOCK // 2))
    assert torch.equal(z[:, 1::2], -z[:, ::2])
    motion = AntitheticMotion(source)
    assert (motion.seed, motion.purpose) == (3, "paths")
    torch.testing.assert_close(
        normals(motion.coarsen(2), 0), z[:, :BLOCK].reshape(4, 2, BLOCK, 2).sum(1) / 2**0.5, rtol=1e-12, atol=1e-12
    )


def test_the_default_is_the_noise_of_before_to_the_bit() -> None:
    """The keyword changes nothing where it is not used."""
    assert Independent().motions(5, GRID, {"paths": 2, "error-1": 1}) == (
        BrownianMotion(5, GRID, 2),
        BrownianMotion(5, GRID, 1, "error-1"),
    )
    assert INDEPENDENT.cluster == 1


@pytest.mark.parametrize("law", [Antithetic(), Antithetic(Sobol(8)), Sobol(8)])
def test_laws_travel_to_other_processes(law: Antithetic | Sobol) -> None:
    """With the ensemble that they belong to."""
    ensemble = prepare([Contracting("diagonal")], 0.5, GRID, 16, motion=law)
    copy = pickle.loads(pickle.dumps(ensemble))
    assert (copy.cluster, copy.noise) == (ensemble.cluster, ensemble.noise)
    (mine,), (theirs,) = (reduce_blocks(e, lambda states: states[0]) for e in (ensemble, copy))
    assert mine.n == 16 // law.cluster
    assert (mine.mean == theirs.mean).all()


def test_pairs_are_averaged_before_moments_are_taken() -> None:
    """An odd function of the noise has no variance left, and an even one has twice that of as many paths."""
    step = StepMap(lambda n, x, a: x, lambda n, x, a: torch.ones_like(x), 1, 1)
    ensemble = prepare([step], 0.0, GRID, 4096, motion=Antithetic())
    (moments,) = reduce_blocks(ensemble, lambda s: torch.cat((s[0] ** 3, s[0] ** 2), 1))
    values = BrownianMotion(0, GRID, 1).normals(2048).sum(0) ** 2
    assert moments.n == 2048
    assert abs(float(moments.mean[0])) < 1e-12
    assert float(moments.scatter[0, 0]) < 1e-18
    assert float(moments.mean[1]) == pytest.approx(float(values.mean()))
    assert float(moments.scatter[1, 1]) == pytest.approx(float(values.var()) * 2047)


def test_all_noise_is_mirrored_also_the_error_s_own() -> None:
    """Base and error of the second path of a pair see −B and −W."""
    error = RepresentationError(diffusion=elementwise, correlation="independent")
    varied = Variations(Contracting("diagonal"), error)
    ensemble = prepare({"v": varied, "w": TotalNoise(varied)}, 0.5, GRID, 4, motion=Antithetic())
    (states,) = ensemble.run(0)
    assert states["w"].shape == (4, 6)
    assert torch.equal(states["w"][::2], -states["w"][1::2])


def test_total_noise_is_the_sum_of_the_columns() -> None:
    """W_T / √T of the base's noise and of the error's own, on the paths of the ensemble."""
    error = RepresentationError(diffusion=lambda t, x: fixed(3, 2).expand(len(x), 3, 2), correlation="independent")
    varied = Variations(Network(), error)
    run = simulate_coupled({"v": varied, "w": TotalNoise(varied)}, 0.5, TimeGrid(2.0, 8), 20)
    base = BrownianMotion(0, TimeGrid(2.0, 8), 2).increments(20).sum(0)
    own = BrownianMotion(0, TimeGrid(2.0, 8), 2, "error-1").increments(20).sum(0)
    torch.testing.assert_close(run["w"].final, torch.cat((base, own), 1) / 2**0.5, rtol=1e-12, atol=1e-12)
    first, second = hermite(run["w"].final[:, :1])
    torch.testing.assert_close(second, (first**2 - 1) / 2**0.5)
