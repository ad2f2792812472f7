"""Exact norms of the Jacobian of a batched step, row by row: for diagnosis, and as the truth for estimates."""

import warnings
from typing import cast

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from ..exceptions import InvalidArgument, SlowFallbackWarning
from ..validation import TensorLike, tensor
from .linear import Linearised, Step, checked_finite, checked_state, checked_value, state_of
from .probes import Columns, selected


def jacobians(step: Step, x: Tensor, of: Columns = None) -> Tensor:
    """∂step(x)/∂x of every row, exactly.

    By `vmap(jacrev)`; where the step does not go through `vmap` (it looks at its data, or draws noise), by one backward
    pass for each output, with a warning.

    Args:
        step: (paths, dim) to (paths, dim_out), each row apart from the others.
        x: (paths, dim), float32 or float64.
        of: the columns of x to differentiate by: a number, a slice, or whole numbers; by default all.

    Returns:
        (paths, dim_out, selected), differentiable where gradients are enabled.

    Raises:
        InvalidArgument: `x`, `of` or the step's value is not of the shape above.

    Warning:
        That rows do not mix is not checked. Under `vmap` a step sees one row, so that batch statistics differ.

    Example:
        >>> jacobians(lambda x: x**2, torch.tensor([[3.0, 1.0]]))
        tensor([[[6., 0.],
                 [0., 2.]]])
    """
    x = state_of(step, x)
    columns = selected(of, checked_state(x).shape[1])
    try:
        full = cast(Tensor, vmap(jacrev(lambda row: checked_value(step(row[None]), row[None])[0]))(x))
    except (RuntimeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:120]
        said = f"no vmap through the step, looping over its outputs instead ({reason})"
        warnings.warn(said, SlowFallbackWarning, stacklevel=2)
        full = _looped(step, x)
    return full if columns is None else full[:, :, columns.to(x.device)]


def frobenius_squared(matrices: TensorLike) -> Tensor:
    """‖J‖_F² = Σ J_ij² of each matrix, (paths, dim_out, dim) to (paths,).

    Example:
        >>> frobenius_squared(torch.tensor([[[1.0, 2.0], [0.0, 2.0]]]))
        tensor([9.])
    """
    return _matrices(matrices).square().sum((1, 2))


def spectral_norm(matrices: TensorLike) -> Tensor:
    """‖J‖₂ = max |J v| / |v| of each matrix, (paths, dim_out, dim) to (paths,).

    Raises:
        InvalidArgument: `matrices` does not have three axes.
        NumericalFailure: an entry is not finite.

    Example:
        >>> spectral_norm(torch.tensor([[[0.0, 3.0], [0.0, 0.0]]]))
        tensor([3.])
    """
    return cast(Tensor, torch.linalg.matrix_norm(checked_finite(_matrices(matrices)), 2))


def log_norm(matrices: TensorLike) -> Tensor:
    """λ_max((J + Jᵀ)/2) of each square matrix, (paths, dim, dim) to (paths,).

    Of a drift's Jacobian it is the one-sided growth rate μ: |x − y| grows no faster than e^{μt}. Of a step's Jacobian
    I + hA it is 1 + hμ(A).

    Raises:
        InvalidArgument: the matrices are not square.
        NumericalFailure: an entry is not finite.

    Example:
        >>> log_norm(torch.tensor([[[-1.0, 2.0], [-2.0, -3.0]]]))
        tensor([-1.])
    """
    square = checked_finite(_square(_matrices(matrices)))
    return cast(Tensor, torch.linalg.eigvalsh(0.5 * (square + square.mT)))[:, -1]


def _looped(step: Step, x: Tensor) -> Tensor:
    line = Linearised(step, x)
    units = torch.eye(line.y.shape[1], dtype=x.dtype, device=x.device)
    return torch.stack([line.pull(unit.expand_as(line.y), line.keep) for unit in units], 1)


def _matrices(matrices: TensorLike) -> Tensor:
    given = tensor("matrices", matrices)
    if given.ndim != 3:
        shape = tuple(given.shape)
        raise InvalidArgument(f"matrices must have shape (paths, dim_out, dim), got {shape}; take them by `jacobians`.")
    return given


def _square(matrices: Tensor) -> Tensor:
    if matrices.shape[1] != matrices.shape[2]:
        raise InvalidArgument(
            f"the log-norm needs as many outputs as columns, got {matrices.shape[1]} of {matrices.shape[2]}; choose "
            f"columns by `of`."
        )
    return matrices
