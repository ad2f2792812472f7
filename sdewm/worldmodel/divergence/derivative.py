"""The Jacobian of a driven map, as products and as matrices, by whatever mode of differentiation goes through it."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor
from torch.func import jvp

from ...exceptions import Refused
from ...jacobian import jacobians
from ...jacobian.linear import Linearised

Rows = Callable[[Tensor], Tensor]

WITHOUT = "pass jacobians=False for the measured growth alone."


def pushed(function: Rows, x: Tensor, tangents: list[Tensor], what: str = "step") -> list[Tensor]:
    """J v of each row for several v, (paths, dim) each.

    By double backpropagation, and by forward differentiation where that is not to be had (fused recurrent kernels): in
    this order, since what detaches values in reverse mode need not do so in forward mode, and matrices are taken in
    reverse mode.

    Raises:
        Refused: neither goes through the function.

    Example:
        >>> pushed(lambda x: x**2, torch.tensor([[3.0]]), [torch.tensor([[1.0]])])
        [tensor([[6.]])]
    """
    try:
        with torch.no_grad():
            line = Linearised(function, x)
            products = [line.push(v).detach() for v in tangents]
            if not any(bool(p.any()) for p in products) and bool(line.pull(torch.ones_like(line.y)).any()):
                # Backpropagation that is cut at its second turn gives zeros, and no error.
                raise RuntimeError("its backward pass is not differentiable itself")
            return products
    except (RuntimeError, NotImplementedError) as reverse:
        try:
            with torch.no_grad():
                return [jvp(function, (x,), (v,))[1] for v in tangents]
        except (RuntimeError, NotImplementedError) as forward:
            raise Refused(
                f"{what} cannot be differentiated, neither by double backpropagation ({_first(reverse)}) nor in "
                f"forward mode ({_first(forward)}): {WITHOUT}"
            ) from forward


@final
class Matrices:
    """Jacobians of driven maps, by vmap, or in a loop over outputs once vmap has failed.

    Attributes:
        looped: why they are taken in a loop, or None.
    """

    def __init__(self) -> None:
        self.looped: str | None = None

    def of(self, function: Rows, x: Tensor, columns: int) -> Tensor:
        """∂ function / ∂ the first columns of x, (paths, outputs, columns), float64 on the CPU.

        Raises:
            Refused: the function cannot be differentiated.
        """
        try:
            if self.looped is not None:
                return _loop(function, x)[:, :, :columns].detach().cpu().double()
            with self.watched(), torch.no_grad():
                return jacobians(function, x, slice(columns)).detach().cpu().double()
        except (RuntimeError, NotImplementedError) as error:
            raise Refused(f"step cannot be differentiated ({_first(error)}): {WITHOUT}") from error

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note that vmap failed in place of a warning each time."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for each in caught:
            if "no vmap" in str(each.message):
                self.looped = self.looped or str(each.message).partition("(")[2].rstrip(")")
            elif "performance drop" not in str(each.message):
                warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


def _loop(function: Rows, x: Tensor) -> Tensor:
    with torch.no_grad():
        line = Linearised(function, x)
        units = torch.eye(line.y.shape[1], dtype=x.dtype, device=x.device)
        return torch.stack([line.pull(unit.expand_as(line.y)) for unit in units], 1)


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
