"""Finite-time Lyapunov exponents of a product of matrices, without forming the product."""

import math

import torch
from torch import Tensor

from ...dynamics.brownian import generator

# Number of passes of QR decompositions after the first.
_PASSES = 3


def lyapunov_exponents(matrices: Tensor, seed: int = 0) -> Tensor:
    """λ_j = (1/N) ln σ_j(J_{N−1} ⋯ J_0), largest first, of each path.

    J_n Q_n = Q_{n+1} R_n turns the product into Q_N R_{N−1} ⋯ R_0 Q_0ᵀ with triangular R. The diagonals of R alone give
    the exponents up to O(1/N), depending on Q_0. What they miss is in the triangles: transposed, these are a product of
    the same kind with the same singular values, whose QR passes converge to its diagonal form, the faster the further
    apart the σ_j^N are. Sums of logarithms never overflow, where the product itself would.

    A direction that a step maps to zero, up to rounding, has the exponent −∞.

    Args:
        matrices: (steps, paths, dim, dim), float64.
        seed: of Q_0, in general position: with Q_0 = I a singular step could hide a direction that another one lacks.

    Returns:
        (paths, dim), with −∞ for what is mapped to zero.

    Source: Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980); Dieci, Elia, Numerische Mathematik 101 (2006)
        for the passes back and forth.

    Example:
        >>> step = torch.diag(torch.tensor([0.5, 2.0, 0.0])).double()
        >>> lyapunov_exponents(step.expand(4, 1, 3, 3)).exp()
        tensor([[2.0000, 0.5000, 0.0000]], dtype=torch.float64)
    """
    steps, paths, dim, _ = matrices.shape
    noise = torch.randn(dim, dim, generator=generator(seed, "divergence: frame"), dtype=torch.float64)
    q = torch.linalg.qr(noise)[0].expand(paths, dim, dim)
    triangles, logs, dead = _pass(matrices, q)
    for _ in range(_PASSES):
        # (R_{N−1} ⋯ R_0)ᵀ = R_0ᵀ ⋯ R_{N−1}ᵀ: the last factor comes first.
        turned = triangles.flip(0).mT
        triangles, logs, lost = _pass(turned, torch.eye(dim, dtype=torch.float64).expand(paths, dim, dim))
        dead = dead | lost
    exponents = torch.where(dead, -math.inf, logs / steps)
    return exponents.sort(1, descending=True).values


def _pass(matrices: Tensor, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The triangles, the sums of the logarithms of their diagonals, and which of these are zero somewhere."""
    triangles, logs = torch.empty_like(matrices), torch.zeros(matrices.shape[1::2], dtype=torch.float64)
    dead = torch.zeros_like(logs, dtype=torch.bool)
    digits = torch.finfo(torch.float64).eps * matrices.shape[-1]
    for n, matrix in enumerate(matrices):
        z = matrix @ q
        q, r = torch.linalg.qr(z)
        triangles[n] = r
        diagonal = r.diagonal(dim1=-2, dim2=-1).abs()
        zero = diagonal <= 4.0 * digits * torch.linalg.matrix_norm(z)[:, None]
        dead = dead | zero
        logs = logs + torch.where(zero, torch.ones_like(diagonal), diagonal).log()
    return triangles, logs, dead
