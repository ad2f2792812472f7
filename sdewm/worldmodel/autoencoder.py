"""A small convolutional encoder and decoder with a knob for its capacity."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from ..dynamics.brownian import generator
from ..exceptions import InvalidArgument, NumericalFailure
from ..validation import integer, positive
from .rasterised import Blobs


@final
class Autoencoder(nn.Module):
    """D ∘ E for images of one channel: three convolutions to a latent, three transposed ones back.

    Each convolution halves the image and doubles the channels, from `width` on; SiLU between the layers. The number of
    weights grows like the square of `width`, which is the knob.

    Args:
        size: pixels along a side, a multiple of 8.
        latent: size of the latent. With 2 d + 1 numbers almost every linear map is injective on a d-dimensional
            manifold (Whitney), so that the bottleneck itself costs nothing.
        width: channels of the first layer, at least 1.
        seed: whole number >= 0, fixes the first weights; no global random state is touched.

    Raises:
        InvalidArgument: a size is out of range.

    Example:
        >>> [Autoencoder(16, latent=3, width=width).weights for width in (1, 2, 4, 8)]
        [401, 1298, 4592, 17180]
    """

    def __init__(self, size: int, latent: int, width: int, *, seed: int = 0) -> None:
        super().__init__()
        if integer("size", size, least=8) % 8:
            raise InvalidArgument(f"size must be a multiple of 8, as it is halved three times, got {size}.")
        k, c, side = integer("latent", latent, least=1), integer("width", width, least=1), size // 8
        self.encoder = nn.Sequential(
            *_halving(1, c), *_halving(c, 2 * c), *_halving(2 * c, 4 * c), nn.Flatten(), _linear(4 * c * side**2, k)
        )
        self.decoder = nn.Sequential(
            _linear(k, 4 * c * side**2),
            nn.SiLU(),
            nn.Unflatten(1, (4 * c, side, side)),
            *_doubling(4 * c, 2 * c),
            *_doubling(2 * c, c),
            *_doubling(c, 1)[:1],
        )
        draw = generator(seed, "autoencoder: first weights")
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                    bound = math.sqrt(3.0 / _fan_in(layer))
                    layer.weight.uniform_(-bound, bound, generator=draw)
                    assert layer.bias is not None
                    layer.bias.zero_()

    @property
    def weights(self) -> int:
        """The number of weights of encoder and decoder."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions (count, 1, size, size) of images of that shape."""
        result: Tensor = self.decoder(self.encoder(images))
        return result


@final
@dataclass(frozen=True)
class Fit:
    """How an `Autoencoder` is trained.

    Attributes:
        steps: number of steps.
        batch: images of a step, all of them new: a finite training set limits nothing.
        rate: largest step size of Adam; it rises over the first twentieth and falls to zero like a cosine.

    Raises:
        InvalidArgument: one is out of range.
    """

    steps: int = 2000
    batch: int = 32
    rate: float = 1e-2

    def __post_init__(self) -> None:
        integer("steps", self.steps, least=1)
        integer("batch", self.batch, least=1)
        positive("rate", self.rate)


def fit(model: Autoencoder, blobs: Blobs, settings: Fit, *, seed: int) -> list[float]:
    """Train on the mean square error of reconstructions.

    Args:
        model: trained in place.
        blobs: where the images come from.
        settings: see there.
        seed: fixes the images; the same for all models, so that they see the same ones.

    Returns:
        The mean square error before each step.

    Raises:
        NumericalFailure: the error is no longer finite.
    """
    source = generator(seed, "autoencoder: training images")
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.rate, betas=(0.9, 0.99), fused=True)
    losses = []
    for step in range(settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * _schedule((step + 0.5) / settings.steps)
        images = blobs.images(blobs.parameters(settings.batch, source))
        optimiser.zero_grad()
        loss = (model(images) - images).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    values = torch.stack(losses)
    if not bool(values.isfinite().all()):
        raise NumericalFailure("the reconstruction error of the autoencoder is no longer finite; use a smaller rate.")
    return [float(value) for value in values]


def _schedule(part: float) -> float:
    rise = 0.05
    return part / rise if part < rise else 0.5 * (1.0 + math.cos(math.pi * (part - rise) / (1.0 - rise)))


def _halving(inputs: int, outputs: int) -> list[nn.Module]:
    return [skip_init(nn.Conv2d, inputs, outputs, 3, stride=2, padding=1), nn.SiLU()]


def _doubling(inputs: int, outputs: int) -> list[nn.Module]:
    return [skip_init(nn.ConvTranspose2d, inputs, outputs, 4, stride=2, padding=1), nn.SiLU()]


def _linear(inputs: int, outputs: int) -> nn.Module:
    layer: nn.Module = skip_init(nn.Linear, inputs, outputs)
    return layer


def _fan_in(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> float:
    if isinstance(layer, nn.Linear):
        return float(layer.in_features)
    area = layer.kernel_size[0] * layer.kernel_size[1]
    # Of a transposed convolution's kernel only every stride-th row and column meets an output pixel.
    return layer.in_channels * area / (layer.stride[0] ** 2 if isinstance(layer, nn.ConvTranspose2d) else 1)
