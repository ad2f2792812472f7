"""Rollouts of step maps on given normals, and the derivatives of their steps."""

from typing import Any

import torch
from torch import Tensor

from ...dynamics import BrownianMotion, StepMap, euler_map
from ...dynamics.step_map import AutomaticDerivatives, multiply
from ...exceptions import InvalidArgument
from ...grid import TimeGrid
from ...validation import integer


def as_step(system: Any, grid: TimeGrid, actions: Tensor | None, x0: Tensor | None = None) -> StepMap:
    """A step map as it is, or the Euler step of a system."""
    return system if isinstance(system, StepMap) else euler_map(system, grid, actions, x0=x0)


def draw_normals(step: StepMap, grid: TimeGrid, paths: int, seed: int) -> Tensor:
    """The normals (steps, paths, noise_dim) that `simulate_coupled` hands to this step with this seed.

    A perturbed step has the base's columns first, so that the base uses the first columns of the same tensor.

    Raises:
        InvalidArgument: paths or seed is no whole number.

    Example:
        >>> from sdewm import TimeGrid, euler_map
        >>> from sdewm.drifts import Linear
        >>> grid = TimeGrid(1.0, 4)
        >>> draw_normals(euler_map(Linear(a=-1.0), grid), grid, paths=3, seed=0).shape
        torch.Size([4, 3, 1])
    """
    paths = integer("paths", paths, least=1)
    groups = [BrownianMotion(seed, grid, width, purpose) for purpose, width in step.noise_groups if width]
    return torch.cat([motion.normals(paths) for motion in groups], 2)


def start_of(step: StepMap, x0: Tensor) -> Tensor:
    """Where this map starts when the base starts at x0 (paths, dim)."""
    return x0 if step.start is None else step.start(x0, 0)


def check_rollout(step: StepMap, x0: Tensor, normals: Tensor, actions: Tensor | None) -> None:
    """That states, normals and actions fit a step.

    Raises:
        InvalidArgument: a shape is wrong.
    """
    if x0.ndim != 2 or x0.shape[1] != step.dim:
        raise InvalidArgument(f"x0 must have shape (paths, dim) = (paths, {step.dim}), got {tuple(x0.shape)}.")
    if normals.ndim != 3 or normals.shape[1] != len(x0) or normals.shape[2] < step.noise_dim:
        raise InvalidArgument(
            f"normals must have shape (steps, paths, m) = (steps, {len(x0)}, at least {step.noise_dim}), got "
            f"{tuple(normals.shape)}; draw them for the map with more columns."
        )
    wanted = (len(normals), step.action_dim)
    if step.action_dim and (actions is None or actions.shape != wanted):
        got = None if actions is None else tuple(actions.shape)
        raise InvalidArgument(f"actions must have shape (steps, action_dim) = {wanted}, got {got}.")


def action_at(step: StepMap, n: int, x: Tensor, actions: Tensor | None) -> Tensor | None:
    """The action of step n, one row a path, or None where the step takes none."""
    return None if actions is None or not step.action_dim else actions[n].to(x).expand(len(x), -1)


def move(step: StepMap, n: int, x: Tensor, normals: Tensor, actions: Tensor | None = None) -> Tensor:
    """F_n(x) = mean + scale ξ, with the first columns of `normals` (paths, m)."""
    a = action_at(step, n, x, actions)
    return step.mean(n, x, a) + multiply(step.scale(n, x, a), normals[:, : step.noise_dim])


def push(step: StepMap, n: int, x: Tensor, v: Tensor, normals: Tensor, actions: Tensor | None = None) -> Tensor:
    """DF_n(x) v, on the same normals."""
    a = action_at(step, n, x, actions)
    d = step.derivatives or AutomaticDerivatives(step)
    return d.mean_jvp(n, x, a, v) + multiply(d.scale_jvp(n, x, a, v), normals[:, : step.noise_dim])


def step_jacobian(step: StepMap, n: int, x: Tensor, normals: Tensor, actions: Tensor | None = None) -> Tensor:
    """DF_n(x) as matrices (paths, dim, dim)."""
    columns = []
    for j in range(step.dim):
        v = torch.zeros_like(x)
        v[:, j] = 1.0
        columns.append(push(step, n, x, v, normals, actions))
    return torch.stack(columns, 2)
