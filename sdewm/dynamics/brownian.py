"""Brownian increments that depend on the seed, the purpose and the path only: noise format 1."""

import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from ..validation import integer

NOISE_FORMAT = 1
BLOCK = 1024
_CHUNK_NUMBERS = 1 << 18


def generator(seed: int, purpose: str, block: int = 0) -> torch.Generator:
    """A generator whose whole state is fixed by (seed, purpose, block).

    torch keeps only the low 32 bits of a seed, so that random seeds collide; here all 624 words of the Mersenne
    twister's state are set, from numpy's `SeedSequence`.

    Raises:
        InvalidArgument: the seed is not a whole number >= 0.
    """
    seed = integer("seed", seed, least=0)
    name = purpose.encode()
    # The seed may be longer than one word, so it comes last: no two keys then read alike.
    entropy = (zlib.crc32(name), zlib.adler32(name), len(name), block, seed)
    words = np.random.SeedSequence(entropy).generate_state(624, np.uint32)
    # torch's legacy layout: seed, left, seeded, next, 624 words of 64 bits, cached normals.
    state = np.zeros(5056, dtype=np.uint8)
    state[8:12].view(np.int32)[0] = 1
    state[12:16].view(np.int32)[0] = 1
    state[24 : 24 + 624 * 8].view(np.uint64)[:] = words
    result = torch.Generator()
    result.set_state(torch.from_numpy(state))
    return result


@final
@dataclass(frozen=True)
class BrownianMotion:
    """Increments of `dim` independent Brownian motions on a time grid, for any number of paths.

    Noise format 1: paths come in blocks of 1024; a block's normals are drawn in float32 by its own generator, step
    after step, in the order (step, path, column). So the noise of path i is the same to the bit for any number of
    paths, block order, worker count and state dtype, and on a longer grid of equal step index. (The sums of a coarsened
    motion are rounded in the state's dtype.)

    Args:
        seed: whole number >= 0.
        grid: time grid.
        dim: number of Brownian motions.
        purpose: noises for different purposes are independent.

    Warning:
        Bits also depend on the processor: torch's normals agree on AVX2 and AVX512 and differ without them.

    Example:
        >>> motion = BrownianMotion(seed=0, grid=TimeGrid(1.0, 4), dim=2)
        >>> motion.increments(3).shape
        torch.Size([4, 3, 2])
    """

    seed: int
    grid: TimeGrid
    dim: int
    purpose: str = "paths"
    factor: int = 1

    def __post_init__(self) -> None:
        integer("seed", self.seed, least=0)
        integer("dim", self.dim, least=1)
        integer("factor", self.factor, least=1)
        if not isinstance(self.grid, TimeGrid):
            raise InvalidArgument(f"grid must be a TimeGrid, got {type(self.grid).__name__}.")

    def coarsen(self, k: int) -> "BrownianMotion":
        """The same paths on every k-th grid time: its increments are sums of k of ours."""
        return replace(self, grid=self.grid.coarsen(k), factor=self.factor * k)

    def steps(self, block: int, dtype: torch.dtype = torch.float32) -> Iterator[Tensor]:
        """Standard normals (1024, dim) of one block of paths, step after step."""
        chunk = max(1, _CHUNK_NUMBERS // (BLOCK * self.dim * self.factor))
        whole, rest = divmod(self.grid.steps, chunk)
        for piece in self.pieces(block, dtype, [chunk] * whole + [rest] * bool(rest)):
            yield from piece

    def pieces(self, block: int, dtype: torch.dtype, counts: Iterable[int]) -> Iterator[Tensor]:
        """Standard normals (count, 1024, dim) of one block of paths for so many steps at a time."""
        source = generator(self.seed, self.purpose, block)
        for count in counts:
            # Every draw is a multiple of 16 numbers, so that torch's vectorised fill yields one stream for any counts.
            normals = torch.empty(count, self.factor, BLOCK, self.dim).normal_(generator=source).to(dtype)
            yield normals[:, 0] if self.factor == 1 else normals.sum(1) / self.factor**0.5

    def normals(self, paths: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """All standard normals as one tensor (steps, paths, dim)."""
        paths = integer("paths", paths, least=1)
        result = torch.empty(self.grid.steps, paths, self.dim, dtype=dtype)
        for block in range(-(-paths // BLOCK)):
            first, last = block * BLOCK, min((block + 1) * BLOCK, paths)
            for n, row in enumerate(self.steps(block, dtype)):
                result[n, first:last] = row[: last - first]
        return result

    def increments(self, paths: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Brownian increments √h ξ as one tensor (steps, paths, dim)."""
        return self.normals(paths, dtype) * math.sqrt(self.grid.h)
