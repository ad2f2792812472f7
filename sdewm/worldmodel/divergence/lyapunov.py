"""Finite-time Lyapunov exponents of a product of matrices, without forming the product."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...dynamics.brownian import generator

# Factors are multiplied together while their diagonals span at most e^so much, and are at most e^so large or small.
_SPAN, _SIZE = 16.0, 200.0
_PASSES = 100
_EPS = torch.finfo(torch.float64).eps


def lyapunov_exponents(
    matrices: Tensor, seed: int = 0, *, digits: float = _EPS, close: float = 1e-9, scale: Tensor | None = None
) -> Tensor:
    """λ_j = (1/N) ln σ_j(J_{N−1} ⋯ J_0), largest first, of each path.

    J_n Q_n = Q_{n+1} R_n turns the product into Q_N R_{N−1} ⋯ R_0 Q_0ᵀ with triangular R. The diagonals of R alone give
    the exponents up to O(1/N), depending on Q_0. What they miss is in the triangles: transposed, these are a product of
    the same kind with the same singular values, whose QR passes, back and forth, converge to a diagonal one. For that
    neighbouring triangles are multiplied together, as far as they can be without loss of digits. Sums of logarithms
    never overflow, where the product itself would.

    A direction that a step maps to zero, up to the rounding of its largest, has the exponent −∞. With a scale S this is
    judged of S⁻¹ J_n S, so that a column in small units is not taken for none; the exponents are those of J_n still,
    whose product is S (S⁻¹ J_{N−1} S) ⋯ (S⁻¹ J_0 S) S⁻¹.

    Args:
        matrices: (steps, paths, dim, dim), float64.
        seed: of Q_0, in general position: with Q_0 = I a singular step could hide a direction that another one lacks.
        digits: relative rounding error of the matrices' entries.
        close: passes end when they move no exponent by more than this.
        scale: the diagonal of S, (dim,), above zero; by default 1.

    Returns:
        (paths, dim).

    Source: Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980); Stewart, Electronic Transactions on Numerical
        Analysis 5 (1997) for singular values of a long product by passes back and forth, here with QR for his LR steps.

    Example:
        >>> step = torch.diag(torch.tensor([0.5, 2.0, 0.0])).double()
        >>> lyapunov_exponents(step.expand(4, 1, 3, 3)).exp()
        tensor([[2.0000, 0.5000, 0.0000]], dtype=torch.float64)
    """
    steps, paths, dim, _ = matrices.shape
    noise = torch.randn(dim, dim, generator=generator(seed, "divergence: frame"), dtype=torch.float64)
    q = torch.linalg.qr(noise)[0].expand(paths, dim, dim)
    moved = matrices if scale is None else matrices * scale / scale[:, None]
    factors, logs, last = _pass(moved.unbind(), q, digits)
    factors = _together(factors)
    if scale is not None and logs.shape[1]:
        # S Q_N = Q' R' and S⁻¹ Q_0 = Q'' R'': two factors more, and orthogonal ones that change no singular value.
        ends = [torch.linalg.qr(frame)[1] for frame in (q / scale[:, None], last * scale[:, None])]
        factors = [ends[0].mT, *factors, ends[1]]
    for _ in range(_PASSES):
        rank = logs.shape[1]
        if rank == 0:
            break
        # (R_{N−1} ⋯ R_0)ᵀ = R_0ᵀ ⋯ R_{N−1}ᵀ: the last factor comes first.
        before = logs
        turned = [factor.mT for factor in reversed(factors)]
        factors, logs, _ = _pass(turned, torch.eye(rank, dtype=torch.float64).expand(paths, rank, rank))
        if logs.shape == before.shape and _moved(before, logs) <= close * steps:
            break
    exponents = torch.full((paths, dim), -math.inf, dtype=torch.float64)
    exponents[:, : logs.shape[1]] = logs / steps
    return exponents.sort(1, descending=True).values


def _pass(matrices: Sequence[Tensor], q: Tensor, digits: float = _EPS) -> tuple[list[Tensor], Tensor, Tensor]:
    """The triangles, the sums of the logarithms of their diagonals, the last frame; without what all paths map to zero.

    A frame in general position meets what is mapped to zero last, so that what is left out is at the end.
    """
    triangles: list[Tensor] = []
    logs = torch.zeros(len(q), q.shape[2], dtype=torch.float64)
    for matrix in matrices:
        z = matrix @ q
        q, r = torch.linalg.qr(z)
        diagonal = r.diagonal(dim1=-2, dim2=-1).abs()
        size = torch.linalg.matrix_norm(z)[:, None]
        alive = diagonal > 2.0 * max(z.shape[1:]) * digits * size
        left = alive.any(0).nonzero()
        rank = int(left[-1]) + 1 if len(left) else 0
        # What is dead in some paths only stays, as zeros.
        q, r = q[:, :, :rank], (r * alive[:, :, None])[:, :rank]
        logs = (logs + torch.where(alive, diagonal, torch.zeros_like(diagonal)).log())[:, :rank]
        triangles.append(r)
        if rank == 0:
            break
    return triangles, logs, q


def _together(factors: list[Tensor]) -> list[Tensor]:
    """Products of neighbouring factors, the first factor first, while they lose no digits that matter."""
    result: list[Tensor] = []
    span = size = 0.0
    for factor in factors:
        diagonal = factor.diagonal(dim1=-2, dim2=-1).abs()
        logs = torch.where(diagonal > 0.0, diagonal, torch.ones_like(diagonal)).log()
        own = float((logs.amax(1) - logs.amin(1)).max()) if logs.numel() else 0.0
        large = float(logs.abs().max()) if logs.numel() else 0.0
        if result and span + own <= _SPAN and size + large <= _SIZE:
            result[-1] = factor @ result[-1]
            span, size = span + own, size + large
        else:
            result.append(factor)
            span, size = own, large
    return result


def _moved(before: Tensor, after: Tensor) -> float:
    both = before.isfinite() & after.isfinite()
    return float(torch.where(both, after - before, torch.zeros_like(after)).abs().max())
