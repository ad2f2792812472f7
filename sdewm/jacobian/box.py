"""A box of states: a lower and an upper number for each coordinate."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..exceptions import InvalidArgument

Array = NDArray[np.float64]
Box = tuple[ArrayLike | Tensor, ArrayLike | Tensor]


def box_sides(box: Box, dim: int) -> tuple[Array, Array]:
    """The lower and the upper side of a box, each (dim,).

    Args:
        box: (lower, upper), each a number or (dim,).
        dim: number of coordinates.

    Raises:
        InvalidArgument: a side is not a finite number or (dim,), or the lower is above the upper.

    Example:
        >>> box_sides((-1.0, [1.0, 2.0]), 2)
        (array([-1., -1.]), array([1., 2.]))
    """
    try:
        lower, upper = box
        sides = [np.broadcast_to(np.asarray(s, dtype=np.float64), (dim,)).copy() for s in (lower, upper)]
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            f"box must be (lower, upper), each a number or of shape ({dim},), got {box!r}."
        ) from error
    if not (np.isfinite(sides).all() and (sides[0] <= sides[1]).all()):
        raise InvalidArgument(f"box must have finite sides with lower <= upper, got {box!r}.")
    return sides[0], sides[1]
