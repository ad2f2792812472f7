"""A batched step, linearised at its rows: one graph, and as many products with J and Jᵀ as wanted."""

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument, NumericalFailure
from ..validation import TensorLike, tensor

Step = Callable[[Tensor], Tensor]


def state_of(step: Any, x: TensorLike) -> Tensor:
    """`x` as a tensor: a plain array in the dtype, and on the device, of the step's weights where it has any.

    Raises:
        InvalidArgument: it does not hold numbers.
    """
    if isinstance(x, Tensor):
        return x
    weights = (w for w in getattr(getattr(step, "cell", step), "parameters", tuple)() if w.is_floating_point())
    like, given = next(weights, None), tensor("x", x)
    if given.is_complex():
        return given
    return given.to(torch.float64) if like is None else given.to(dtype=like.dtype, device=like.device)


def checked_state(x: Tensor) -> Tensor:
    """`x` if it is a float32 or float64 tensor (paths, dim) with at least one row and column.

    Raises:
        InvalidArgument: it is not.
    """
    if not isinstance(x, Tensor) or x.ndim != 2 or x.numel() == 0 or x.dtype not in (torch.float32, torch.float64):
        given = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise InvalidArgument(f"x must be a float32 or float64 tensor (paths, dim), got {given}; add a row dimension.")
    return x


def checked_value(y: Tensor, x: Tensor) -> Tensor:
    """`y` if it has one row for each row of `x`.

    Raises:
        InvalidArgument: it does not.
    """
    if not isinstance(y, Tensor) or y.ndim != 2 or len(y) != len(x) or y.dtype != x.dtype:
        given = f"{y.dtype} {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise InvalidArgument(
            f"step must map (paths, dim) to (paths, dim_out) in the dtype of x, got {given} for {x.dtype} "
            f"{tuple(x.shape)}; flatten or cast its output."
        )
    return y


def checked_finite(values: Tensor) -> Tensor:
    """`values` (paths, ...) if all are finite: an eigenvalue routine would fail without a row or a reason.

    Raises:
        NumericalFailure: they are not.
    """
    bad = ~values.detach().flatten(1).isfinite().all(1)
    if bool(bad.any()):
        rows = bad.nonzero().flatten()
        raise NumericalFailure(
            f"the step's Jacobian is not finite in {len(rows)} of {len(bad)} rows, first in row {int(rows[0])}.",
            path=int(rows[0]),
            count=len(rows),
        )
    return values


@final
class Linearised:
    """y = step(x), and the products v → J v and u → Jᵀ u of every row, by double backpropagation.

    Args:
        step: (paths, dim) to (paths, dim_out), each row apart from the others.
        x: (paths, dim).

    Raises:
        InvalidArgument: `step` does not map rows to rows.

    Warning:
        That rows do not mix (no batch normalisation) is not checked.

    Example:
        >>> line = Linearised(lambda x: x**2, torch.tensor([[3.0, 1.0]]))
        >>> line.push(torch.tensor([[1.0, 1.0]]))
        tensor([[6., 2.]])
    """

    def __init__(self, step: Step, x: Tensor) -> None:
        self.keep = torch.is_grad_enabled()
        with torch.enable_grad():
            self.x = x if self.keep and x.requires_grad else x.detach().requires_grad_()
            self.y = checked_value(step(self.x), x)
        self._transposed: tuple[Tensor, Tensor] | None = None

    @property
    def value(self) -> Tensor:
        """step(x), with gradients where they are enabled."""
        return self.y if self.keep else self.y.detach()

    def push(self, v: Tensor, keep: bool = False) -> Tensor:
        """J v, (paths, dim) to (paths, dim_out); differentiable if `keep`."""
        with torch.enable_grad():
            if self._transposed is None:
                # Jᵀ u is linear in u, so that its gradient by u along v is J v.
                dual = torch.zeros_like(self.y, requires_grad=True)
                self._transposed = dual, self._grad(self.y, self.x, dual, True)
            dual, pulled = self._transposed
            return self._grad(pulled, dual, v, keep)

    def pull(self, u: Tensor, keep: bool = False) -> Tensor:
        """Jᵀ u, (paths, dim_out) to (paths, dim); differentiable if `keep`."""
        with torch.enable_grad():
            return self._grad(self.y, self.x, u, keep)

    @staticmethod
    def _grad(value: Tensor, by: Tensor, along: Tensor, keep: bool) -> Tensor:
        if not value.requires_grad:
            return torch.zeros_like(by)
        return torch.autograd.grad(
            value, by, along, create_graph=keep, retain_graph=True, allow_unused=True, materialize_grads=True
        )[0]
