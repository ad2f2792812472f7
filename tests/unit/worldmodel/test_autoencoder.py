"""The encoder and decoder: capacity, determinism, training, and what a bottleneck that is too small does."""

import math

import pytest
import torch

from sdewm.exceptions import InvalidArgument, NumericalFailure
from sdewm.worldmodel.autoencoder import Autoencoder, Fit, fit
from sdewm.worldmodel.rasterised import Blobs

WIDTHS = (1, 2, 4, 8)


def by_hand(size: int, latent: int, c: int) -> int:
    """Weights and offsets, layer by layer."""
    inner = 4 * c * (size // 8) ** 2
    encoder = (9 * c + c) + (9 * c * 2 * c + 2 * c) + (9 * 2 * c * 4 * c + 4 * c) + (inner * latent + latent)
    decoder = (latent * inner + inner) + (16 * 4 * c * 2 * c + 2 * c) + (16 * 2 * c * c + c) + (16 * c + 1)
    return encoder + decoder


@pytest.mark.parametrize(("size", "latent"), [(16, 3), (16, 9), (32, 5)])
def test_the_weights_are_counted(size: int, latent: int) -> None:
    counts = [Autoencoder(size, latent, c).weights for c in WIDTHS]
    assert counts == [by_hand(size, latent, c) for c in WIDTHS]


def test_the_knob_covers_a_decade_and_a_half() -> None:
    for dim in (1, 2, 4):
        small, large = (Autoencoder(16, 2 * dim + 1, c).weights for c in (WIDTHS[0], WIDTHS[-1]))
        assert math.log10(large / small) > 1.49


def test_shapes_and_scale_at_the_start() -> None:
    images = Blobs(2, size=32).sample(7, seed=0)
    for c in WIDTHS:
        model = Autoencoder(32, 5, c)
        assert model(images).shape == images.shape
        assert model.encoder(images).shape == (7, 5)
        assert 0.0 < float(model(images).detach().std()) < 1.0


def test_the_seed_fixes_everything_and_no_global_state_is_touched() -> None:
    state = torch.random.get_rng_state()
    models = [Autoencoder(16, 3, 2, seed=seed) for seed in (1, 1, 2)]
    losses = [fit(model, Blobs(1), Fit(steps=20), seed=4) for model in models]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert all(torch.equal(a, b) for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True))
    assert losses[0] != fit(Autoencoder(16, 3, 2, seed=1), Blobs(1), Fit(steps=20), seed=5)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.slow
def test_training_learns_more_than_the_mean_image() -> None:
    blobs = Blobs(1)
    model = Autoencoder(16, 3, 4, seed=0)
    fit(model, blobs, Fit(steps=300), seed=0)
    images = blobs.sample(256, seed=0, purpose="held out")
    with torch.no_grad():
        error = float((model(images) - images).square().mean())
    # The negative control: the best constant image, which a decoder that reads no latent can reach.
    assert error < 0.05 * float((images - images.mean(0)).square().mean())


@pytest.mark.slow
def test_a_bottleneck_below_the_dimension_shows() -> None:
    """One number cannot carry four parameters, whatever the capacity: the error is many times that of nine."""
    blobs = Blobs(4)
    errors = []
    for latent in (1, 9):
        model = Autoencoder(16, latent, 4, seed=0)
        errors.append(fit(model, blobs, Fit(steps=300), seed=0)[-1])
    assert errors[0] > 4.0 * errors[1]


def test_divergence_is_reported() -> None:
    with pytest.raises(NumericalFailure, match="no longer finite"):
        fit(Autoencoder(16, 3, 1), Blobs(1), Fit(steps=40, rate=1e30), seed=0)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Autoencoder(20, 3, 1), "multiple of 8"),
        (lambda: Autoencoder(16, 0, 1), "latent"),
        (lambda: Autoencoder(16, 3, 0), "width"),
        (lambda: Autoencoder(16, 3, 1, seed=-1), "seed"),
        (lambda: Fit(steps=0), "steps"),
        (lambda: Fit(batch=0), "batch"),
        (lambda: Fit(rate=0.0), "rate"),
    ],
)
def test_bad_input_is_named(build: object, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        build()  # type: ignore[operator]
