"""Networks and the norms of their Jacobians at points, for several tests."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from sdewm.jacobian import frobenius_squared, jacobians, log_norm, spectral_norm

F64 = torch.float64


def network(sizes: tuple[int, ...], activations: tuple[nn.Module, ...], seed: int, gain: float = 1.5) -> nn.Sequential:
    """A network whose weights depend on the seed only."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for k, (a, b) in enumerate(pairwise(sizes)):
        layer = nn.Linear(a, b, dtype=F64)
        with torch.no_grad():
            layer.weight.copy_(gain * torch.randn(b, a, dtype=F64, generator=generator) / a**0.5)
            layer.bias.copy_(torch.randn(b, dtype=F64, generator=generator))
        layers += [layer, activations[k % len(activations)]] if k < len(sizes) - 2 else [layer]
    return nn.Sequential(*layers)


def points(dim: int, low: float, high: float, count: int, seed: int) -> Tensor:
    """Uniform states, and some corners."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(count, dim, dtype=F64, generator=generator)
    corners = torch.randint(0, 2, (count // 4, dim), generator=generator).to(F64)
    return low + (high - low) * torch.cat((x, corners))


def norms_at(module: nn.Module, x: Tensor, shift: float = 0.0) -> dict[str, float]:
    """The largest norms at points, by automatic differentiation; no endpoint of a segment is special here."""
    matrices = jacobians(lambda y: module(y) + (shift * y if shift else 0.0), x).detach()
    found = {"spectral": spectral_norm(matrices), "frobenius": frobenius_squared(matrices).sqrt()}
    if matrices.shape[1] == matrices.shape[2]:
        found["mu"] = log_norm(matrices)
    return {name: float(value.max()) for name, value in found.items()}
