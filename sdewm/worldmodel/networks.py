"""Building blocks of learned models: smooth networks, their weights from a generator of their own."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from ..exceptions import InvalidArgument
from ..validation import integer

# Images are halved until a side is below this, so that 32 and 64 end at 4.
_SMALL = 8


def mlp(draw: torch.Generator, *sizes: int) -> nn.Sequential:
    """Linear layers with SiLU between them: smooth, so that the variations of a model exist.

    Args:
        draw: the weights come from it; no global random state is touched.
        sizes: of the input, of each layer between, and of the output.

    Example:
        >>> mlp(torch.Generator(), 3, 8, 2)(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """
    layers: list[nn.Module] = []
    pairs = list(pairwise(sizes))
    for k, (inputs, outputs) in enumerate(pairs):
        # skip_init: a layer's own initialisation would draw from torch's global generator.
        layer = skip_init(nn.Linear, inputs, outputs)
        last = k == len(pairs) - 1
        _fill(draw, layer, (0.7 if last else 1.0) * math.sqrt(3.0 / inputs))
        layers += [layer] if last else [layer, nn.SiLU()]
    return nn.Sequential(*layers)


def gru_cell(draw: torch.Generator, inputs: int, hidden: int) -> nn.GRUCell:
    """A gated recurrent cell, all weights and biases uniform within ±1/√hidden, as torch has them.

    Args:
        draw: the weights come from it; no global random state is touched.
        inputs, hidden: sizes of its input and of its state.
    """
    cell: nn.GRUCell = skip_init(nn.GRUCell, inputs, hidden)
    bound = 1.0 / math.sqrt(hidden)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.uniform_(-bound, bound, generator=draw)
    return cell


def observation_shape(name: str, value: object) -> tuple[int, ...]:
    """The shape of one observation: (size,) for a number or a 1-tuple, or (channels, height, width).

    Raises:
        InvalidArgument: it is neither, a size is below 1, or height or width is not a multiple of 16.
    """
    shape = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    if len(shape) not in (1, 3):
        raise InvalidArgument(f"{name} must be a size, or (channels, height, width) of images, got {value!r}.")
    sizes = tuple(integer(name, size, least=1) for size in shape)
    if len(sizes) == 3 and (sizes[1] % 16 or sizes[2] % 16):
        raise InvalidArgument(
            f"{name} must have a height and a width that are multiples of 16, got {sizes[1]} x {sizes[2]}: resize or "
            f"pad the images."
        )
    return sizes


@final
class ImageEncoder(nn.Module):
    """Images (..., channels, height, width) to embeddings (..., embedding): convolutions that halve, then one layer.

    The sides are halved, and the channels doubled, until a side is 4 to 7 pixels long or odd.

    Args:
        draw: the weights come from it; no global random state is touched.
        shape: (channels, height, width), the last two multiples of 16.
        channels: number of channels after the first halving.
        embedding: size of the output.

    Example:
        >>> ImageEncoder(torch.Generator(), (3, 32, 32), 8, 10)(torch.zeros(2, 5, 3, 32, 32)).shape
        torch.Size([2, 5, 10])
    """

    def __init__(self, draw: torch.Generator, shape: tuple[int, ...], channels: int, embedding: int) -> None:
        super().__init__()
        self.shape = shape
        layers: list[nn.Module] = []
        steps = _halvings(shape, channels)
        for (inputs, *_), (outputs, *_) in pairwise(steps):
            layer = skip_init(nn.Conv2d, inputs, outputs, 4, stride=2, padding=1)
            _fill(draw, layer, math.sqrt(3.0 / (16 * inputs)))
            layers += [layer, nn.SiLU()]
        # Channels last: a quarter faster on a processor.
        self.convolutions = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.last = mlp(draw, math.prod(steps[-1]), embedding)

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (..., embedding).

        Raises:
            InvalidArgument: images are of another size; as many pixels in another order would go through unnoticed.
        """
        if images.shape[-3:] != self.shape:
            said = ", ".join(map(str, self.shape))
            raise InvalidArgument(f"images must have shape (..., {said}), got {tuple(images.shape)}.")
        leading = images.shape[:-3]
        features: Tensor = self.last(self.convolutions(images.reshape(-1, *self.shape)).flatten(1))
        return features.reshape(*leading, features.shape[-1])


@final
class ImageDecoder(nn.Module):
    """States (..., size) to images (..., channels, height, width): the steps of `ImageEncoder` backwards.

    Args:
        draw: the weights come from it; no global random state is touched.
        size: size of the input.
        shape: (channels, height, width), the last two multiples of 16.
        channels: number of channels before the last doubling.

    Example:
        >>> ImageDecoder(torch.Generator(), 10, (3, 32, 32), 8)(torch.zeros(2, 5, 10)).shape
        torch.Size([2, 5, 3, 32, 32])
    """

    def __init__(self, draw: torch.Generator, size: int, shape: tuple[int, ...], channels: int) -> None:
        super().__init__()
        steps = _halvings(shape, channels)[::-1]
        self.smallest = steps[0]
        self.first = mlp(draw, size, math.prod(self.smallest))
        layers: list[nn.Module] = []
        for (inputs, *_), (outputs, *_) in pairwise(steps):
            layer = skip_init(nn.ConvTranspose2d, inputs, outputs, 4, stride=2, padding=1)
            # Each output sees a quarter of the kernel.
            _fill(draw, layer, math.sqrt(3.0 / (4 * inputs)))
            layers += [nn.SiLU(), layer]
        # Channels last: a quarter faster on a processor.
        self.convolutions = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """Images (..., channels, height, width)."""
        leading = x.shape[:-1]
        images: Tensor = self.convolutions(self.first(x.reshape(-1, x.shape[-1])).unflatten(1, self.smallest))
        return images.reshape(*leading, *images.shape[1:])


def _halvings(shape: tuple[int, ...], channels: int) -> list[tuple[int, int, int]]:
    """(channels, height, width) before and after each halving."""
    steps = [(shape[0], shape[1], shape[2])]
    while min(steps[-1][1:]) >= _SMALL and all(side % 2 == 0 for side in steps[-1][1:]):
        _, height, width = steps[-1]
        steps.append((channels * 2 ** (len(steps) - 1), height // 2, width // 2))
    return steps


def _fill(draw: torch.Generator, layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, bound: float) -> None:
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=draw)
        assert layer.bias is not None
        layer.bias.zero_()
