"""Kreiss's constant and the transient growth of a non-normal system, each known from both sides."""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...constant import Certified
from ...exceptions import InvalidArgument, Refused
from ...validation import positive

Array = NDArray[np.float64]

# For rounding in singular values and matrix exponentials, relative.
_ROUNDING = 1e-10


def kreiss_constant(matrix: ArrayLike, *, tolerance: float = 0.02) -> Certified:
    """K(A) = sup over Re z > 0 of Re z ‖(zI − A)⁻¹‖, from below where it is attained and from above by a cover.

    With h(x) = sup over y of ‖((x + iy)I − A)⁻¹‖, K = sup x h(x). By the maximum principle h does not increase, so that
    x h(x) <= b h(a) on [a, b]; with μ the log-norm it is at most x/(x − μ) beyond μ. Intervals that may still hold more
    than (1 + tolerance) times the best value are halved, in the logarithm of x. h(x) itself is the H∞ norm of a
    transfer function: s is a singular value of (x + iy)I − A exactly if iy is an eigenvalue of [[A − xI, sI],
    [−sI, xI − Aᵀ]]; with none on the axis no singular value is s or less, since at y = ∞ all are greater.

    Args:
        matrix: A, (dim, dim), real, all eigenvalues in the open left half plane.
        tolerance: relative distance of the two sides, from 1e-6 to 1.

    Returns:
        A certified constant: its value is the upper side, its `attained` the lower (one is reached at infinity).

    Raises:
        InvalidArgument: the matrix is not real and square, or the tolerance is out of its range.
        Refused: an eigenvalue has a real part of zero or more, where K is infinite or the cover cannot end, or one so
            close to zero that rounding cannot tell.

    Source: Kreiss 1962; Trefethen, Embree, Spectra and Pseudospectra, chapters 14 and 18; for h Bruinsma, Steinbuch
    1990.

    Warning:
        Certified in exact arithmetic: that eigenvalues 1e-9 of the matrix off the imaginary axis are off it is assumed.

    Example:
        >>> k = kreiss_constant([[-1.0, 10.0], [0.0, -1.5]])
        >>> 2.14 < k.attained <= k.value < 2.20
        True
    """
    a, tolerance = _stable(matrix), positive("tolerance", tolerance)
    if not 1e-6 <= tolerance <= 1.0:
        raise InvalidArgument(f"tolerance must be in [1e-6, 1], got {tolerance!r}.")
    mu = _log_norm(a)
    if mu <= 0.0:
        return Certified(1.0, "log-norm not above zero", attained=1.0)
    # A tenth of the tolerance is spent on h and on each end.
    part = 0.1 * tolerance
    begin, end = 1.0 / _line(a, 0.0, part)[1], mu * (1.0 + part) / part
    best, upper = 1.0, 1.0 + part
    todo = [(x, _line(a, x, part)) for x in np.geomspace(begin, end, 33).tolist()]
    best = max(best, *(x * low for x, (low, _) in todo))
    intervals = [(x, high, follow) for (x, (_, high)), (follow, _) in pairwise(todo)]
    while intervals:
        x, high, follow = intervals.pop()
        if follow * high <= best * (1.0 + tolerance):
            upper = max(upper, follow * high)
            continue
        middle = math.sqrt(x * follow)
        low, lower_part = _line(a, middle, part)
        best = max(best, middle * low)
        intervals += [(x, high, middle), (middle, lower_part, follow)]
    upper = max(upper, best) * (1.0 + _ROUNDING)
    return Certified(upper, "Kreiss constant, cover of the half plane", best / (1.0 + _ROUNDING))


def _line(a: Array, x: float, tolerance: float) -> tuple[float, float]:
    """h(x) from below and from above."""
    n = len(a)
    shifted, eye = a - x * np.eye(n), np.eye(n)
    near = 1e-9 * max(float(np.linalg.norm(shifted, 2)), 1e-300)

    def peak(heights: Array) -> float:
        z = 1j * heights[:, None, None] * eye - shifted
        return float(1.0 / np.linalg.svd(z, compute_uv=False)[:, -1].min())

    low = peak(np.append(np.abs(np.linalg.eigvals(a).imag), 0.0))
    above = 1.0 + tolerance
    while True:
        s = 1.0 / (low * above)
        found = np.linalg.eigvals(np.block([[shifted, s * eye], [-s * eye, -shifted.T]]))
        heights = np.sort(np.abs(found.imag[np.abs(found.real) <= near]))
        if not len(heights):
            return low, low * above
        better = peak(np.concatenate((heights, 0.5 * (heights[1:] + heights[:-1]))))
        # Where rounding alone puts an eigenvalue on the axis, the upper side gives way.
        if above > 1e3:
            raise Refused("matrix has an eigenvalue too close to the imaginary axis for its Kreiss constant.")
        low, above = (better, above) if better > low * (1.0 + 1e-3 * tolerance) else (low, 1.0 + 2.0 * (above - 1.0))


def transient_growth(matrix: ArrayLike, *, tolerance: float = 0.01) -> Certified:
    """sup over t >= 0 of ‖e^{At}‖, from below on a fine grid and from above by the log-norm between its times.

    ‖e^{A(t+s)}‖ <= ‖e^{At}‖ e^{μs} with μ = λ_max(sym A); and from a time on at which the norm is at most one nothing
    larger can follow than came before.

    Args:
        matrix: A, (dim, dim), real, all eigenvalues in the open left half plane.
        tolerance: relative distance of the two sides.

    Returns:
        A certified constant: its value is the upper side, its `attained` the lower.

    Raises:
        InvalidArgument: the matrix is not real and square.
        Refused: an eigenvalue has a real part of zero or more, or the decay is too slow to be followed.

    Warning:
        Certified in exact arithmetic; for rounding a margin of 1e-10 is added, which is not proved.

    Example:
        >>> growth = transient_growth([[-1.0, 0.0], [0.0, -2.0]])
        >>> round(growth.value, 6)
        1.0
    """
    a = _stable(matrix)
    mu = _log_norm(a)
    if mu <= 0.0:
        return Certified(1.0, "log-norm not above zero", attained=1.0)
    from scipy.linalg import expm  # here, so that importing the package stays quick

    step = positive("tolerance", tolerance) / mu
    powers, leap = np.eye(len(a))[None], expm(a * step)
    # Each round doubles the horizon: e^{A(t + t_n)} = e^{At} e^{At_n}.
    while powers.size <= 2**23:
        powers, leap = np.concatenate((powers, powers @ leap)), leap @ leap
        if np.linalg.norm(leap, 2) <= 1.0 - _ROUNDING:
            largest = float(np.linalg.norm(powers, 2, axis=(1, 2)).max())
            upper = largest * math.exp(mu * step) * (1.0 + _ROUNDING)
            return Certified(upper, "largest ‖exp(At)‖ of a grid, log-norm between", largest / (1.0 + _ROUNDING))
    raise Refused("the matrix decays too slowly against its log-norm to be followed; raise tolerance.")


def _stable(matrix: ArrayLike) -> Array:
    given = np.asarray(matrix)
    if given.ndim != 2 or given.shape[0] != given.shape[1] or given.size == 0 or np.iscomplexobj(given):
        raise InvalidArgument(f"matrix must be real and square, got shape {given.shape} of {given.dtype}.")
    a = given.astype(np.float64)
    if not np.isfinite(a).all():
        raise InvalidArgument("matrix must be finite, but some entries are NaN or infinite.")
    abscissa = float(np.linalg.eigvals(a).real.max())
    if not abscissa < 0.0:
        raise Refused(
            f"matrix must have all eigenvalues in the open left half plane; the largest real part is {abscissa:.4g}."
        )
    return a


def _log_norm(a: Array) -> float:
    return float(np.linalg.eigvalsh((a + a.T) / 2.0)[-1])
