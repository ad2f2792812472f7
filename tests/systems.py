"""Systems and errors that several tests share. They are at module level, so that they can be pickled."""

from typing import Any

import torch
from torch import Tensor, nn

from sdewm.dynamics import DifferentiableSDE, LatentSDE, RepresentationError

F64 = torch.float64


def fixed(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    """Normals that depend on shape and seed only."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Geometric(LatentSDE):
    """dx = a x dt + b x dB, the parameters trainable."""

    dim = 1

    def __init__(self, a: float = -0.5, b: float = 0.6, sde_type: str = "ito", dtype: torch.dtype = F64) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=dtype))
        self.b = nn.Parameter(torch.tensor(b, dtype=dtype))
        self.sde_type = sde_type

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return self.a * x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return self.b * x


class Contracting(LatentSDE):
    """dx = (-x + W tanh x + sin t) dt + noise of any kind, contracting: rounding does not grow."""

    dim = 3

    def __init__(self, noise_type: str, dtype: torch.dtype = F64, sde_type: str = "ito") -> None:
        super().__init__()
        self.noise_type, self.sde_type = noise_type, sde_type
        self.columns = {"diagonal": 3, "scalar": 1, "additive": 2, "general": 2}[noise_type]
        self.W = nn.Parameter(0.2 * fixed(3, 3, seed=1).to(dtype))
        self.C = nn.Parameter(0.3 * fixed(3, self.columns, seed=2).to(dtype))
        self.B = nn.Parameter(0.4 * fixed(3, self.columns, seed=3).to(dtype))

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return -x + torch.tanh(x) @ self.W + torch.sin(t)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        if self.noise_type == "diagonal":
            return 0.3 + 0.2 * torch.sin(x + self.C[:, 0]) * torch.cos(t)
        if self.noise_type == "additive":
            return (self.C * torch.cos(t)).expand(len(x), -1, -1)
        return self.C + self.B * torch.sin(x)[:, :, None]


class CoupledDiagonal(LatentSDE):
    """Diagonal noise whose every entry depends on all coordinates."""

    dim = 3

    def __init__(self, sde_type: str = "ito") -> None:
        super().__init__()
        self.sde_type = sde_type
        self.M = nn.Parameter(0.6 * fixed(3, 3, seed=4))

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return -x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return 0.5 + 0.4 * torch.sin(x @ self.M)


class Hidden(LatentSDE):
    """Its drift hides its derivative."""

    dim = 3

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        with torch.no_grad():
            return -3.0 * torch.tanh(x)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.ones_like(x)


class Network(LatentSDE):
    """d = 3 with two columns of noise that do not commute, without derivatives."""

    dim = 3
    noise_type = "general"
    noise_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.W = 0.7 * fixed(3, 3, seed=5)
        self.C = 0.4 * fixed(3, 2, seed=6)
        self.B = 0.5 * fixed(2, 3, 3, seed=7)

    def f(self, t: Tensor, x: Tensor, *_: Any) -> Tensor:
        return -x + torch.tanh(x) @ self.W.T + 0.3 * torch.sin(5 * t)

    def g(self, t: Tensor, x: Tensor, *_: Any) -> Tensor:
        return self.C + torch.einsum("kij,pj->pik", self.B, torch.sin(x)) * torch.cos(t)


class NetworkByHand(Network, DifferentiableSDE):
    """`Network` with its derivatives written out."""

    def f_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        return -v + (v / torch.cosh(x) ** 2) @ self.W.T

    def f_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        return (-2 * torch.tanh(x) / torch.cosh(x) ** 2 * v * w) @ self.W.T

    def g_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        return torch.einsum("kij,pj->pik", self.B, torch.cos(x) * v) * torch.cos(t)

    def g_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        return torch.einsum("kij,pj->pik", self.B, -torch.sin(x) * v * w) * torch.cos(t)


M, N, D, E = (
    0.8 * fixed(3, 3, seed=8),
    0.7 * fixed(3, 3, seed=9),
    0.5 * fixed(3, 2, seed=10),
    0.6 * fixed(3, 2, seed=11),
)
RHO = torch.tensor([[0.5, 0.3], [-0.2, 0.6]], dtype=F64)
ETA = torch.tensor([0.4, -0.3, 0.8], dtype=F64)


def sigma(t: Tensor, x: Tensor) -> Tensor:
    """A drift error that depends on time and state."""
    return 0.5 + torch.cos(x) @ M + t


def sigma_jvp(t: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """Its derivative."""
    return (-torch.sin(x) * v) @ M


def sigma_bar(t: Tensor, x: Tensor) -> Tensor:
    """Two columns of diffusion error that depend on time and state."""
    return D * torch.exp(-t) + E * torch.sin(x @ N)[:, :, None]


def sigma_bar_jvp(t: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """Their derivative."""
    return E * (torch.cos(x @ N) * (v @ N))[:, :, None]


def elementwise(t: Tensor, x: Tensor) -> Tensor:
    """A diffusion error with one noise a coordinate."""
    return 0.5 + 0.4 * torch.sin(2 * x)


def full_error(by_hand: bool = False) -> RepresentationError:
    """Drift, diffusion and initial error with partly correlated noise."""
    return RepresentationError(
        sigma, sigma_bar, ETA, RHO, sigma_jvp if by_hand else None, sigma_bar_jvp if by_hand else None
    )


def square_sum(states: Any) -> Tensor:
    """Something to observe: |x|² and x₀ of the member called x."""
    x = states["x"]
    return torch.stack(((x**2).sum(1), x[:, 0]), dim=1)
