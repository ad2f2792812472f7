"""Networks: shapes, smoothness, and weights from a generator of their own."""

import pytest
import torch

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.networks import ImageDecoder, ImageEncoder, gru_cell, mlp, observation_shape


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


SHAPES = [((3, 32, 32), (4, 4)), ((1, 64, 64), (4, 4)), ((3, 16, 48), (4, 12)), ((2, 144, 144), (9, 9))]


def test_an_image_of_as_many_pixels_in_another_order_is_refused():
    encoder = ImageEncoder(draw(), (3, 32, 32), 4, 5)
    assert encoder(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
    for shape in ((2, 3, 64, 16), (2, 3, 16, 64), (3, 64, 64), (2, 1, 32, 96)):
        with pytest.raises(InvalidArgument, match=r"images must have shape \(..., 3, 32, 32\), got"):
            encoder(torch.zeros(shape))


@pytest.mark.parametrize(("shape", "smallest"), SHAPES)
def test_images_are_halved_and_doubled_again(shape, smallest):
    encoder, decoder = ImageEncoder(draw(), shape, 2, 5), ImageDecoder(draw(), 6, shape, 2)
    assert decoder.smallest[1:] == smallest
    assert encoder(torch.zeros(2, 3, *shape)).shape == (2, 3, 5)
    assert encoder(torch.zeros(*shape)).shape == (5,)
    assert decoder(torch.zeros(2, 3, 6)).shape == (2, 3, *shape)
    assert decoder(torch.zeros(6)).shape == shape


def test_each_image_is_read_apart_and_every_pixel_counts():
    encoder = ImageEncoder(draw(), (2, 16, 16), 2, 5).double()
    images = torch.randn(3, 4, 2, 16, 16, generator=draw(), dtype=torch.float64)
    alone = torch.stack([torch.stack([encoder(image) for image in row]) for row in images])
    torch.testing.assert_close(encoder(images), alone)
    gradient = torch.autograd.grad(encoder(images.requires_grad_()).square().sum(), images)[0]
    assert bool((gradient != 0.0).all())
    decoder = ImageDecoder(draw(), 5, (2, 16, 16), 2).double()
    moved = decoder(torch.zeros(5, dtype=torch.float64)) - decoder(torch.ones(5, dtype=torch.float64))
    assert bool((moved != 0.0).all())


@pytest.mark.parametrize(
    "build",
    [
        lambda g: mlp(g, 3, 4, 2),
        lambda g: gru_cell(g, 3, 4),
        lambda g: ImageEncoder(g, (1, 16, 16), 2, 3),
        lambda g: ImageDecoder(g, 3, (1, 16, 16), 2),
    ],
    ids=["mlp", "gru_cell", "encoder", "decoder"],
)
def test_weights_come_from_the_generator_alone(build):
    before = torch.get_rng_state()
    one, two, other = build(draw(0)), build(draw(0)), build(draw(1))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
        assert bool(a.isfinite().all())
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


@torch.no_grad()
def test_signals_keep_their_size():
    # Weights of variance 1/inputs: a unit signal neither dies nor explodes, whatever the width.
    for width in (16, 256):
        x = torch.randn(2000, width, generator=draw(1))
        assert 0.6 < float(mlp(draw(), width, width)(x).std()) < 0.8
    images = torch.randn(64, 3, 32, 32, generator=draw(1))
    assert 0.05 < float(ImageEncoder(draw(), (3, 32, 32), 8, 64)(images).std()) < 1.0
    assert 0.05 < float(ImageDecoder(draw(), 64, (3, 32, 32), 8)(torch.randn(64, 64, generator=draw(1))).std()) < 1.0


def test_shapes_of_observations():
    assert observation_shape("observation", 3) == observation_shape("observation", [3]) == (3,)
    assert observation_shape("observation", [3, 32, 64]) == (3, 32, 64)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((3, 4), "must be a size, or"),
        ("many", "whole number"),
        (0, "whole number >= 1"),
        ((3, 32, 40), "multiples of 16, got 32 x 40"),
        ((3, 24, 32), "multiples of 16"),
    ],
)
def test_other_shapes_are_refused(value, message):
    with pytest.raises(InvalidArgument, match=message):
        observation_shape("observation", value)
