"""A user's step may draw random numbers, and remember; looking at it must not change what it does afterwards."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn


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


@contextmanager
def kept_buffers(*callables: Any) -> Iterator[None]:
    """Put the buffers of modules (running means, counters, a remembered state) back on leaving.

    Of callables that are modules, or methods of one; what other callables remember cannot be seen.

    Example:
        >>> norm = nn.BatchNorm1d(2)
        >>> with kept_buffers(norm):
        ...     _ = norm(torch.ones(3, 2))
        >>> norm.running_mean
        tensor([0., 0.])
    """
    owners = [getattr(each, "__self__", each) for each in callables]
    modules = [module for owner in owners if isinstance(owner, nn.Module) for module in owner.modules()]
    before = [
        (module, name, b, b.clone()) for module in modules for name, b in module._buffers.items() if b is not None
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for module, name, buffer, value in before:
                module._buffers[name] = buffer
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
