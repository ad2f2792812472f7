"""What the engine runs: a start and a step on tuples of tensors, with its groups of noise columns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from .step_error import StepError
from .step_map import StepMap, euler_map
from .system import check_system

State = tuple[Tensor, ...]


@final
@dataclass(frozen=True)
class Member:
    """One member in the engine's form: its noise groups, its start and its step on tuples of tensors.

    Attributes:
        noise: (purpose, width) of its groups of noise columns.
        start: from the base's start and the index of its first path to a state.
        advance: (n, state, normals of each group, actions) to the next state; n is a whole number, or in code that is
            being compiled a tensor that stands for one.
        public: the state as an observer sees it.
    """

    noise: tuple[tuple[str, int], ...]
    start: Callable[[Tensor, int], State]
    advance: Callable[[Any, State, tuple[Tensor, ...], Tensor | None], State]
    public: Callable[[State], Any]


def only(state: State) -> Tensor:
    """The one tensor of a state."""
    return state[0]


def base_and_own(noise: tuple[Tensor, ...], error: StepError) -> tuple[Tensor, Tensor | None]:
    """The base's normals ξ, and the error's own ζ where it has any: they are the last group."""
    return (columns_of(noise[:-1]), noise[-1]) if error.own_dim else (columns_of(noise), None)


def columns_of(noise: tuple[Tensor, ...]) -> Tensor:
    """The groups of normals side by side."""
    return noise[0] if len(noise) == 1 else torch.cat(noise, dim=1)


def check_action_columns(action_dim: int, a: Tensor | None) -> None:
    """Actions must have as many columns as the map takes.

    Raises:
        InvalidArgument: they have not.
    """
    if (a is None) != (action_dim == 0) or (a is not None and a.shape[1] != action_dim):
        got = "none" if a is None else f"{a.shape[1]}"
        raise InvalidArgument(f"actions must have {action_dim} columns for this step map, got {got}.")


def step_map_of(system: Any, probe: Tensor, a: Tensor | None, grid: TimeGrid) -> StepMap:
    """The step of a system on a grid, checked at the states `probe`.

    Raises:
        InvalidArgument: a shape, dtype or number of actions is wrong.
    """
    if not isinstance(system, StepMap):
        check_system(system, probe, a)
        return euler_map(system, grid, x0=probe)
    check_action_columns(system.action_dim, a)
    mean, scale = system.mean(0, probe, a), system.scale(0, probe, a)
    for label, value in (("mean", mean), ("scale", scale)):
        if value.dtype != probe.dtype:
            raise InvalidArgument(f"{label} returned {value.dtype} for a state of {probe.dtype}; make them equal.")
    if mean.shape != probe.shape:
        raise InvalidArgument(f"mean must return shape {tuple(probe.shape)}, got {tuple(mean.shape)}.")
    wide = (*probe.shape, system.noise_dim)
    if scale.shape not in (probe.shape, wide) or (scale.ndim == 2 and system.noise_dim != system.dim):
        raise InvalidArgument(f"scale must return shape {tuple(probe.shape)} or {wide}, got {tuple(scale.shape)}.")
    return system
