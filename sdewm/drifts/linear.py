"""Linear drift and affine diffusion, the system whose moments are known exactly."""

from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..constant import Certified
from ..dynamics.system import DifferentiableSDE
from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from ..hypothesis import Facts
from ..jacobian.box import Box
from ..jacobian.hull import Hull
from ..jacobian.rounding import frobenius_bounds, log_norm_bounds, spectral_bounds
from ..validation import integer, positive


@final
class Linear(DifferentiableSDE):
    """dx = (A x + c) dt + Σ_k (B_k x + d_k) dB^k.

    Args:
        a: A, a number (A = a I) or a (dim, dim) matrix.
        b: B, a number (diagonal noise, b x_i dB^i) or a tensor (noise_dim, dim, dim).
        dim: dimension, where a and b are numbers.
        drift_offset: c, a number or (dim,).
        diffusion_offset: d, a number or (dim,) for diagonal noise, or (noise_dim, dim).

    Raises:
        InvalidArgument: the shapes do not fit together.

    Example:
        >>> mean, second = Linear(a=-0.5, b=0.6).moments(torch.ones(1), t=1.0)
        >>> round(float(second), 5)  # exp(2a + b²)
        0.52729
    """

    drift_facts, diffusion_facts = Facts(), Facts()

    def __init__(
        self,
        a: float | Tensor = -1.0,
        b: float | Tensor = 0.0,
        *,
        dim: int | None = None,
        drift_offset: float | Tensor = 0.0,
        diffusion_offset: float | Tensor = 0.0,
    ) -> None:
        super().__init__()
        matrix, columns = torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64)
        known = set(matrix.shape) | set(columns.shape[1:]) | (set() if dim is None else {integer("dim", dim, least=1)})
        if matrix.ndim not in (0, 2) or columns.ndim not in (0, 3) or len(known) > 1:
            raise InvalidArgument(
                f"a must be a number or (dim, dim) and b a number or (noise_dim, dim, dim), with dim = {dim}; got "
                f"shapes {tuple(matrix.shape)} and {tuple(columns.shape)}."
            )
        self.dim = n = next(iter(known), 1)
        eye = torch.eye(n, dtype=torch.float64)
        self.noise_type = "diagonal" if columns.ndim == 0 else "general"
        self.noise_dim = n if columns.ndim == 0 else len(columns)
        shift, offsets = (torch.as_tensor(c, dtype=torch.float64) for c in (drift_offset, diffusion_offset))
        if not all(bool(torch.isfinite(value).all()) for value in (matrix, columns, shift, offsets)):
            raise InvalidArgument("a, b and the offsets must be finite, but some entries are NaN or infinite.")
        try:
            self.register_buffer("A", matrix * eye if matrix.ndim == 0 else matrix.clone())
            self.register_buffer("c", shift.expand(n).clone())
            if columns.ndim == 0:
                self.register_buffer("B", columns * torch.diag_embed(eye))
                self.register_buffer("d", offsets.expand(n) * eye)
            else:
                self.register_buffer("B", columns.clone())
                self.register_buffer("d", offsets.expand(len(columns), n).clone())
        except RuntimeError as error:
            raise InvalidArgument(f"drift_offset or diffusion_offset does not fit dim = {n}: {error}") from error
        self._scalar_a = float(matrix) if matrix.ndim == 0 else None
        self._scalar_b = float(columns) if columns.ndim == 0 else None

    A: Tensor
    B: Tensor
    c: Tensor
    d: Tensor

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """A x + c."""
        return self.f_jvp(t, x, x) + self.c.to(x)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """Columns B_k x + d_k."""
        offset = self.d.to(x)
        return self.g_jvp(t, x, x) + (offset.diagonal() if self.noise_type == "diagonal" else offset.T)

    def f_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """A v."""
        return self._scalar_a * v if self._scalar_a is not None else v @ self.A.to(v).T

    def f_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(v)

    def g_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """Columns B_k v."""
        return self._scalar_b * v if self._scalar_b is not None else torch.einsum("kij,pj->pik", self.B.to(v), v)

    def g_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(self.g_jvp(t, x, v))

    def certified(self, box: Box | None = None) -> dict[str, Certified]:
        """λ_max((A + Aᵀ)/2), ‖A‖₂, ‖A‖_F and λ_max(Σ_k B_kᵀB_k)^½ up to rounding; they depend on no state."""
        a, stacked = _plain(self.A), _plain(self.B).reshape(-1, self.dim)
        # The columns above each other have Σ B_kᵀB_k as their square.
        found = {
            "mu": log_norm_bounds(a),
            "spectral": spectral_bounds(a),
            "frobenius": frobenius_bounds(a),
            "diffusion": spectral_bounds(stacked),
        }
        return {name: Certified(float(high), "constant matrices", float(low)) for name, (low, high) in found.items()}

    def jacobian_hull(self, box: Box | None = None) -> Hull:
        """The one vertex (A, B_1, …, B_m)."""
        return Hull(_plain(self.A)[None], _plain(self.B)[None])

    def _augmented(self) -> tuple[Tensor, Tensor]:
        # In y = (1, x) the system is homogeneous: dy = A⁺ y dt + Σ B⁺_k y dB^k.
        n = self.dim
        both = torch.zeros(1 + len(self.B), n + 1, n + 1, dtype=torch.float64)
        drift, columns = both[0], both[1:]
        drift[1:, 0], drift[1:, 1:] = self.c, self.A
        columns[:, 1:, 0], columns[:, 1:, 1:] = self.d, self.B
        return drift, columns

    def moments(self, x0: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """Exact mean (dim,) and second moment E[x xᵀ] (dim, dim) at time t, from a fixed start x0 (dim,).

        Y = E[y yᵀ] with y = (1, x) solves the linear equation Y' = A⁺Y + YA⁺ᵀ + Σ B⁺_k Y B⁺_kᵀ; its matrix
        exponential has (dim + 1)² rows.
        """
        drift, columns = self._augmented()
        eye = torch.eye(len(drift), dtype=torch.float64)
        generator = torch.kron(eye, drift) + torch.kron(drift, eye)
        generator = generator + sum(torch.kron(b, b) for b in columns)
        return self._propagate(torch.linalg.matrix_exp(positive("t", t) * generator), x0)

    def euler_moments(self, x0: Tensor, grid: TimeGrid) -> tuple[Tensor, Tensor]:
        """Exact mean and second moment of the Euler–Maruyama scheme at the grid's end."""
        drift, columns = self._augmented()
        step = torch.eye(len(drift), dtype=torch.float64) + grid.h * drift
        once = torch.kron(step, step) + grid.h * sum(torch.kron(b, b) for b in columns)
        return self._propagate(torch.linalg.matrix_power(once, grid.steps), x0)

    def _propagate(self, power: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        start = torch.cat((torch.ones(1, dtype=torch.float64), torch.as_tensor(x0).double().expand(self.dim)))
        end = (power @ torch.outer(start, start).reshape(-1)).reshape(self.dim + 1, self.dim + 1)
        return end[0, 1:], end[1:, 1:]


def _plain(matrix: Tensor) -> NDArray[np.float64]:
    return matrix.double().cpu().numpy()
