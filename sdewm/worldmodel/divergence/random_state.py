"""A user's step may draw random numbers; looking at it must not change what is drawn afterwards."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def untouched(device: torch.device) -> Iterator[None]:
    """Put the global random states of torch, numpy and Python back on leaving.

    Example:
        >>> before = torch.get_rng_state()
        >>> with untouched(torch.device("cpu")):
        ...     _ = torch.randn(3)
        >>> torch.equal(torch.get_rng_state(), before)
        True
    """
    of_numpy, of_python = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            np.random.set_state(of_numpy)
            random.setstate(of_python)
