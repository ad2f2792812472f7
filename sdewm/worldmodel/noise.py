"""The noise of windows, and the errors that are pushed into them: no window's depend on how many others there are."""

import torch
from torch import Tensor

from ..dynamics.brownian import generator
from ..exceptions import InvalidArgument
from .model import Pushed

# torch fills whole blocks of 16 numbers alike, wherever they begin; so that a longer window begins with a shorter one.
_BLOCK = 16


def window_normals(
    seed: int, purpose: str, length: int, windows: int, width: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Standard normals (length, windows, width); row n of window i depends on (seed, purpose, i, n) and `width` alone.

    Windows come in blocks of 16, each with a generator of its own, drawn in float32 step after step. `BrownianMotion`
    does the same in blocks of 1024, most of which a batch of some windows would throw away.

    Example:
        >>> few, many = (window_normals(0, "example", 5, k, 3) for k in (2, 40))
        >>> torch.equal(few, many[:, :2])
        True
    """
    blocks = [
        torch.empty(length, _BLOCK, width).normal_(generator=generator(seed, purpose, block))
        for block in range(-(-windows // _BLOCK))
    ]
    return torch.cat(blocks, dim=1)[:, :windows].to(dtype)


def pushes(pushed: Pushed, size: int, seed: int, length: int, windows: int, dtype: torch.dtype) -> Tensor:
    """What is added to x (windows, size) after each step, (length, windows, size)."""
    placed = placed_root(pushed, size, dtype)
    if pushed.direction is not None:
        return (placed @ pushed.direction.to(dtype)).expand(length, windows, size)
    return window_normals(seed, "pushed", length, windows, placed.shape[1], dtype).to(placed) @ placed.T


def placed_root(pushed: Pushed, size: int, dtype: torch.dtype) -> Tensor:
    """The root c T in the rows of its block, (size, block); the other rows are zero.

    Raises:
        InvalidArgument: the root is not square, or it or the direction is not as large as the block.
    """
    rows = torch.arange(size, device=pushed.root.device)[pushed.columns]
    direction = None if pushed.direction is None else tuple(pushed.direction.shape)
    if pushed.root.shape != (len(rows), len(rows)) or direction not in (None, (len(rows),)):
        raise InvalidArgument(
            f"pushed must have a root {(len(rows), len(rows))} and a direction ({len(rows)},) or None for the columns "
            f"{pushed.columns}, got {tuple(pushed.root.shape)} and {direction}."
        )
    root = pushed.root.to(dtype)
    return root.new_zeros(size, len(rows)).index_copy(0, rows, root)
