"""Derivatives between two coupled paths, where the constants of a bound are taken."""

from collections.abc import Callable

import torch
from torch import Tensor

from ...exceptions import InvalidArgument
from ...jacobian.norms import frobenius_squared, jacobians, log_norm, spectral_norm
from ...validation import integer

# Rows (states) to an array (paths, dim) or (paths, dim, columns).
Field = Callable[[Tensor, Tensor | None], Tensor]
# So many rows are differentiated at once.
_ROWS = 4096


def segment_points(x: Tensor, y: Tensor, points: int) -> Tensor:
    """x + θ (y − x) at θ = 0, 1/(points − 1), …, 1, one after the other.

    The ends alone are not enough: with dx = x − x³ from ±1 the slope is −2 at both ends of every segment, and yet the
    distance never shrinks, since it is +1 in the middle.

    Args:
        x, y: states (paths, dim).
        points: 3 or more; an odd number has the middle among them.

    Returns:
        (points · paths, dim).

    Raises:
        InvalidArgument: the shapes differ, or there are fewer than 3 points.

    Example:
        >>> segment_points(torch.tensor([[-1.0]]), torch.tensor([[1.0]]), 3).flatten().tolist()
        [-1.0, 0.0, 1.0]
    """
    integer("points", points, least=3)
    if x.shape != y.shape or x.ndim != 2 or not len(x):
        raise InvalidArgument(f"both states must have shape (paths, dim), got {tuple(x.shape)} and {tuple(y.shape)}.")
    theta = torch.linspace(0.0, 1.0, points, dtype=x.dtype, device=x.device)
    inner = x + theta[1:-1, None, None] * (y - x)
    return torch.cat((x[None], inner, y[None])).reshape(-1, x.shape[1])


def jacobian_suprema(field: Field, x: Tensor, actions: Tensor | None = None) -> dict[str, float]:
    """The largest "mu" (of square Jacobians), "spectral" and "frobenius" norm of a field's Jacobian over rows.

    Args:
        field: of states (paths, dim) and actions (paths, action_dim) or None, returning (paths, dim_out).
        x: states (paths, dim).
        actions: (paths, action_dim), or None.

    Raises:
        NumericalFailure: a Jacobian is not finite.
    """
    found: dict[str, float] = {}
    for first in range(0, len(x), _ROWS):
        rows = slice(first, first + _ROWS)
        matrices = _jacobians(field, x[rows], None if actions is None else actions[rows])
        largest = {"spectral": spectral_norm(matrices), "frobenius": frobenius_squared(matrices).sqrt()}
        if matrices.shape[1] == matrices.shape[2]:
            largest["mu"] = log_norm(matrices)
        for name, values in largest.items():
            found[name] = max(found.get(name, -torch.inf), float(values.max()))
    return found


def lowered(values: dict[str, float], x: Tensor) -> dict[str, float]:
    """Norms less what rounding may have added: 16 (dim + 4) units of the dtype, of the spectral norm.

    A norm of a constant Jacobian is easily seen one unit above its exact value, and far more so in float32; what is
    said to be reached must not contradict what is proved never to be exceeded.
    """
    part = 16.0 * (x.shape[1] + 4) * float(torch.finfo(x.dtype).eps)
    size = values.get("spectral", 0.0)
    return {name: value - part * (size if name == "mu" else value) for name, value in values.items()}


def column_supremum(field: Field, x: Tensor, actions: Tensor | None = None) -> float:
    """The largest λ_max(Σ_k G_kᵀG_k)^½ of a field's columns, the joint Lipschitz constant Λ over rows.

    Diagonal noise (paths, dim) stands for columns g_k e_k. For either kind Σ_k G_kᵀG_k = JᵀJ, with J the Jacobian of
    all entries put in one vector.
    """
    return jacobian_suprema(lambda y, a: field(y, a).flatten(1), x, actions)["spectral"]


def _jacobians(field: Field, x: Tensor, actions: Tensor | None) -> Tensor:
    if actions is None:
        return jacobians(lambda y: field(y, None), x.detach()).detach()
    dim = x.shape[1]
    both = torch.cat((x, actions.to(x)), 1).detach()
    return jacobians(lambda y: field(y[:, :dim], y[:, dim:]), both, slice(0, dim)).detach()
