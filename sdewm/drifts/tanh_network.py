"""A random recurrent network, the drift of a continuous-time latent model."""

from typing import final

import torch
from torch import Tensor

from ..dynamics.brownian import generator
from ..dynamics.system import DifferentiableSDE
from ..exceptions import InvalidArgument
from ..hypothesis import Facts
from ..validation import integer, real


@final
class TanhNetwork(DifferentiableSDE):
    """dx = (−x + W tanh x) dt + (noise + modulation tanh x) dB, one noise a coordinate.

    W has independent normal entries of standard deviation gain / √dim; above a gain of about one the noise-free
    network is chaotic.

    Args:
        dim: number of units.
        gain: standard deviation of W's entries times √dim.
        seed: seed of W.
        noise, modulation: the diffusion's constant and its modulation.
        weight: W itself (dim, dim), in place of a random one.

    Raises:
        InvalidArgument: weight is not (dim, dim).

    Example:
        >>> TanhNetwork(dim=3, weight=torch.zeros(3, 3)).f(torch.tensor(0.0), torch.ones(1, 3))
        tensor([[-1., -1., -1.]])
    """

    weight: Tensor

    drift_facts, diffusion_facts = Facts(), Facts()

    def __init__(
        self,
        dim: int = 8,
        gain: float = 0.4,
        seed: int = 0,
        *,
        noise: float = 0.3,
        modulation: float = 0.2,
        weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.dim = integer("dim", dim, least=1)
        self.noise, self.modulation = real("noise", noise), real("modulation", modulation)
        if weight is None:
            scale = real("gain", gain) / self.dim**0.5
            weight = scale * torch.randn(dim, dim, generator=generator(seed, "tanh network")).double()
        if weight.shape != (dim, dim):
            raise InvalidArgument(f"weight must have shape (dim, dim) = {(dim, dim)}, got {tuple(weight.shape)}.")
        self.register_buffer("weight", weight.double())

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """−x + W tanh x."""
        return torch.tanh(x) @ self.weight.to(x).T - x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """noise + modulation tanh x."""
        return self.noise + self.modulation * torch.tanh(x)

    def f_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """−v + W (tanh' x ∘ v)."""
        return ((1.0 - torch.tanh(x) ** 2) * v) @ self.weight.to(x).T - v

    def f_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """W (tanh'' x ∘ v ∘ w)."""
        return (_tanh_second(x) * v * w) @ self.weight.to(x).T

    def g_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """modulation tanh' x ∘ v."""
        return self.modulation * (1.0 - torch.tanh(x) ** 2) * v

    def g_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """modulation tanh'' x ∘ v ∘ w."""
        return self.modulation * _tanh_second(x) * v * w


def _tanh_second(x: Tensor) -> Tensor:
    y = torch.tanh(x)
    return -2.0 * y * (1.0 - y**2)
