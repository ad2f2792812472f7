"""The arguments of `divergence`, made into tensors that fit each other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...dynamics.brownian import BrownianMotion
from ...dynamics.step_map import StepMap
from ...exceptions import InvalidArgument
from ...grid import TimeGrid
from ...theory.bounds.rollout import draw_normals
from ...validation import TensorLike, integer, one_of, positive, strings, tensor
from .driven import DrivenMap, call_of, home_of

# Without actions somebody has to say how long a rollout is.
HORIZON = 25


def start_states(step: Any, states: TensorLike) -> Tensor:
    """`states` as a float tensor (paths, dim) where the model lives.

    Raises:
        InvalidArgument: it is not of that kind.
    """
    dtype, device = home_of(step)
    if not isinstance(states, Tensor):
        # A plain array says nothing of the model's dtype; a tensor is taken at its word.
        array = tensor("states", states)
        states = array.to(device=device, dtype=dtype if dtype is not None and array.dtype.is_floating_point else None)
    if states.ndim != 2 or states.shape[1] < 1:
        shape = tuple(states.shape)
        raise InvalidArgument(f"states must be a tensor or an array (paths, dim), got {shape}; one row a start.")
    if states.layout != torch.strided or states.device.type == "meta":
        raise InvalidArgument(
            f"states must be a dense tensor that holds numbers, got {str(states.layout).removeprefix('torch.')} on "
            f"{states.device}."
        )
    if states.dtype not in (torch.float32, torch.float64):
        raise InvalidArgument(f"states must be float32 or float64, got {states.dtype}; pass states.float().")
    if len(states) < 2:
        raise InvalidArgument(
            f"states must have at least 2 rows, for intervals over states, got {len(states)}; 100 are better."
        )
    if not bool(states.isfinite().all()):
        raise InvalidArgument("states must be finite, got NaN or an infinity; leave out the rows that have one.")
    if isinstance(step, StepMap) and step.dim != states.shape[1]:
        raise InvalidArgument(f"states must have the {step.dim} columns of the step map, got {states.shape[1]}.")
    return states.detach().clone()


def driven_map(step: Any, states: Tensor, actions: Any, noise_dim: int, horizon: int | None, seed: int) -> DrivenMap:
    """The step with its actions and its noise.

    Raises:
        InvalidArgument: they do not fit the step or the states.
    """
    if not callable(step) and not isinstance(step, StepMap):
        raise InvalidArgument(f"step must be a callable or a StepMap, got {type(step).__name__}.")
    width = integer("noise_dim", noise_dim, least=0)
    if isinstance(step, StepMap):
        if width not in (0, step.noise_dim):
            raise InvalidArgument(f"noise_dim belongs to plain callables: the step map has {step.noise_dim} itself.")
        width = step.noise_dim
        if (actions is None) != (step.action_dim == 0):
            raise InvalidArgument(f"actions must be given if and only if the step map takes any, {step.action_dim}.")
    given = None if actions is None else _actions(actions, states)
    steps = HORIZON if given is None else len(given)
    if horizon is not None:
        steps = integer("horizon", horizon, least=1)
        if given is not None and steps > len(given):
            raise InvalidArgument(f"horizon must be at most the {len(given)} steps of actions, got {steps}.")
    if isinstance(step, StepMap) and step.action_dim and given is not None and given.shape[2] != step.action_dim:
        raise InvalidArgument(f"actions must have the {step.action_dim} columns of the step map, got {given.shape[2]}.")
    noise, grid = None, TimeGrid(steps, steps)
    if isinstance(step, StepMap) and width:
        noise = draw_normals(step, grid, len(states), seed).to(states)
    elif width:
        noise = BrownianMotion(seed, grid, width, "divergence: model").normals(len(states)).to(states)
    return DrivenMap(call_of(step), states.shape[1], steps, None if given is None else given[:steps], noise)


def _actions(actions: Any, states: Tensor) -> Tensor:
    given = tensor("actions", actions)
    shape = tuple(given.shape)
    if given.ndim == 2:
        given = given[:, None].expand(-1, len(states), -1)
    if given.ndim != 3 or given.shape[1] != len(states) or 0 in shape:
        raise InvalidArgument(
            f"actions must have shape (steps, paths, action) with {len(states)} paths, or (steps, action), got {shape}."
        )
    if given.is_complex() or not bool(given.isfinite().all()):
        raise InvalidArgument("actions must be finite real numbers; encode discrete ones as one-hot rows.")
    # A copy: a step that writes into its actions must not write into the caller's.
    return given.detach().to(states).clone()


def groups_of(groups: Any, paths: int) -> NDArray[np.int64]:
    """The number of each state's cluster; by default each state is one.

    Raises:
        InvalidArgument: there is not one label for each state, or only one label.
    """
    if groups is None:
        return np.arange(paths)
    try:
        labels = np.asarray(groups.detach().cpu() if isinstance(groups, Tensor) else groups)
    except ValueError as error:
        raise InvalidArgument(
            f"groups must have one label for each of {paths} states, got lists of several lengths."
        ) from error
    if labels.shape != (paths,):
        raise InvalidArgument(f"groups must have one label for each of {paths} states, got shape {labels.shape}.")
    if labels.dtype.kind == "O":
        raise InvalidArgument("groups must be numbers or strings, all of one kind, got a mixture of types.")
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise InvalidArgument("groups must name the group of each state, got NaN; number the groups.")
    _, cluster = np.unique(labels, return_inverse=True)
    if cluster.max() < 1:
        raise InvalidArgument("groups must name at least two groups: intervals need several that are independent.")
    return cluster.astype(np.int64)


def sizes_of(sizes: Any) -> tuple[float, ...]:
    """One size or several, increasing.

    Raises:
        InvalidArgument: there is none, or one is not above zero.
    """
    if isinstance(sizes, (np.ndarray, Tensor)):
        sizes = sizes.tolist()
    listed = tuple(sizes) if isinstance(sizes, Sequence) and not isinstance(sizes, str) else (sizes,)
    result = tuple(sorted({positive("sizes", size) for size in listed}))
    if not result:
        raise InvalidArgument("sizes must hold at least one number above zero, got none.")
    return result


def names_of(name: str, value: Any, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Some of the allowed names, each once, in the allowed order.

    Raises:
        InvalidArgument: there is none, or one is unknown.
    """
    given = strings(name, value)
    for each in given:
        one_of(name, each, allowed)
    if not given:
        raise InvalidArgument(f"{name} must name at least one of {', '.join(map(repr, allowed))}, got none.")
    return tuple(each for each in allowed if each in given)
