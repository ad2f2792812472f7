"""Seeds for the parts of a larger job."""

import zlib

import numpy as np

from ..validation import integer


def derived(seed: int, purpose: str, index: int = 0) -> int:
    """A seed of 64 bits that is fixed by (seed, purpose, index): different parts never share noise by accident.

    Raises:
        InvalidArgument: seed or index is not a whole number >= 0.
    """
    entropy = (integer("seed", seed, least=0), zlib.crc32(purpose.encode()), integer("index", index, least=0))
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
