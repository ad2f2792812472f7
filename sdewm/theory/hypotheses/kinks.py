"""Where a function jumps, or its derivatives do: found by bisection between visited states."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...dynamics.derivatives import directional, second_directional

Rows = Callable[[Tensor], Tensor]

ORDERS = ("the function itself", "its first derivative", "its second derivative")
# A segment is cut into this many pieces, and the piece that stands out from its neighbours is bisected: a kink on a
# slope, or beside a wave, is then not passed over for the steeper half.
_PIECES = 31
# How often a piece is halved; a jump stays, a bend halves with its piece.
_HALVINGS = {torch.float64: 32, torch.float32: 12}
_STAYS, _LOOK_BACK = 0.8, 3
# What is smaller than this part of the widest difference anywhere is rounding.
_SEEN = {torch.float64: 1e-6, torch.float32: 1e-3}
# What is smaller than this part of the values is a seam inside a library function, such as that of softplus, 2e-9:
# where all states lie in one place it may be all that varies.
_SEAM = 1e-8
_NEIGHBOURHOOD = {torch.float64: 1e-4, torch.float32: 1e-2}


@final
@dataclass(frozen=True)
class Jump:
    """A point where a derivative of a function is not continuous.

    Attributes:
        order: 0 for the function itself, 1 or 2 for a derivative.
        size: how much it jumps, along a direction of length one.
        at: the state (dim,).
    """

    order: int
    size: float
    at: Tensor

    def __str__(self) -> str:
        shown = ", ".join(f"{value:.4g}" for value in self.at[:4].tolist()) + (", …" if len(self.at) > 4 else "")
        return f"{ORDERS[self.order]} jumps by {self.size:.3g} at x = ({shown})"


def segments(states: Tensor, pairs: int = 48) -> tuple[Tensor, Tensor]:
    """Ends of segments on which to look: between visited states, and around each of some of them.

    The latter find a kink on which the states sit exactly, such as that of a base without noise; to see one from both
    sides they reach out by 1e-4 (in float32 by 1e-2) of the states' size.

    Args:
        states: visited states (paths, dim).
        pairs: number of segments between states; there are a third as many around states.
    """
    near = states[: max(pairs // 3, 1)]
    reach = _NEIGHBOURHOOD.get(states.dtype, 1e-4) * (1.0 + float(states.abs().max()))
    # Every coordinate moves, and no two alike: no surface of a kink is then parallel to the segment.
    tilt = torch.cos(torch.arange(near.numel(), dtype=states.dtype) + 0.5).reshape(near.shape) + 1.3
    left, right = near - reach * tilt, near + reach * tilt
    if len(states) < 2:
        return left, right
    first, second = states[: len(states) // 2][:pairs], states[len(states) // 2 :][:pairs]
    count = min(len(first), len(second))
    first, second = first[:count], second[:count]
    apart = (first - second).abs().amax(1) > 10.0 * reach
    return torch.cat((left, first[apart])), torch.cat((right, second[apart]))


def find_jump(function: Rows, left: Tensor, right: Tensor, orders: int = 2) -> Jump | None:
    """The first discontinuity of the function, of its first or of its second derivative that a bisection finds.

    On each segment the piece that stands out is halved again and again, the half with the larger difference being kept.
    Whatever is continuous then differs by less and less; what keeps its difference is a jump.

    Args:
        function: rows (paths, dim) to (paths, …).
        left, right: ends of segments (n, dim).
        orders: how many derivatives to look at, 0, 1 or 2.

    Warning:
        A kink that no segment crosses is not found, nor one that is hidden by a wave shorter than a piece; in float32 a
        bend that is narrower than 1e-5 of a segment may be taken for a kink.
    """
    # Where a function ends, as a logarithm does at zero, its derivatives diverge: that is another complaint.
    with torch.no_grad():
        ends = torch.cat((function(left), function(right))).reshape(2, len(left), -1)
    inside = torch.isfinite(ends).all(2).all(0)
    left, right = left[inside], right[inside]
    for order in range(orders + 1 if len(left) else 0):
        found = _search(function, left, right, order)
        if found is not None:
            return found
    return None


def _search(function: Rows, left: Tensor, right: Tensor, order: int) -> Jump | None:
    if order == 2 and left.dtype != torch.float64:
        return None  # second differences in float32 are rounding
    along = (right - left) / (right - left).norm(dim=1, keepdim=True)
    count, dim = left.shape
    shares = torch.linspace(0.0, 1.0, _PIECES + 1, dtype=left.dtype, device=left.device)[None, :, None]
    points = left[:, None] + shares * (right - left)[:, None]
    values = _derivative(function, points.reshape(-1, dim), along.repeat_interleave(_PIECES + 1, 0), order)
    values = values.reshape(count, _PIECES + 1, -1)
    defined = torch.isfinite(values).all(2).all(1)
    gaps = torch.nan_to_num(values[:, 1:] - values[:, :-1])
    widest = gaps.abs().amax()
    if not float(widest) > 0.0:
        return None
    k = _outstanding(gaps)
    rows = torch.arange(count, device=left.device)
    a, b = points[rows, k], points[rows, k + 1]
    at_a, at_b = values[rows, k], values[rows, k + 1]
    scale = torch.nan_to_num(values).abs().amax()
    seen = torch.maximum(_SEEN.get(left.dtype, 1e-3) * widest, _SEAM * scale)
    floor = torch.maximum(seen, 1e3 * torch.finfo(left.dtype).eps * (1.0 + scale))
    history = [gaps[rows, k].abs().amax(1)]
    for _ in range(_HALVINGS.get(left.dtype, 12)):
        middle = 0.5 * (a + b)
        at = _derivative(function, middle, along, order)
        defined &= torch.isfinite(at).all(1)
        on_left, on_right = (torch.nan_to_num(d).abs().amax(1) for d in (at - at_a, at_b - at))
        go_left = (on_left >= on_right)[:, None]
        a, b = torch.where(go_left, a, middle), torch.where(go_left, middle, b)
        at_a, at_b = torch.where(go_left, at_a, at), torch.where(go_left, at, at_b)
        history.append(torch.where(go_left[:, 0], on_left, on_right))
        if not bool((defined & (history[-1] > floor)).any()):
            return None
    left_over = history[-1]
    jump = defined & (left_over > floor) & (left_over > _STAYS * history[-1 - _LOOK_BACK])
    if not bool(jump.any()):
        return None
    best = int(torch.where(jump, left_over, torch.zeros_like(left_over)).argmax())
    return Jump(order, float(left_over[best]), (0.5 * (a[best] + b[best])).detach())


def _derivative(function: Rows, x: Tensor, along: Tensor, order: int) -> Tensor:
    """The function's derivative of an order along directions, as rows."""
    if order == 0:
        with torch.no_grad():
            value = function(x)
    elif order == 1:
        value = directional(function, x, along)
    else:
        value = second_directional(function, x, along, along)
    return value.detach().reshape(len(x), -1)


def _outstanding(gaps: Tensor) -> Tensor:
    """For each segment the piece whose difference is large and departs from the mean of its neighbours."""
    before = torch.cat((gaps[:, :1], gaps[:, :-1]), 1)
    after = torch.cat((gaps[:, 1:], gaps[:, -1:]), 1)
    departure = (gaps - 0.5 * (before + after)).abs().amax(2)
    # The neighbours of a jump depart from their mean as well, but do not jump themselves.
    return torch.minimum(departure, gaps.abs().amax(2)).argmax(1)
