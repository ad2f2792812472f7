"""The Wasserstein distance of two samples, exactly."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..exceptions import InvalidArgument
from ..validation import real

# A matrix of all distances of so many points has 128 MiB.
MOST = 4096


def wasserstein(x: ArrayLike, y: ArrayLike, order: float = 1.0) -> float:
    """The Wasserstein distance of two samples of equal size, exactly.

    Between the laws that put mass 1/n on each point some permutation is an optimal coupling (Birkhoff), so that

        W_p(x, y) = min over permutations π of ( n⁻¹ Σ_i |x_i − y_π(i)|^p )^(1/p),

    a linear assignment problem. In one dimension π sorts both samples.

    Args:
        x, y: (n, D), or (n,) for numbers; any n up to 4096.
        order: p >= 1.

    Raises:
        InvalidArgument: shapes differ, a sample is empty, too large or not finite, or p < 1.

    Warning:
        It is the distance of the samples, not of the laws P, Q that they are drawn from. Its expectation is at least
        W_p(P, Q), and between two independent samples of one law of dimension d > 2p it is of order n^(−1/d), not zero.

    Source:
        Villani, Optimal Transport, chapters 4 and 5; Fournier, Guillin 2015 for the rate.

    Example:
        >>> wasserstein([0.0, 1.0, 3.0], [4.0, 1.0, 2.0])
        1.0
    """
    from scipy.optimize import linear_sum_assignment  # here, so that importing the package stays quick
    from scipy.spatial.distance import cdist

    p = real("order", order)
    if not p >= 1.0:
        raise InvalidArgument(f"order must be at least 1, got {order!r}.")
    a, b = _points("x", x), _points("y", y)
    if a.shape != b.shape:
        raise InvalidArgument(f"x and y must have one shape, got {a.shape} and {b.shape}: draw samples of equal size.")
    # In units of the largest number, so that no square overflows or vanishes.
    unit = float(max(np.abs(a).max(), np.abs(b).max())) or 1.0
    a, b = a / unit, b / unit
    if a.shape[1] == 1:
        gaps = np.abs(np.sort(a[:, 0]) - np.sort(b[:, 0]))
    else:
        distances = cdist(a, b)
        rows, columns = linear_sum_assignment((distances / (float(distances.max()) or 1.0)) ** p)
        gaps = distances[rows, columns]
    most = float(gaps.max())
    return unit * most * float(((gaps / most) ** p).mean()) ** (1.0 / p) if most else 0.0


def paired_distances(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """|x_i − y_i| for each pair, (n,): the mean of their p-th powers bounds W_p^p from above, by this coupling.

    Raises:
        InvalidArgument: as in `wasserstein`.

    Example:
        >>> paired_distances([0.0, 1.0, 3.0], [4.0, 1.0, 2.0]).tolist()
        [4.0, 0.0, 1.0]
    """
    a, b = _points("x", x), _points("y", y)
    if a.shape != b.shape:
        raise InvalidArgument(f"x and y must have one shape, got {a.shape} and {b.shape}.")
    distances: NDArray[np.float64] = np.linalg.norm(a - b, axis=1)
    return distances


def _points(name: str, values: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(values, dtype=np.float64)
    points = points[:, None] if points.ndim == 1 else points
    if points.ndim != 2 or not points.size or len(points) > MOST:
        raise InvalidArgument(f"{name} must have shape (n, D) or (n,) with 1 <= n <= {MOST}, got {points.shape}.")
    if not np.isfinite(points).all():
        raise InvalidArgument(f"{name} must be finite, got infinities or NaNs.")
    return points
