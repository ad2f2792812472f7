"""Random signs that the Hutchinson estimates multiply a Jacobian by.

Every design has E[v vᵀ] = I for each row, so that E|Jv|² = ‖J‖_F² for each. What they differ in is how the rows of a
batch go together:

- "independent": every row has its own signs.
- "orthogonal": v_i = s ∘ H_{k(i)}, with one vector s of random signs for the whole batch and the rows H_k of a Hadamard
  matrix in turn. Σ_k H_k H_kᵀ is a multiple of I, so that over a full turn the part of JᵀJ that all rows share is
  measured without noise; and there are only as many different probes as columns, rounded up to a power of two.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ..dynamics.brownian import generator
from ..exceptions import InvalidArgument
from ..validation import integer

DESIGNS = ("orthogonal", "independent")
Columns = int | slice | Sequence[int] | Tensor | None


def source(seed: int, draw: int, purpose: str = "probes") -> torch.Generator:
    """The private generator of step `draw` of a training run with `seed`."""
    return generator(integer("seed", seed, least=0), f"jacobian {purpose}", integer("draw", draw, least=0))


def signs(rows: int, columns: int, noise: torch.Generator, like: Tensor) -> Tensor:
    """Independent random signs (rows, columns), eight for each random byte."""
    count = rows * columns
    bytes_ = torch.empty(-(-count // 8), dtype=torch.uint8).random_(0, 256, generator=noise)
    return _unpacked().to(like.dtype)[bytes_.long()].flatten()[:count].view(rows, columns).to(like.device)


def orthogonal(rows: int, columns: int, noise: torch.Generator, like: Tensor) -> Tensor:
    """Probes of the orthogonal design, (at most rows, columns): a full turn where it is shorter than that.

    They are rows of a Hadamard matrix, H_kj = (−1)^(number of ones in the binary k & j), from a random one on.
    """
    size = 1 << (columns - 1).bit_length()
    start = int(torch.randint(size, (), generator=noise))
    bits = ((start + torch.arange(min(rows, size))) % size)[:, None] & torch.arange(columns)
    for shift in (32, 16, 8, 4, 2, 1):
        bits = bits ^ (bits >> shift)
    table = (1 - 2 * (bits & 1)).to(like)
    return table * signs(1, columns, noise, like)


def selected(of: Columns, dim: int) -> Tensor | None:
    """Whole numbers of the chosen columns, or `None` for all of them.

    Raises:
        InvalidArgument: `of` is none of the allowed kinds, is empty, repeats a column, or leaves 0 to dim − 1.
    """
    if of is None:
        return None
    if isinstance(of, slice):
        listed = list(range(dim)[of])
    elif isinstance(of, Tensor) and of.dtype == torch.bool:
        raise InvalidArgument("of must hold whole numbers, got a mask; pass mask.nonzero().flatten().")
    else:
        items = of.flatten().tolist() if isinstance(of, Tensor) else list(of) if isinstance(of, Sequence) else [of]
        listed = [integer("of", item, least=-dim) for item in items]
    if not listed or max(listed) >= dim or len({item % dim for item in listed}) < len(listed):
        raise InvalidArgument(
            f"of must name at least one of the {dim} columns of x and none twice, got {of!r}; pass a slice or a list."
        )
    return torch.tensor([item % dim for item in listed])


def embedded(v: Tensor, columns: Tensor | None, dim: int) -> Tensor:
    """Directions (rows, selected) as directions (rows, dim), zero elsewhere."""
    if columns is None:
        return v
    result = torch.zeros(len(v), dim, dtype=v.dtype, device=v.device)
    result[:, columns.to(v.device)] = v
    return result


def restricted(v: Tensor, columns: Tensor | None) -> Tensor:
    """The chosen columns of (rows, dim)."""
    return v if columns is None else v[:, columns.to(v.device)]


@lru_cache(maxsize=1)
def _unpacked() -> Tensor:
    return 1.0 - 2.0 * ((torch.arange(256)[:, None] >> torch.arange(8)) & 1).to(torch.float32)
