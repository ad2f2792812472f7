"""torchsde's solvers in integer time, on this package's noise: the one file that imports torchsde."""

import math
from collections.abc import Sequence
from typing import Any, final

import torch
import torchsde
from torch import Tensor, nn

from ..exceptions import Refused
from ..grid import TimeGrid
from .brownian import BrownianMotion
from .start import rows
from .system import CheckedSystem


def solve(
    system: "IntegerTime", x: Tensor, noise: "IntegerBrownian", saved: Sequence[int], method: str, adjoint: bool
) -> Tensor:
    """States (saved, paths, dim) at these indices of the grid, by torchsde."""
    ts = torch.tensor([*([] if saved[0] == 0 else [0]), *saved, *([1] if tuple(saved) == (0,) else [])], dtype=x.dtype)
    solver = torchsde.sdeint_adjoint if adjoint else torchsde.sdeint
    states: Tensor = solver(system, x, ts, bm=noise, method=method, dt=1.0)
    return states[: len(saved)] if saved[0] == 0 else states[1:]


@final
class IntegerTime(nn.Module):
    """A system whose time is the index of the grid."""

    sde_type = "ito"

    def __init__(self, system: CheckedSystem, grid: TimeGrid, actions: Tensor | None) -> None:
        super().__init__()
        self.noise_type = system.noise_type
        self.system, self.grid, self.actions = system, grid, actions
        # Registered so that torchsde's adjoint finds the parameters.
        self.source = system.source if isinstance(system.source, nn.Module) else None

    def _at(self, n: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        # abs: torchsde's adjoint counts time backwards, and its time is then negative.
        index = abs(float(n))
        a = None
        if self.actions is not None:
            a = rows(self.actions[min(int(index), self.grid.steps - 1)].to(x.dtype), 0, len(x))
        return torch.tensor(self.grid.time(index), dtype=x.dtype, device=x.device), x, a

    def f(self, n: Tensor, x: Tensor) -> Tensor:
        """h f."""
        return self.grid.h * self.system.drift(*self._at(n, x))

    def g(self, n: Tensor, x: Tensor) -> Tensor:
        """√h g."""
        return math.sqrt(self.grid.h) * self.system.diffusion(*self._at(n, x))


@final
class IntegerBrownian(torchsde.BaseBrownian):
    """Brownian motions in integer time, as torchsde's `BaseBrownian`.

    A step's increment is one standard normal. Where srk asks for U = ∫ (W_s − W_n) ds over a step, it is W/2 + H with H
    of variance 1/12, drawn for a purpose of its own.

    Args:
        motions: the groups of noise columns, side by side.
        paths: number of paths.
        dtype: dtype of the increments.
        levy: whether space-time Lévy area is available.
        device: where the increments are; they are drawn on the CPU all the same.
    """

    def __init__(
        self,
        motions: Sequence[BrownianMotion],
        paths: int,
        dtype: torch.dtype,
        levy: bool = False,
        device: torch.device | None = None,
    ) -> None:
        super().__init__()
        self._normals = torch.cat([m.normals(paths, dtype) for m in motions], dim=2).to(device)
        self._area: Tensor | None = None
        if levy:
            areas = [BrownianMotion(m.seed, m.grid, m.dim, f"{m.purpose}: space-time area") for m in motions]
            self._area = torch.cat([m.normals(paths, dtype) for m in areas], dim=2).to(device) / 12**0.5

    def __call__(self, ta: Any, tb: Any = None, return_U: bool = False, return_A: bool = False) -> Any:
        """W over [ta, tb], or (W, U)."""
        if tb is None or return_A:
            raise Refused("noise is defined over an interval of whole steps, without space-space Lévy area.")
        first, last = round(float(ta)), round(float(tb))
        if abs(first - float(ta)) > 1e-6 or abs(last - float(tb)) > 1e-6:
            raise Refused(f"noise between grid points was asked for ({float(ta):g} to {float(tb):g}).")
        steps = self._normals[first:last]
        increment = steps.sum(0)
        if not return_U:
            return increment
        if self._area is None:
            raise Refused("space-time Lévy area was not prepared; it belongs to method 'srk'.")
        before = steps.cumsum(0) - steps
        return increment, (before + 0.5 * steps + self._area[first:last]).sum(0)

    def __repr__(self) -> str:
        return f"IntegerBrownian(steps={len(self._normals)}, shape={self.shape})"

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the increments."""
        return self._normals.dtype

    @property
    def device(self) -> torch.device:
        """Device of the increments."""
        return self._normals.device

    @property
    def shape(self) -> tuple[int, int]:
        """(paths, noise_dim)."""
        return self._normals.shape[1], self._normals.shape[2]

    @property
    def levy_area_approximation(self) -> str:
        """torchsde's name for what is available."""
        return "none" if self._area is None else "space-time"
