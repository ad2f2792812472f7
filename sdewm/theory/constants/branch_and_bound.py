"""Suprema of a network's Jacobian over a box, by splitting the box where the bound is largest."""

import math

import numpy as np
from numpy.typing import NDArray

from ...constant import Certified
from ...exceptions import Refused
from ...jacobian.box import Box, box_sides
from ...jacobian.rounding import spectral_bounds
from ...validation import integer, one_of, positive
from .interval import NORMS, check_square, norm_at_points, norm_on_boxes
from .network import Network

Array = NDArray[np.float64]

# Interval bounds are of first order in the boxes' width: k times the sharpness takes k^dim boxes.
DIMENSION = 8
_AT_ONCE = 128


def branch_and_bound(network: Network, box: Box, name: str, *, tolerance: float = 0.02, boxes: int = 4096) -> Certified:
    """sup over the box of the Jacobian's log-norm ("mu"), spectral or Frobenius norm, from above and from below.

    Boxes with the largest bounds are halved, along the side that moves the first layer most, until the bound is within
    `tolerance` of a value that is attained, or enough boxes were looked at. The bound is valid whenever it stops.

    Args:
        network: the network.
        box: (lower, upper), each a number or (dim,).
        name: "mu", "spectral" or "frobenius".
        tolerance: allowed gap, as a part of the product of the layers' spectral norms.
        boxes: number of boxes to look at.

    Returns:
        Certified, with the largest value that was attained at a box's centre. It covers the mean Jacobian of every
        segment inside the box, since a box is convex and each of the three is a convex function.

    Raises:
        InvalidArgument: an argument is not as above.
        Refused: the dimension is above 8.

    Warning:
        That states stay in the box is not checked.
    """
    one_of("name", name, NORMS)
    check_square(network, name)
    integer("boxes", boxes, least=1)
    if network.dim > DIMENSION:
        raise Refused(
            f"branch and bound takes at most {DIMENSION} dimensions, got {network.dim}: the number of boxes grows like "
            f"a power of it; use slopes (method='slopes'), which are valid in any dimension."
        )
    size = math.prod(float(spectral_bounds(w)[1]) for w in network.weights) + abs(network.shift)
    gap = positive("tolerance", tolerance) * size
    low, high = (side[None] for side in box_sides(box, network.dim))
    above = norm_on_boxes(network, name, low, high)
    best = float(norm_at_points(network, name, 0.5 * (low + high)).max())
    closed, seen = -math.inf, 1
    weight = np.linalg.norm(network.weights[0], axis=0)
    while seen < boxes and len(above):
        done = above <= best + gap
        closed = max(closed, float(above[done].max(initial=-math.inf)))
        low, high, above = low[~done], high[~done], above[~done]
        order = np.argsort(-above)[: min(_AT_ONCE, max(1, (boxes - seen) // 2))]
        if not len(order):
            break
        children = _halved(low[order], high[order], weight)
        bounds = np.minimum(norm_on_boxes(network, name, *children), np.tile(above[order], 2))
        best = max(best, float(norm_at_points(network, name, 0.5 * (children[0] + children[1])).max()))
        keep = np.ones(len(above), dtype=bool)
        keep[order] = False
        low, high = np.concatenate((low[keep], children[0])), np.concatenate((high[keep], children[1]))
        above = np.concatenate((above[keep], bounds))
        seen += len(bounds)
    top = max(closed, float(above.max(initial=-math.inf)))
    return Certified(top, f"branch and bound over a box, {seen} boxes", best if best > -math.inf else None)


def _halved(low: Array, high: Array, weight: Array) -> tuple[Array, Array]:
    rows = np.arange(len(low))
    side = np.argmax((high - low) * weight + 1e-300 * (high - low), axis=1)
    middle = 0.5 * (low[rows, side] + high[rows, side])
    upper_of_left, lower_of_right = high.copy(), low.copy()
    upper_of_left[rows, side], lower_of_right[rows, side] = middle, middle
    return np.concatenate((low, lower_of_right)), np.concatenate((upper_of_left, high))
