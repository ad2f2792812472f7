"""Starts and actions of an ensemble, from the forms in which a user may give them."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from ..validation import TensorLike, integer, tensor
from .categorical import CategoricalMap
from .step_map import StepMap
from .system import other_names, system_dtype

MAPS = (StepMap, CategoricalMap)
Start = float | Tensor | NDArray[Any] | list[Any] | tuple[Any, ...]


def start_states(x0: Start, system: Any, paths: int | None, dtype: torch.dtype | None = None) -> tuple[Tensor, int]:
    """x0 as a finite floating tensor (dim,) or (paths, dim), and the number of paths.

    Args:
        x0: a number (where the system knows its `dim`), a vector (dim,), or states (paths, dim).
        system: the system that starts there.
        paths: number of paths; may be None where x0 has one row a path.
        dtype: the dtype of the states; by default that of a tensor x0, else the system's own.

    Raises:
        InvalidArgument: the shape, the values or the number of paths do not fit.
    """
    if not isinstance(system, (type, *MAPS)) and hasattr(system, "f") != hasattr(system, "g"):
        there, missing = ("f", "g") if hasattr(system, "f") else ("g", "f")
        if not hasattr(system, "f_and_g"):
            raise InvalidArgument(
                f"system must be an SDE with f and g, but {type(system).__name__} has {there} and no {missing}"
                f"{other_names(system)}."
            )
    if isinstance(system, type) or not (isinstance(system, MAPS) or _has_fields(system)):
        what = f"the class {system.__name__}; make an instance of it" if isinstance(system, type) else repr(system)[:80]
        raise InvalidArgument(f"system must be an SDE with f and g, or a StepMap, got {what}{other_names(system)}.")
    if dtype is not None and not (isinstance(dtype, torch.dtype) and (dtype.is_floating_point or dtype.is_complex)):
        raise InvalidArgument(f"dtype must be a floating torch dtype such as torch.float64, got {dtype!r}.")
    given = tensor("x0", x0)
    if given.is_complex() or (dtype and dtype.is_complex):
        raise InvalidArgument("x0 and dtype must be real, got complex ones; split real and imaginary parts.")
    if dtype is None:
        own = system.dtype or torch.float64 if isinstance(system, MAPS) else system_dtype(system)
        dtype = x0.dtype if isinstance(x0, Tensor) and x0.is_floating_point() else own
    x = given.to(dtype)
    dim = getattr(system, "dim", None)
    if x.ndim == 0:
        if not isinstance(dim, int):
            raise InvalidArgument(f"x0 must be a vector or a tensor: {type(system).__name__} does not state its dim.")
        x = x.expand(dim)
    if x.ndim not in (1, 2) or (isinstance(dim, int) and x.shape[-1] != dim):
        wanted = "dim" if not isinstance(dim, int) else str(dim)
        raise InvalidArgument(f"x0 must have shape ({wanted},) or (paths, {wanted}), got {tuple(x.shape)}.")
    if not bool(torch.isfinite(x).all()):
        raise InvalidArgument("x0 must be finite, but some entries are NaN or infinite.")
    if paths is None:
        if x.ndim == 1:
            raise InvalidArgument("paths is needed unless x0 has one row a path; pass paths=... .")
        paths = len(x)
    paths = integer("paths", paths, least=1)
    if x.ndim == 2 and len(x) != paths:
        raise InvalidArgument(f"x0 has {len(x)} rows, but paths is {paths}; make them equal or give one vector.")
    return x, paths


def has_rows(x0: Start) -> bool:
    """Whether x0 has one row a path."""
    return tensor("x0", x0).ndim == 2


def on_device(x: Tensor, device: str | torch.device | None, system: Any) -> Tensor:
    """The start on the device that is asked for; by default on that of x0, or of the system's parameters.

    Raises:
        InvalidArgument: there is no such device.
    """
    if device is None:
        held = next(iter(system.parameters()), None) if isinstance(system, nn.Module) else None
        return x if held is None or x.device.type != "cpu" else x.to(held.device)
    try:
        return x.to(torch.device(device))
    except (RuntimeError, AssertionError, TypeError) as error:
        first_line = str(error).partition("\n")[0]
        raise InvalidArgument(
            f"device must be one that is there, such as 'cpu', got {device!r}: {first_line}."
        ) from error


def _has_fields(system: Any) -> bool:
    return all(hasattr(system, name) for name in ("f", "g")) or hasattr(system, "f_and_g")


def rows(value: Tensor, first: int, count: int) -> Tensor:
    """Rows first … first + count − 1 of a per-path tensor, the last one repeated, or one vector for all."""
    if value.ndim == 1:
        return value.expand(count, -1).clone()
    if first == 0 and count == len(value):
        return value
    return value[torch.arange(first, first + count).clamp(max=len(value) - 1)]


def check_actions(actions: TensorLike | None, grid: TimeGrid, paths: int) -> Tensor | None:
    """Actions of shape (steps, action_dim), or (steps, paths, action_dim), held over each step.

    Raises:
        InvalidArgument: the shape does not fit the grid and the number of paths, or a value is not finite.
    """
    if actions is None:
        return None
    actions = tensor("actions", actions)
    fits = actions.ndim in (2, 3) and len(actions) == grid.steps
    if not fits or (actions.ndim == 3 and actions.shape[1] != paths):
        raise InvalidArgument(
            f"actions must have shape (steps, action_dim) or (steps, paths, action_dim) with steps = {grid.steps} and "
            f"paths = {paths}, got {tuple(actions.shape)}."
        )
    if actions.is_complex():
        raise InvalidArgument("actions must be real, got complex ones.")
    if not bool(torch.isfinite(actions).all()):
        raise InvalidArgument("actions must be finite, but some entries are NaN or infinite.")
    return actions


def check_initial_error(initial: Any, paths: int) -> None:
    """A tensor η with one row a path must have as many rows as there are paths."""
    if isinstance(initial, Tensor) and initial.ndim == 2 and len(initial) not in (1, paths):
        raise InvalidArgument(f"initial has {len(initial)} rows, but paths is {paths}; make them equal.")
