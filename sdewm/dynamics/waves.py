"""Functions of each coordinate whose derivatives are cheap, the basis of value functions."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..validation import integer


@final
@dataclass(frozen=True)
class Waves:
    """Functions of each coordinate: x, x²/2 and cos(kπ(x − low)/(high − low)) for k = 1 … count.

    Args:
        low, high: (dim,) the range of the states that matter; outside of it the waves go on periodically.
        count: number of waves of a coordinate, 0 for x and x²/2 alone.

    Example:
        >>> waves = Waves(torch.zeros(2), torch.ones(2), 3)
        >>> waves.size, waves.derivatives(torch.rand(5, 2))[0].shape
        (10, torch.Size([5, 10]))
    """

    low: Tensor
    high: Tensor
    count: int

    def __post_init__(self) -> None:
        integer("count", self.count, least=0)
        if self.low.shape != self.high.shape or self.low.ndim != 1 or not bool((self.low < self.high).all()):
            raise InvalidArgument("low and high must have shape (dim,), and each low must be below its high.")

    @property
    def size(self) -> int:
        """Number of functions of all coordinates."""
        return len(self.low) * (2 + self.count)

    def groups(self, x: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """The first to fifth derivatives (…, dim) of x, of x²/2, then of the waves of k = 1, 2 …

        Those of x and x²/2 that vanish are left out.
        """
        one = torch.ones_like(x)
        yield (one,)
        yield x, one
        rate = math.pi / (self.high - self.low).to(x)
        angle = rate * (x - self.low.to(x))
        sine, cosine = torch.sin(angle), torch.cos(angle)
        s, c = torch.zeros_like(x), one
        for k in range(1, self.count + 1):
            # Angles are added, which is cheaper than a sine each.
            s, c = s * cosine + c * sine, c * cosine - s * sine
            w = k * rate
            yield -w * s, -(w**2) * c, w**3 * s, w**4 * c, -(w**5) * s

    def derivatives(self, x: Tensor) -> tuple[Tensor, ...]:
        """The first to fifth derivatives (paths, size), each by the coordinate that its function is of.

        The functions come in groups of one for each coordinate, in the order of `groups`.
        """
        zero = torch.zeros_like(x)
        full = [(*group, *[zero] * (5 - len(group))) for group in self.groups(x)]
        return tuple(torch.cat(each, 1) for each in zip(*full, strict=True))
