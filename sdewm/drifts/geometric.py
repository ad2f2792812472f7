"""Geometric Brownian motion, the system whose paths are known exactly."""

from typing import final

import torch
from torch import Tensor

from ..constant import Certified
from ..dynamics.brownian import BrownianMotion
from ..dynamics.system import DifferentiableSDE
from ..grid import TimeGrid
from ..hypothesis import Facts
from ..jacobian.box import Box
from ..jacobian.diagonal import diagonal_constants
from ..validation import integer, real


@final
class Geometric(DifferentiableSDE):
    """dx_i = rate x_i dt + volatility x_i dB^i, with x_i(t) = x_i(0) exp((rate − volatility²/2) t + volatility B^i_t).

    Args:
        rate: drift coefficient.
        volatility: diffusion coefficient.
        dim: number of independent copies.

    Warning:
        The second moment grows like exp((2 rate + volatility²) t), and sample means of squares are dominated by few
        paths once volatility² t exceeds about one.

    Example:
        >>> Geometric(rate=0.1, volatility=0.2).f(torch.tensor(0.0), torch.full((1, 1), 2.0))
        tensor([[0.2000]])
    """

    drift_facts, diffusion_facts = Facts(), Facts()

    def __init__(self, rate: float = 0.0, volatility: float = 0.5, dim: int = 1) -> None:
        super().__init__()
        self.rate, self.volatility = real("rate", rate), real("volatility", volatility)
        self.dim = integer("dim", dim, least=1)

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """rate x."""
        return self.rate * x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """volatility x."""
        return self.volatility * x

    def f_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """rate v."""
        return self.rate * v

    def f_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(v)

    def g_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """volatility v."""
        return self.volatility * v

    def g_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(v)

    def exact(self, x0: float | Tensor, grid: TimeGrid, paths: int, seed: int = 0) -> Tensor:
        """Exact states (steps + 1, paths, dim) on the Brownian paths that `simulate` uses for this seed."""
        moved = BrownianMotion(seed, grid, self.dim).increments(paths).cumsum(0)
        brownian = torch.cat((torch.zeros_like(moved[:1]), moved))
        t = torch.tensor(grid.times, dtype=torch.float64)[:, None, None]
        return x0 * torch.exp((self.rate - self.volatility**2 / 2) * t + self.volatility * brownian)

    def certified(self, box: Box | None = None) -> dict[str, Certified]:
        """Exact suprema of the Jacobians rate I and volatility e_k e_kᵀ, which depend on no state."""
        source, volatility = "the constant Jacobian", abs(self.volatility)
        rates = [self.rate] * self.dim
        return {**diagonal_constants(rates, rates, source), "diffusion": Certified(volatility, source, volatility)}
