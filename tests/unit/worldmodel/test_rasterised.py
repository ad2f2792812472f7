"""The images have the dimension that they are said to have, and a wrong one is caught."""

from itertools import combinations

import numpy as np
import pytest
import torch

from sdewm.dynamics.brownian import generator
from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.rasterised import Blobs, flat, neighbour_dimension

DIMS = (1, 2, 3, 4)


def rank(blobs: Blobs, count: int = 64) -> int:
    """The largest number of singular values of the Jacobian that are not rounding, over some points."""
    theta = blobs.parameters(count, generator(0, "points")).double()
    values = torch.linalg.svdvals(blobs.jacobian(theta))
    return int((values > 1e-10 * values[:, :1]).sum(1).max())


@pytest.mark.parametrize("dim", DIMS)
def test_the_jacobian_has_full_rank_everywhere_and_no_more(dim: int) -> None:
    blobs = Blobs(dim)
    theta = blobs.parameters(256, generator(0, "points")).double()
    values = torch.linalg.svdvals(blobs.jacobian(theta)) / blobs.size
    assert rank(blobs) == dim
    # In every direction, everywhere: neither flat nor steep.
    assert float(values.min()) > 0.03
    assert float(values.max()) < 1.0


def test_the_jacobian_is_that_of_central_differences() -> None:
    blobs = Blobs(4)
    theta = blobs.parameters(8, generator(1, "points")).double()
    exact = blobs.jacobian(theta)
    for k in range(4):
        step = 1e-5 * torch.eye(4, dtype=torch.float64)[k]
        differences = (blobs.images(theta + step) - blobs.images(theta - step)).flatten(1) / 2e-5
        assert torch.allclose(exact[..., k], differences, atol=1e-8)


@pytest.mark.parametrize("dim", DIMS)
def test_distances_are_kept_up_to_a_constant(dim: int) -> None:
    """Also between far points, so that the embedding is injective: no two parameters share an image."""
    blobs = Blobs(dim)
    theta = blobs.parameters(300, generator(2, "points")).double()
    ratio = torch.pdist(flat(blobs.images(theta))) / torch.pdist(theta)
    assert float(ratio.min()) > 0.05
    assert float(ratio.max()) < 1.0


def test_images_that_share_parameters_are_caught() -> None:
    """The negative control: a map that forgets the sign of its parameter is not injective, and its ratio says so."""
    blobs = Blobs(1)
    theta = torch.tensor([[-0.25], [0.25], [0.1]], dtype=torch.float64)
    ratio = torch.pdist(flat(blobs.images(theta.abs()))) / torch.pdist(theta)
    assert float(ratio.min()) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("dim", DIMS)
def test_neighbours_see_the_dimension(dim: int) -> None:
    """Without being told it, from the images alone; the edge of the cube makes it a little smaller.

    The standard error is below d / sqrt(n) = 0.02 d; uniform numbers are the same on every processor.
    """
    found = neighbour_dimension(flat(Blobs(dim).sample(3000, seed=0)).numpy(), 10)
    assert 0.85 * dim < found < 1.1 * dim
    assert all(abs(found - dim) < abs(found - other) for other in DIMS if other != dim)


def test_neighbours_see_noise_that_is_added() -> None:
    """The negative control: pixel noise raises the dimension, and a repeated parameter lowers it."""
    source = generator(3, "noise")
    images = flat(Blobs(2).sample(1000, seed=0))
    assert neighbour_dimension((images + 0.02 * torch.randn(images.shape, generator=source)).numpy()) > 4.0
    blobs = Blobs(4)
    theta = blobs.parameters(2000, source)
    theta[:, 2:] = theta[:, :2]
    assert neighbour_dimension(flat(blobs.images(theta)).numpy()) == pytest.approx(2.0, abs=0.25)


def test_the_formula_is_written_out_once_more() -> None:
    theta = np.array([0.2, 0.9, 0.4, 0.7])
    image = Blobs(4, size=16).images(torch.tensor(theta)[None])[0, 0].numpy()
    for i, j in combinations(range(16), 2):
        across, down = (j + 0.5) / 16, (i + 0.5) / 16
        squared = (across - 0.25 - 0.5 * theta[0]) ** 2 + (down - 0.25 - 0.5 * theta[1]) ** 2
        width = 3 ** theta[2] / 12
        value = (0.25 + 0.75 * theta[3]) * np.exp(-squared / (2 * width**2))
        assert image[i, j] == pytest.approx(value, rel=1e-12)


def test_families_are_nested_and_norms_do_not_depend_on_the_raster() -> None:
    theta = torch.rand(5, 2, generator=generator(4, "points"), dtype=torch.float64)
    whole = torch.cat((theta, torch.full((5, 2), 0.5, dtype=torch.float64)), 1)
    assert torch.equal(Blobs(2).images(theta), Blobs(4).images(whole))
    coarse, fine = (torch.pdist(flat(Blobs(2, size).images(theta))) for size in (16, 64))
    assert torch.allclose(coarse, fine, rtol=0.02)


def test_samples_are_fixed_by_seed_and_purpose() -> None:
    blobs = Blobs(3)
    state = torch.random.get_rng_state()
    assert torch.equal(blobs.sample(4, seed=1), blobs.sample(4, seed=1))
    assert not torch.equal(blobs.sample(4, seed=1), blobs.sample(4, seed=2))
    assert not torch.equal(blobs.sample(4, seed=1), blobs.sample(4, seed=1, purpose="other"))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("dim", [0, 5, 1.5, True])
def test_a_wrong_dimension_is_refused(dim: object) -> None:
    with pytest.raises(InvalidArgument, match="dim"):
        Blobs(dim)  # type: ignore[arg-type]


def test_other_bad_input_is_named() -> None:
    with pytest.raises(InvalidArgument, match="size"):
        Blobs(1, size=4)
    with pytest.raises(InvalidArgument, match=r"theta must have shape \(count, 2\)"):
        Blobs(2).images(torch.zeros(3, 1))
    with pytest.raises(InvalidArgument, match="n > 10"):
        neighbour_dimension(np.zeros((5, 2)))
    with pytest.raises(InvalidArgument, match="all be different"):
        neighbour_dimension(np.zeros((50, 2)))
    with pytest.raises(InvalidArgument, match="neighbours"):
        neighbour_dimension(np.zeros((50, 2)), 2)


def test_the_normal_part_is_the_distance_to_the_images() -> None:
    """Against Newton's projection onto the set of images; and it is less than the error, which is also tangential."""
    blobs, source = Blobs(2), generator(5, "points")
    theta = blobs.parameters(40, source).double()
    images = blobs.images(theta)
    moved = blobs.images(theta + 0.01) + 0.01 * torch.rand(images.shape, generator=source, dtype=torch.float64)
    nearest = theta.clone()
    for _ in range(20):
        residual = (moved - blobs.images(nearest)).flatten(1)
        nearest += torch.linalg.lstsq(blobs.jacobian(nearest), residual[..., None]).solution[..., 0]
    distance = flat(moved - blobs.images(nearest)).norm(dim=1)
    found = blobs.normal_part(theta, moved)
    assert torch.allclose(found, distance, rtol=0.02)
    assert bool((found < 0.95 * flat(moved - images).norm(dim=1)).all())
    # To first order a tangential error has no normal part: what is left is of second order.
    halves = [float(blobs.normal_part(theta, blobs.images(theta + h)).mean()) for h in (0.02, 0.01)]
    assert halves[0] / halves[1] == pytest.approx(4.0, rel=0.1)
