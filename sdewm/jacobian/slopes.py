"""Jacobians of networks with their slopes left free: bounds for all states at once, in any dimension."""

import itertools
import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from ..exceptions import InvalidArgument
from .rounding import UNIT, frobenius_bounds, gamma, log_norm_bounds, product, spectral_bounds

Array = NDArray[np.float64]

# So many free slopes are taken through all their vertices.
VERTICES = 12


@final
@dataclass(frozen=True)
class SlopeChain:
    """The matrices C + W_L D_{L−1} W_{L−1} ⋯ D_1 W_1 with diagonal D_k, lower_k <= D_k <= upper_k.

    The Jacobian of a network with elementwise activations is one of them at every state, and so is its mean over any
    segment of states if there is one hidden layer.

    Args:
        weights: W_1, …, W_L.
        lower, upper: the slopes' ranges, L − 1 arrays each.
        shift: C = shift · I, or C = diag(shift) for an array.

    Raises:
        InvalidArgument: the shapes do not fit together, or a range is empty or infinite.

    Example:
        >>> chain = SlopeChain((np.eye(1), np.array([[3.0]])), (np.zeros(1),), (np.ones(1),), shift=-1.0)
        >>> vertex_matrices(chain)[0].reshape(-1).tolist()  # −1 + 3 d at d = 0, 1
        [-1.0, 2.0]
    """

    weights: tuple[Array, ...]
    lower: tuple[Array, ...]
    upper: tuple[Array, ...]
    shift: float | Array = 0.0

    def __post_init__(self) -> None:
        inner = [len(w) for w in self.weights[:-1]]
        chained = all(v.shape[1] == len(w) for w, v in itertools.pairwise(self.weights))
        ranges = [len(s) for s in self.lower] == inner == [len(s) for s in self.upper]
        outputs, inputs = len(self.weights[-1]), self.weights[0].shape[1]
        shift = np.asarray(self.shift)
        square = not shift.any() or (outputs == inputs and shift.shape in ((), (inputs,)))
        if not (self.weights and chained and ranges and square):
            shapes = [w.shape for w in self.weights]
            raise InvalidArgument(f"weights and slopes do not fit together: got weights of shapes {shapes}.")
        for low, high in zip(self.lower, self.upper, strict=True):
            if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
                raise InvalidArgument(f"slopes need finite ranges lower <= upper, got {low} and {high}.")

    @property
    def constant(self) -> Array:
        """C."""
        outputs, inputs = len(self.weights[-1]), self.weights[0].shape[1]
        if outputs != inputs:
            return np.zeros((outputs, inputs))
        return np.diag(np.broadcast_to(np.asarray(self.shift, dtype=np.float64), (inputs,)))

    @property
    def free(self) -> int:
        """Number of slopes that are not fixed."""
        return sum(int((a < b).sum()) for a, b in zip(self.lower, self.upper, strict=True))


def interval_matrix(chain: SlopeChain) -> tuple[Array, Array]:
    """A centre and a radius, entry by entry, around all matrices of the chain."""
    centre, radius = chain.weights[0], np.zeros_like(chain.weights[0])
    for weight, low, high in zip(chain.weights[1:], chain.lower, chain.upper, strict=True):
        centre, radius = scaled_rows(low, high, centre, radius)
        centre, radius = product(weight, centre, radius)
    return shifted(centre, radius, chain.constant)


def scaled_rows(low: Array, high: Array, centre: Array, radius: Array) -> tuple[Array, Array]:
    """diag(d) M for low <= d <= high and |M − centre| <= radius: a centre and a radius; low, high are (..., rows)."""
    middle = 0.5 * (low + high)
    half = np.maximum(high - middle, middle - low) * (1.0 + 4.0 * UNIT)
    size = np.abs(centre)
    new = np.abs(middle)[..., None] * radius + half[..., None] * (size + radius)
    # What is rounded: the middle times the centre, and the sums here.
    new = new * (1.0 + 8.0 * UNIT) + 2.0 * UNIT * np.abs(middle)[..., None] * size
    return middle[..., None] * centre, new


def shifted(centre: Array, radius: Array, constant: Array) -> tuple[Array, Array]:
    """C + M for |M − centre| <= radius, as a centre and a radius."""
    if not constant.any():
        return centre, radius
    moved = centre + constant
    return moved, radius * (1.0 + 2.0 * UNIT) + 2.0 * UNIT * np.abs(moved)


def vertex_matrices(chain: SlopeChain) -> tuple[Array, Array]:
    """The matrices of a chain with one hidden layer at all vertices of its slopes, and their rounding errors' radius.

    Each convex function of the matrix, such as a norm or the log-norm, has its maximum over the chain among them.

    Returns:
        (2^free, n, m) twice; the first coordinate's slope changes most slowly.

    Raises:
        InvalidArgument: there are several hidden layers, or more than `VERTICES` free slopes.
    """
    slopes = slope_vertices(chain)
    centre, radius = scaled_rows(slopes, slopes, chain.weights[0], np.zeros_like(chain.weights[0]))
    return shifted(*product(chain.weights[1], centre, radius), chain.constant)


def slope_vertices(chain: SlopeChain) -> Array:
    """The slopes of a chain with one hidden layer at all their vertices, (2^free, units).

    Raises:
        InvalidArgument: as for `vertex_matrices`.
    """
    if len(chain.weights) != 2 or chain.free > VERTICES:
        raise InvalidArgument(
            f"vertices need one hidden layer with at most {VERTICES} free slopes, got {len(chain.weights) - 1} with "
            f"{chain.free}."
        )
    ranges = zip(chain.lower[0].tolist(), chain.upper[0].tolist(), strict=True)
    return np.array(list(itertools.product(*((a, b) if a < b else (a,) for a, b in ranges))))


def has_vertices(chain: SlopeChain) -> bool:
    """Whether `vertex_matrices` is available."""
    return len(chain.weights) == 2 and chain.free <= VERTICES


def norm_product(chain: SlopeChain, last: str = "spectral") -> float:
    """‖C‖ + ‖W_L‖ max|D_{L−1}| ‖W_{L−1}‖₂ ⋯ ‖W_1‖₂ from above, with the spectral or the Frobenius norm.

    For the Frobenius norm the sharper of Frobenius norms at the chain's two ends is taken.
    """
    norms = [float(spectral_bounds(w)[1]) for w in chain.weights]
    slopes = [float(np.abs([a, b]).max(initial=0.0)) for a, b in zip(chain.lower, chain.upper, strict=True)]
    if last == "spectral":
        total, constant = math.prod(norms) * math.prod(slopes), float(np.abs(chain.constant).max())
    else:
        ends = [float(frobenius_bounds(chain.weights[k])[1]) * math.prod(_without(norms, k)) for k in (0, -1)]
        total, constant = min(ends) * math.prod(slopes), float(frobenius_bounds(chain.constant)[1])
    return (total + constant) * (1.0 + gamma(4 * len(norms) + 8))


def _without(norms: list[float], k: int) -> list[float]:
    return norms[1:] if k == 0 else norms[:-1]


def vertex_bounds(chain: SlopeChain) -> dict[str, tuple[float, float]]:
    """The suprema of "mu" (of square matrices), "spectral" and "frobenius" over the chain, from below and above.

    The lower numbers are reached within the closed ranges of the slopes; whether a state reaches them is another
    matter.
    """
    matrices, radius = vertex_matrices(chain)
    bounds = {"spectral": spectral_bounds(matrices, radius), "frobenius": frobenius_bounds(matrices, radius)}
    if matrices.shape[-1] == matrices.shape[-2]:
        bounds["mu"] = log_norm_bounds(matrices, radius)
    return {name: (float(low.max()), float(high.max())) for name, (low, high) in bounds.items()}
