"""Constants of a function of each coordinate apart, whose derivative's range is known."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..constant import Certified
from .box import Box, box_sides
from .rounding import frobenius_bounds


def diagonal_constants(
    low: ArrayLike, high: ArrayLike, source: str, slack: tuple[ArrayLike, ArrayLike] = (0.0, 0.0)
) -> dict[str, Certified]:
    """ "mu", "spectral" and "frobenius" of Jacobians diag(d), low <= d <= high.

    Args:
        low, high: the exact ranges (dim,), each end reached or approached, apart from the others; may be infinite.
        source: where they are from.
        slack: rounding errors of low and high, (dim,) each; 0 where they are exact.

    Example:
        >>> found = diagonal_constants([-2.0], [1.0], "1 − 3x² on |x| <= 1")
        >>> found["mu"].value, found["spectral"].value
        (1.0, 2.0)
    """
    ends = np.stack(np.broadcast_arrays(np.asarray(low, dtype=np.float64), high))
    errors = np.stack([np.broadcast_to(np.asarray(s, dtype=np.float64), ends.shape[1:]) for s in slack])
    # −0 is no slope that anyone wants to read.
    ends = ends + 0.0
    each = np.arange(ends.shape[1])
    far = np.argmax(np.abs(ends), axis=0)
    size, error = np.abs(ends)[far, each], errors[far, each]
    top, steepest = int(np.argmax(ends[1])), int(np.argmax(size))
    largest = _certified(float(size[steepest]), float(error.max()), source)
    if len(size) == 1 or np.isinf(size).any():
        frobenius = largest
    else:
        below, above = frobenius_bounds(size[None], error[None])
        frobenius = Certified(float(above), source, float(below))
    return {"mu": _certified(float(ends[1, top]), float(errors[1].max()), source), "spectral": largest} | {
        "frobenius": frobenius
    }


def squares(box: Box | None, dim: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The range of each x_i² on a box, up to one rounding, or over all states: least and largest, (dim,) each.

    Example:
        >>> squares((-1.0, 2.0), 1)
        (array([0.]), array([4.]))
    """
    if box is None:
        return np.zeros(dim), np.full(dim, np.inf)
    low, high = box_sides(box, dim)
    both = np.sort([low**2, high**2], axis=0)
    return np.where((low <= 0.0) & (high >= 0.0), 0.0, both[0]), both[1]


def _certified(value: float, slack: float, source: str) -> Certified:
    if not np.isfinite(value):
        return Certified(value, source)
    above, below = (value, value) if slack == 0.0 else (np.nextafter(value + slack, np.inf), value - 2.0 * slack)
    return Certified(float(above), source, float(below))
