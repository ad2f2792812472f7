"""The sum of all noise of a path: what control variates are made of."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from .member import Member, State, columns_of, only


@final
@dataclass(frozen=True)
class TotalNoise:
    """A member of a coupled simulation: W_T / √T of every noise column of another member, (paths, columns).

    Columns are the base's noise, then the error's own: for correlated noise the ζ that is independent of the base's.

    Args:
        of: the member whose noise it is; a member of its own must come before it, whose start is that of the run.

    Example:
        >>> from sdewm.drifts import Linear
        >>> from sdewm.dynamics import simulate_coupled
        >>> from sdewm.grid import TimeGrid
        >>> base = Linear(a=-1.0, b=0.5)
        >>> run = simulate_coupled({"x": base, "w": TotalNoise(base)}, 1.0, TimeGrid(1.0, 4), paths=8)
        >>> run["w"].final.shape
        torch.Size([8, 1])
    """

    of: Any


def total_noise_member(of: Member, steps: int) -> Member:
    """The running sum of the normals that `of` is driven by, over √steps."""
    width = sum(columns for _, columns in of.noise)
    weight = steps**-0.5

    def start(x: Tensor, first: int) -> State:
        return (x.new_zeros(len(x), width),)

    def advance(n: int, state: State, noise: tuple[Tensor, ...], a: Tensor | None) -> State:
        return (torch.add(state[0], columns_of(noise), alpha=weight),)

    return Member(of.noise, start, advance, only)


def hermite(total: Tensor) -> list[Tensor]:
    """w and (w² − 1)/√2 of every column w of a `TotalNoise` (paths, columns): means 0, variances 1, uncorrelated."""
    return [*total.unbind(1), *((total**2 - 1.0) * 0.5**0.5).unbind(1)]
