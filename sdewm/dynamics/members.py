"""The members of a coupled simulation, in the one form that the engine runs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from .derivatives import Derivative, check_derivative
from .error import check_eps
from .perturbed import PerturbedSDE
from .start import check_initial_error
from .step_error import StepError, add_error, noise_groups, step_error
from .step_map import StepMap, euler_map, multiply
from .system import check_system
from .variation import Variations, Varied, variation_step

State = tuple[Tensor, ...]


@final
@dataclass(frozen=True)
class Member:
    """One member in the engine's form: its noise groups, its start and its step on tuples of tensors."""

    noise: tuple[tuple[str, int], ...]
    start: Callable[[Tensor, int], State]
    advance: Callable[[int, State, tuple[Tensor, ...], Tensor | None], State]
    varied: bool

    def public(self, state: State) -> Any:
        """The state as an observer sees it: a tensor, or a `Varied` triple."""
        return Varied(*state) if self.varied else state[0]


def engine_member(member: Any, probe: Tensor, a: Tensor | None, grid: TimeGrid, paths: int) -> Member:
    """A system, a `PerturbedSDE`, a `StepMap` or `Variations` as the engine runs it, checked at the states `probe`."""
    if isinstance(member, Variations):
        return _varied(member, probe, a, grid, paths)
    if isinstance(member, PerturbedSDE):
        return _perturbed(member, probe, a, grid, paths)
    step = _step_map(member, probe, a, grid)

    def advance(n: int, state: State, noise: tuple[Tensor, ...], a: Tensor | None) -> State:
        (x,) = state
        return (step.mean(n, x, a) + multiply(step.scale(n, x, a), _columns_of(noise)),)

    def start(x: Tensor, first: int) -> State:
        return (x if step.start is None else step.start(x, first),)

    return Member(step.noise_groups, start, advance, varied=False)


def _perturbed(member: PerturbedSDE, probe: Tensor, a: Tensor | None, grid: TimeGrid, paths: int) -> Member:
    # Base and error are added without forming the perturbed system's wide matrix of noise columns.
    check_eps(member.eps, probe.dtype)
    check_initial_error(member.error.initial, paths)
    step = _step_map(member.base, probe, a, grid)
    error = step_error(member.error, step, probe, grid)

    def advance(n: int, state: State, noise: tuple[Tensor, ...], a: Tensor | None) -> State:
        (x,) = state
        xi, zeta = _base_and_own(noise, error)
        x_next = step.mean(n, x, a) + multiply(step.scale(n, x, a), xi)
        return (add_error(error, member.eps, n, x, x_next, xi, zeta),)

    def start(x: Tensor, first: int) -> State:
        return (member.perturbed_start(x, first),)

    return Member(member.noise_groups, start, advance, varied=False)


def _varied(member: Variations, probe: Tensor, a: Tensor | None, grid: TimeGrid, paths: int) -> Member:
    check_initial_error(member.error.initial, paths)
    step = _step_map(member.system, probe, a, grid)
    error = step_error(member.error, step, probe, None if isinstance(member.system, StepMap) else grid)
    _check_derivatives(member, step, error, probe, a)
    move = variation_step(step, error, member.derivatives, member.terms, member.order)

    def advance(n: int, state: State, noise: tuple[Tensor, ...], a: Tensor | None) -> State:
        xi, zeta = _base_and_own(noise, error)
        return move(n, Varied(*state), xi, zeta, a)

    def start(x: Tensor, first: int) -> State:
        x = x if step.start is None else step.start(x, first)
        eta = error.start(x, first)
        return Varied(x, torch.zeros_like(x) if eta is None else eta.contiguous(), torch.zeros_like(x))

    return Member(noise_groups(step.noise_groups, error), start, advance, varied=True)


def _base_and_own(noise: tuple[Tensor, ...], error: StepError) -> tuple[Tensor, Tensor | None]:
    """The base's normals ξ, and the error's own ζ where it has any: they are the last group."""
    return (_columns_of(noise[:-1]), noise[-1]) if error.own_dim else (_columns_of(noise), None)


def _columns_of(noise: tuple[Tensor, ...]) -> Tensor:
    return noise[0] if len(noise) == 1 else torch.cat(noise, dim=1)


def _check_derivatives(member: Variations, step: StepMap, error: StepError, x: Tensor, a: Tensor | None) -> None:
    """Refuse what the variations would silently take for constant."""
    system = member.system
    if isinstance(system, StepMap):
        hand = step.derivatives if member.derivatives != "autodiff" else None
        mean = None if hand is None else (lambda y, v: hand.mean_jvp(0, y, a, v))
        scale = None if hand is None else (lambda y, v: hand.scale_jvp(0, y, a, v))
        check_derivative("mean", lambda y: step.mean(0, y, a), x, mean)
        check_derivative("scale", lambda y: step.scale(0, y, a), x, scale)
    else:
        # Not of the step: beside the state itself a drift times the step size may be too small to be missed.
        checked, name, t = check_system(system, x, a), type(system).__name__, torch.zeros((), dtype=x.dtype)
        args = () if a is None else (a,)
        drift: Derivative | None = None
        diffusion: Derivative | None = None
        if step.derivatives is not None and member.derivatives != "autodiff":
            drift, diffusion = (lambda y, v: system.f_jvp(t, y, *args, v)), (lambda y, v: system.g_jvp(t, y, *args, v))
        check_derivative(f"{name}.f", lambda y: checked.drift(t, y, a), x, drift)
        check_derivative(f"{name}.g", lambda y: checked.diffusion(t, y, a), x, diffusion)
    for label, function, by_hand in (
        ("the error's drift", error.drift, error.drift_jvp),
        ("the error's diffusion", error.diffusion, error.diffusion_jvp),
    ):
        if function is not None:
            check_derivative(label, partial(function, 0), x, None if by_hand is None else partial(by_hand, 0))


def _step_map(system: Any, probe: Tensor, a: Tensor | None, grid: TimeGrid) -> StepMap:
    if not isinstance(system, StepMap):
        check_system(system, probe, a)
        return euler_map(system, grid, x0=probe)
    if (a is None) != (system.action_dim == 0) or (a is not None and a.shape[1] != system.action_dim):
        got = "none" if a is None else f"{a.shape[1]}"
        raise InvalidArgument(f"actions must have {system.action_dim} columns for this step map, got {got}.")
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
