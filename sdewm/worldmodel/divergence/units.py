"""The units in which an error is injected and measured: raw, or those of the states' own spread."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

RAW, WHITENED = "raw", "whitened"
UNITS = (RAW, WHITENED)

# A column whose spread is at most this many roundings of its size is taken for constant.
_ROUNDINGS = 100.0


@final
@dataclass(frozen=True, eq=False)
class Unit:
    """An error c T ω is injected, and T⁺ e is measured, root mean square a direction.

    Attributes:
        name: "raw" or "whitened".
        root: T, (columns, columns), float64.
        inverse: its pseudo-inverse T⁺.
        completed: an invertible matrix that is T on its support; directions without spread keep their own units there.
        rank: number of directions with spread.
        constant: columns without any.
    """

    name: str
    root: Tensor
    inverse: Tensor
    completed: Tensor
    rank: int
    constant: tuple[int, ...] = ()

    def squares(self, e: Tensor) -> Tensor:
        """|T⁺ e|² / rank of each row, (…, columns) to (…,)."""
        return (e @ self.inverse.T).square().sum(-1) / self.rank


def raw_unit(columns: int) -> Unit:
    """T = I.

    Example:
        >>> raw_unit(2).squares(torch.tensor([[3.0, 4.0]]).double())
        tensor([12.5000], dtype=torch.float64)
    """
    one = torch.eye(columns, dtype=torch.float64)
    return Unit(RAW, one, one, one, columns)


def whitened_unit(states: Tensor, digits: float) -> Unit:
    """T = D R^½ with D the standard deviations of the columns and R their correlations, so that T Tᵀ is the covariance.

    |T⁻¹e|² = eᵀC⁻¹e is the same for any root of C. This one has the symmetric root of R in place of that of C: then
    another scale of a column changes nothing at all, path by path, and which directions have spread is judged on
    numbers of size one. A covariance that is singular is inverted on its support.

    Args:
        states: (…, columns), whose spread is meant.
        digits: relative rounding error of the states.

    Source: Kessy, Lewin, Strimmer, The American Statistician 72 (2018), "ZCA-cor".

    Example:
        >>> unit = whitened_unit(torch.tensor([[1.0, 5.0], [-1.0, 5.0], [3.0, 5.0]]), 1e-7)
        >>> unit.rank, unit.constant
        (1, (1,))
    """
    x = states.flatten(0, -2).double()
    mean = x.mean(0)
    deviation = (x - mean).square().mean(0).sqrt()
    spread = deviation > _ROUNDINGS * digits * x.abs().amax(0)
    d = torch.where(spread, deviation, torch.ones_like(deviation))
    z = torch.where(spread, (x - mean) / d, torch.zeros_like(x))
    values, vectors = torch.linalg.eigh(z.T @ z / len(z))
    kept = values > _ROUNDINGS * digits * len(d)
    size = torch.where(kept, values, torch.zeros_like(values)).sqrt()
    back = torch.where(kept, 1.0 / torch.where(kept, size, torch.ones_like(size)), torch.zeros_like(size))
    root = d[:, None] * ((vectors * size) @ vectors.T)
    inverse = ((vectors * back) @ vectors.T) / d
    completed = d[:, None] * ((vectors * torch.where(kept, size, torch.ones_like(size))) @ vectors.T)
    constant = tuple((~spread).nonzero().flatten().tolist())
    return Unit(WHITENED, root, inverse, completed, int(kept.sum()), constant)


def column_sizes(states: Tensor) -> Tensor:
    """The spread of each column of states (…, columns), or its size where it has none; above zero, on the CPU.

    Example:
        >>> column_sizes(torch.tensor([[1.0, 5.0, 0.0], [-1.0, 5.0, 0.0]]))
        tensor([1.4142, 5.0000, 1.0000], dtype=torch.float64)
    """
    x = states.flatten(0, -2).cpu().double()
    size = x.abs().amax(0)
    size = torch.where(size > 0.0, size, torch.ones_like(size))
    # Divided first, so that no square leaves the numbers.
    spread = (x / size).std(0)
    return size * torch.where(spread > 1e-6, spread, torch.ones_like(spread))
