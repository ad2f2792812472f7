"""Norms of matrices between two numbers that rounding cannot cross.

With u = 2⁻⁵³ and γ_n = n u / (1 − n u), a floating point sum of n products is off by at most γ_n Σ |a_i b_i|, in
whatever order it is summed (Higham, Accuracy and Stability, section 3.1). Numbers are taken to stay clear of underflow;
one absolute `TINY` a result stands for it.

A largest eigenvalue is bounded from above by Cholesky's factorisation: where that of t I − S runs to its end in
floating point, λ_min(t I − S) >= −γ_{n+1} / (1 − γ_{n+1}) tr(t I − S) (Rump, Verification of positive definiteness, BIT
2006), so that λ_max(S) is at most t plus that. It is bounded from below by Rayleigh's quotient. Neither trusts the
eigenvalue routine: a wrong eigenvalue widens the gap between the two numbers and breaks neither. For n = 8 the margin
is about 2·10⁻¹⁴ of the matrix' norm, for n = 500 about 10⁻¹⁰.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from ..exceptions import InvalidArgument

Array = NDArray[np.float64]
Pair = tuple[Array, Array]

UNIT = 2.0**-53
TINY = 1e-290


def gamma(n: int) -> float:
    """γ_n = n u / (1 − n u), itself rounded up."""
    return n * UNIT / (1.0 - n * UNIT) * (1.0 + 4.0 * UNIT)


def largest_eigenvalue(symmetric: Array) -> Pair:
    """Numbers below and above λ_max of symmetric matrices.

    Args:
        symmetric: (..., n, n), equal to its transpose to the bit.

    Returns:
        Two arrays (...): λ_max is at least the first, and at most the second. Where an entry is not finite, or beyond
        10¹⁵⁰, they are −∞ and ∞.

    Raises:
        InvalidArgument: a matrix is not square or not symmetric.

    Example:
        >>> low, high = largest_eigenvalue(np.array([[2.0, 1.0], [1.0, 2.0]]))
        >>> bool(low <= 3.0 <= high), bool(high - low < 1e-13)
        (True, True)
    """
    matrices = np.asarray(symmetric, dtype=np.float64)
    if matrices.ndim < 2 or matrices.shape[-1] != matrices.shape[-2]:
        raise InvalidArgument(f"symmetric must have shape (..., n, n), got {matrices.shape}.")
    # Squares and sums of numbers beyond this leave floating point.
    finite = np.asarray((np.abs(matrices) < 1e150).all((-1, -2)))
    matrices = np.where(finite[..., None, None], matrices, 0.0)
    if not np.array_equal(matrices, matrices.swapaxes(-1, -2)):
        raise InvalidArgument("symmetric must equal its transpose; take half the sum of both.")
    n = matrices.shape[-1]
    if n == 0:
        return np.full(finite.shape, -np.inf), np.full(finite.shape, -np.inf)
    values, vectors = np.linalg.eigh(matrices)
    size = np.abs(matrices).sum(-1).max(-1) * (1.0 + gamma(n)) + TINY
    v = vectors[..., -1]
    length = (v * v).sum(-1)
    quotient = np.einsum("...i,...ij,...j->...", v, matrices, v) / length
    # |v|ᵀ|S||v| <= size |v|²; two sums of n terms each, the length's own sum, and a division.
    low = quotient - gamma(4 * n + 8) * size
    high = _above(matrices, values[..., -1], size)
    return np.where(finite, low, -np.inf), np.where(finite, high, np.inf)


def _above(matrices: Array, values: Array, size: Array) -> Array:
    n = matrices.shape[-1]
    eye = np.eye(n)
    slack = gamma(8 * n + 16) * size
    high = np.full(values.shape, np.inf)
    missing = np.ones(values.shape, dtype=bool)
    for _ in range(40):
        shift = values[missing] + slack[missing]
        gap = shift[:, None, None] * eye - matrices[missing]
        _, failed = torch.linalg.cholesky_ex(torch.from_numpy(gap))
        trace = np.abs(gap).diagonal(axis1=-1, axis2=-2).sum(-1)
        # Beside Rump's margin: the n rounded differences on the diagonal, each at most u times itself.
        margin = (gamma(n + 1) / (1.0 - gamma(n + 1)) + 2.0 * UNIT) * trace * (1.0 + gamma(n + 8)) + TINY
        bound = (shift + margin) + 4.0 * UNIT * (np.abs(shift) + margin)
        high[missing] = np.where(failed.numpy() == 0, bound, np.inf)
        missing = high == np.inf
        if not missing.any():
            break
        slack = slack * 8.0
    return high


def log_norm_bounds(matrices: Array, radius: Array | None = None) -> Pair:
    """Numbers around λ_max((A + Aᵀ)/2) over |A − matrices| <= radius, entry by entry.

    Args:
        matrices: (..., n, n).
        radius: (..., n, n), at least 0, or None for 0.

    Returns:
        Two arrays (...): the log-norm of `matrices` itself is at least the first less the radius's part, and that of
        every A within the radius lies between both.

    Example:
        >>> low, high = log_norm_bounds(np.array([[-1.0, 2.0], [0.0, -1.0]]), radius=np.full((2, 2), 0.5))
        >>> bool(high >= 1.0)
        True
    """
    matrices = np.asarray(matrices, dtype=np.float64)
    half = 0.5 * (matrices + matrices.swapaxes(-1, -2))
    low, high = largest_eigenvalue(half)
    rounding = 2.0 * UNIT * np.abs(half).sum(-1).max(-1)
    if radius is not None:
        # λ_max(S + E) <= λ_max(S) + ‖E‖₂, and ‖E‖₂ <= ‖ |E| ‖₂ for symmetric E; rows' sums bound that again.
        spread = 0.5 * (radius + np.swapaxes(radius, -1, -2)) * (1.0 + 4.0 * UNIT)
        rounding = rounding + _nonnegative_norm(spread)
    return _down(low - rounding), _up(high + rounding)


def _nonnegative_norm(spread: Array) -> Array:
    """‖E‖₂ of symmetric E >= 0 from above: its largest eigenvalue, which is also the largest in modulus."""
    finite = np.isfinite(spread).all((-1, -2))
    return np.where(finite, np.maximum(largest_eigenvalue(spread)[1], 0.0), np.inf)


def spectral_bounds(matrices: Array, radius: Array | None = None) -> Pair:
    """Numbers around ‖A‖₂, the largest eigenvalue of [[0, A], [Aᵀ, 0]], over |A − matrices| <= radius.

    Args:
        matrices: (..., n, m).
        radius: (..., n, m), at least 0, or None.

    Example:
        >>> low, high = spectral_bounds(np.array([[0.0, 3.0]]))
        >>> bool(low <= 3.0 <= high)
        True
    """
    matrices = np.asarray(matrices, dtype=np.float64)
    low, high = largest_eigenvalue(_doubled(matrices))
    if radius is not None:
        spread = _nonnegative_norm(_doubled(np.asarray(radius, dtype=np.float64)))
        low, high = _down(low - spread), _up(high + spread)
    return np.maximum(low, 0.0), high


def _doubled(matrices: Array) -> Array:
    n, m = matrices.shape[-2:]
    both = np.zeros((*matrices.shape[:-2], n + m, n + m))
    both[..., :n, n:], both[..., n:, :n] = matrices, matrices.swapaxes(-1, -2)
    return both


def frobenius_bounds(matrices: Array, radius: Array | None = None) -> Pair:
    """Numbers around ‖A‖_F over |A − matrices| <= radius, (..., n, m) to (...).

    Example:
        >>> low, high = frobenius_bounds(np.array([[3.0, 4.0]]))
        >>> bool(low <= 5.0 <= high)
        True
    """
    size = np.abs(np.asarray(matrices, dtype=np.float64))
    spread = np.zeros_like(size) if radius is None else np.asarray(radius, dtype=np.float64)
    relative = gamma(size.shape[-1] * size.shape[-2] + 8)
    with np.errstate(over="ignore"):
        least = np.sqrt((np.maximum(size - spread, 0.0) ** 2).sum((-1, -2))) * (1.0 - relative)
        most = np.sqrt(((size + spread) ** 2).sum((-1, -2))) * (1.0 + relative)
    return np.maximum(least, 0.0), np.where(np.isfinite(most), most, np.inf)


def product(left: Array, right: Array, right_radius: Array | None = None) -> Pair:
    """left @ right with a bound of its error, for |R − right| <= right_radius.

    Args:
        left: (n, k), exact.
        right: (..., k, m).
        right_radius: (..., k, m), or None for 0.

    Returns:
        The product and a radius, each (..., n, m).
    """
    size = np.abs(right) if right_radius is None else np.abs(right) + right_radius
    # Twice the index: for the sum itself, and for the rounding of the bound's own sums.
    radius = gamma(2 * left.shape[-1] + 8) * (np.abs(left) @ size) + TINY
    if right_radius is not None:
        radius = radius + np.abs(left) @ right_radius
    return left @ right, radius * (1.0 + 4.0 * UNIT)


def _up(value: Array) -> Array:
    return np.nextafter(value, np.inf)


def _down(value: Array) -> Array:
    return np.nextafter(value, -np.inf)
