"""The noise of windows: that of one window does not depend on how many others there are."""

import torch
from torch import Tensor

from ..dynamics.brownian import generator

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
