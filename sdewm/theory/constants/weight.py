"""A weight M for the state, in which a system contracts faster than in the Euclidean norm."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...constant import Certified
from ...exceptions import InvalidArgument
from ...jacobian.hull import Hull
from ...jacobian.rounding import UNIT, gamma, largest_eigenvalue

Array = NDArray[np.float64]
Form = Callable[[Array, Hull, slice], tuple[Array, Array]]
# Vertices that are looked at together.
_BLOCK = 256


@final
@dataclass(frozen=True)
class Weight:
    """A weight M ≻ 0 with what is certified in its metric |x|_M² = xᵀMx.

    Attributes:
        matrix: M, (dim, dim).
        nu: ν with M A + AᵀM + Σ_k G_kᵀ M G_k ⪯ 2ν M over the hull, so that m = E|e|_M² has
            m' <= 2ν m + 2ε √m (s_M + ‖ρ‖ Λ_M s̄_M) + ε² s̄_M².
        diffusion: Λ_M with Σ_k G_kᵀ M G_k ⪯ Λ_M² M.
        spectral: L_M with AᵀM A ⪯ L_M² M, the drift's Lipschitz constant in the metric.
        least, greatest: numbers between which the eigenvalues of M lie, so that
            least |x|² <= |x|_M² <= greatest |x|².
    """

    matrix: Array
    nu: Certified
    diffusion: Certified
    spectral: Certified
    least: float
    greatest: float

    @property
    def condition(self) -> float:
        """greatest / least, at least the condition number of M."""
        return self.greatest / self.least


def certify_weight(matrix: ArrayLike, hull: Hull) -> Weight:
    """What holds in the metric of a given weight, proved at the vertices of the hull.

    Each of the three conditions bounds a matrix that is convex in (A, G) by a multiple of M, so that the vertices
    suffice. With N_v the left side and λ a floating point estimate of the least number such that N_v ⪯ λ M, the least
    eigenvalue of λ M − N_v is certified to be above −b (`largest_eigenvalue`, and the rounding of N_v by γ_n), so that
    N_v ⪯ (λ + b / λ_min(M)) M.

    Args:
        matrix: M (dim, dim), symmetric and positive definite.
        hull: the Jacobians.

    Raises:
        InvalidArgument: M is not of this shape, not symmetric, or not certainly positive definite.

    Example:
        >>> weight = certify_weight(np.eye(2), Hull(np.diag([-1.0, -2.0])[None]))
        >>> round(weight.nu.value, 9), round(weight.spectral.value, 9), round(weight.condition, 9)
        (-1.0, 2.0, 1.0)
    """
    m, least, greatest = _checked(matrix, hull.dim)
    source = f"{len(hull.drift)} vertices in the metric of a weight of condition {greatest / least:.3g}"
    twice = _highest(_growth, m, hull, least)
    return Weight(
        m,
        Certified(0.5 * twice, source),
        Certified(_root(_highest(_columns, m, hull, least)), source),
        Certified(_root(_highest(_square, m, hull, least)), source),
        least,
        greatest,
    )


def _root(square: float) -> float:
    return float(np.nextafter(np.sqrt(max(square, 0.0)), np.inf))


def _checked(matrix: ArrayLike, dim: int) -> tuple[Array, float, float]:
    m = np.asarray(matrix, dtype=np.float64)
    if m.shape != (dim, dim) or not np.isfinite(m).all():
        raise InvalidArgument(f"matrix must be finite and of shape ({dim}, {dim}), got shape {m.shape}.")
    if not np.allclose(m, m.T, rtol=1e-9, atol=0.0):
        raise InvalidArgument("matrix must be symmetric; take half the sum of it and its transpose.")
    m = 0.5 * (m + m.T)
    least, greatest = -float(largest_eigenvalue(-m)[1]), float(largest_eigenvalue(m)[1])
    if not least > 0.0:
        raise InvalidArgument(
            f"matrix must be positive definite, got a least eigenvalue of {np.linalg.eigvalsh(m)[0]:.3g} beside a "
            f"greatest of {greatest:.3g}; rounding counts against it."
        )
    return m, least, greatest


def _growth(m: Array, hull: Hull, rows: slice) -> tuple[Array, Array]:
    """M A + AᵀM + Σ G_kᵀ M G_k at some vertices, and the size of what was summed."""
    a, size = hull.drift[rows], np.abs(hull.drift[rows])
    ma, sized = m @ a, np.abs(m) @ size
    spread = np.abs(m) @ hull.drift_radius[rows]
    value, total = _columns(m, hull, rows)
    grown = sized + spread / _relative(hull)
    return value + ma + ma.mT, total + grown + grown.mT


def _columns(m: Array, hull: Hull, rows: slice) -> tuple[Array, Array]:
    """Σ G_kᵀ M G_k."""
    g, radius = hull.diffusion[rows], hull.diffusion_radius[rows]
    value, total = _sandwich(m, g, radius, _relative(hull))
    return value.sum(1), total.sum(1)


def _square(m: Array, hull: Hull, rows: slice) -> tuple[Array, Array]:
    """AᵀM A."""
    radius = hull.drift_radius[rows]
    return _sandwich(m, hull.drift[rows], radius, _relative(hull))


def _sandwich(m: Array, g: Array, radius: Array, relative: float) -> tuple[Array, Array]:
    value = g.mT @ (m @ g)
    size = np.abs(g)
    total = size.mT @ (np.abs(m) @ size)
    if radius.any():
        most = size + radius
        # |(G + E)ᵀM(G + E) − GᵀMG| <= |E|ᵀ|M|(|G| + |E|) + its transpose.
        extra = radius.mT @ (np.abs(m) @ most)
        total = total + (extra + extra.mT) / relative
    return value, total


def _relative(hull: Hull) -> float:
    # Two products and a sum over columns, each entry rounded; twice, for the bound's own sums.
    return gamma(2 * (3 * hull.dim + hull.diffusion.shape[1]) + 32)


def _highest(form: Form, m: Array, hull: Hull, least: float) -> float:
    """The largest certified λ over vertices with N_v ⪯ λ M."""
    factor = np.linalg.cholesky(m)
    inverse = np.linalg.inv(factor)
    top = -np.inf
    for first in range(0, len(hull.drift), _BLOCK):
        value, total = form(m, hull, slice(first, first + _BLOCK))
        value = 0.5 * (value + value.mT)
        rounding = _relative(hull) * total.sum(-1).max(-1) * (1.0 + 1e-9)
        guess = np.linalg.eigvalsh(0.5 * (inverse @ value @ inverse.T + (inverse @ value @ inverse.T).mT))[:, -1]
        gap = value - guess[:, None, None] * m
        shift = 4.0 * UNIT * np.abs(guess) * np.abs(m).sum(-1).max()
        excess = np.maximum(largest_eigenvalue(0.5 * (gap + gap.mT))[1] + rounding + shift, 0.0)
        bound = guess + excess / least
        top = max(top, float((bound + 4.0 * UNIT * (np.abs(guess) + excess / least)).max()))
    return top
