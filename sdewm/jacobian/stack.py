"""Networks side by side, each of which reads some coordinates of the state."""

from dataclasses import dataclass
from typing import final

from torch import nn


@final
@dataclass(frozen=True)
class NetworkStack:
    """x ↦ (N_1(x[columns_1]), …, N_p(x[columns_p])) + shift ∘ x: what a model made of networks says of its shape.

    Args:
        parts: a module with, for each of its inputs, the coordinate that it reads, or None for an input from outside
            such as an action.
        shift: multiple of each coordinate that is added, (dim,); empty for none.

    Example:
        >>> NetworkStack(((nn.Linear(2, 1), (0, None)),), shift=(-1.0,)).shift
        (-1.0,)
    """

    parts: tuple[tuple[nn.Module, tuple[int | None, ...]], ...]
    shift: tuple[float, ...] = ()
