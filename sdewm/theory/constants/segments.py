"""Points between two coupled paths, where the constants of a bound are taken."""

import torch
from torch import Tensor

from ...exceptions import InvalidArgument
from ...validation import integer


def segment_points(x: Tensor, y: Tensor, points: int) -> Tensor:
    """x + θ (y − x) at θ = 0, 1/(points − 1), …, 1, one after the other.

    The ends alone are not enough: with dx = x − x³ from ±1 the slope is −2 at both ends of every segment, and yet the
    distance never shrinks, since it is +1 in the middle.

    Args:
        x, y: states (paths, dim).
        points: 3 or more; an odd number has the middle among them.

    Returns:
        (points · paths, dim).

    Raises:
        InvalidArgument: the shapes differ, or there are fewer than 3 points.

    Example:
        >>> segment_points(torch.tensor([[-1.0]]), torch.tensor([[1.0]]), 3).flatten().tolist()
        [-1.0, 0.0, 1.0]
    """
    integer("points", points, least=3)
    if x.shape != y.shape or x.ndim != 2 or not len(x):
        raise InvalidArgument(f"both states must have shape (paths, dim), got {tuple(x.shape)} and {tuple(y.shape)}.")
    theta = torch.linspace(0.0, 1.0, points, dtype=x.dtype, device=x.device)
    inner = x + theta[1:-1, None, None] * (y - x)
    return torch.cat((x[None], inner, y[None])).reshape(-1, x.shape[1])
