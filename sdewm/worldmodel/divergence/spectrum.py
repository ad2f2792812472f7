"""Norms of the step's Jacobians along base rollouts, and the Lyapunov spectrum of their product."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...exceptions import NumericalFailure
from ...jacobian import frobenius_squared, log_norm, spectral_norm
from .derivative import Matrices
from .driven import DrivenMap
from .lyapunov import lyapunov_exponents

# Intervals over states are wider.
_CLOSE = 1e-5
NORMS = ("log-norm", "spectral", "Frobenius")


@final
@dataclass(frozen=True, eq=False)
class Spectrum:
    """Numbers of each state's Jacobians.

    Attributes:
        norms: for each metric and each of `NORMS`, (horizon, paths).
        product: for each metric ln ‖J_{N−1} ⋯ J_0‖₂, (horizon, paths).
        exponents: finite-time Lyapunov exponents a step, (paths, dim).
    """

    norms: dict[str, dict[str, Tensor]]
    product: dict[str, Tensor]
    exponents: Tensor


def step_matrices(driven: DrivenMap, base: Tensor, matrices: Matrices) -> Tensor:
    """J_n at the base's states, (horizon, paths, dim, dim), float64.

    Raises:
        Refused: the step cannot be differentiated.
        NumericalFailure: a Jacobian is not finite.
    """
    each = [matrices.of(driven.of_joined(n), driven.joined(n, base[n]), driven.dim) for n in range(driven.horizon)]
    result = torch.stack(each)
    bad = ~result.flatten(2).isfinite().all(2)
    if bool(bad.any()):
        n, row = bad.nonzero()[0].tolist()
        raise NumericalFailure(f"the Jacobian of step {n} is not finite in state {row}.", path=row, time=float(n))
    return result


def spectrum(
    jacobians: Tensor, metrics: dict[str, tuple[Tensor, Tensor]], scale: Tensor, seed: int, digits: float
) -> Spectrum:
    """Norms of W J W⁻¹ and of W J_{N−1} ⋯ J_0 W⁻¹ in several metrics, and the Lyapunov spectrum.

    Args:
        jacobians: (steps, paths, dim, dim).
        metrics: for each name W and W⁻¹.
        scale: sizes of the columns, (dim,), which what is lost to rounding is judged by.
        seed: of the frame that the spectrum starts from.
        digits: relative rounding error of the Jacobians' entries.
    """
    norms: dict[str, dict[str, Tensor]] = {}
    product: dict[str, Tensor] = {}
    for name, (w, back) in metrics.items():
        moved = w @ jacobians @ back
        flat = moved.flatten(0, 1)
        rows = {
            "log-norm": log_norm(flat),
            "spectral": spectral_norm(flat),
            "Frobenius": frobenius_squared(flat).sqrt(),
        }
        norms[name] = {key: value.view(jacobians.shape[:2]) for key, value in rows.items()}
        product[name] = product_norms(moved)
    return Spectrum(norms, product, lyapunov_exponents(jacobians, seed, digits=digits, close=_CLOSE, scale=scale))


def product_norms(matrices: Tensor) -> Tensor:
    """ln ‖J_{N−1} ⋯ J_0‖₂ for N = 1, …, steps, (steps, paths); −∞ once the product is zero.

    Example:
        >>> product_norms((2.0 * torch.eye(2).double()).expand(2, 1, 2, 2))
        tensor([[0.6931],
                [1.3863]], dtype=torch.float64)
    """
    p = torch.eye(matrices.shape[-1], dtype=matrices.dtype).expand(matrices.shape[1:])
    total, rows = torch.zeros(matrices.shape[1], dtype=matrices.dtype), []
    for matrix in matrices:
        p = matrix @ p
        norm = spectral_norm(p)
        rows.append(total + norm.log())
        # Scaled back to norm one, and what it was is kept as a logarithm: long products leave the floating numbers.
        alive = norm > 0.0
        total = rows[-1]
        p = p / torch.where(alive, norm, torch.ones_like(norm))[:, None, None]
    return torch.stack(rows)
