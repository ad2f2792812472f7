"""The members of a coupled simulation, in the one form that the engine runs."""

from typing import Any

import torch
from torch import Tensor

from ..exceptions import HypothesisFails
from ..grid import TimeGrid
from .categorical import CONTINUOUS, NO_DERIVATIVE, CategoricalMap
from .covariance import ErrorCovariance, covariance_member
from .derivative_check import check_derivatives
from .error import check_eps
from .martingale import Increments, Martingales, increments_member, martingale_member
from .member import Member, State, base_and_own, check_action_columns, columns_of, only, step_map_of
from .perturbed import PerturbedSDE
from .sensitivity import Sensitivity, sensitivity_member
from .start import check_initial_error
from .step_error import add_error, noise_groups, step_error
from .step_map import StepMap, multiply
from .total_noise import TotalNoise, total_noise_member
from .variation import Variations, Varied, variation_step


def engine_member(member: Any, probe: Tensor, a: Tensor | None, grid: TimeGrid, paths: int) -> Member:
    """A system, a map, or what is derived from one, as the engine runs it, checked at the states `probe`."""
    if isinstance(member, Variations):
        return _varied(member, probe, a, grid, paths)
    if isinstance(member, Increments | Martingales):
        return _accompanied(member, probe, a, grid, paths)
    if isinstance(member, PerturbedSDE):
        return _perturbed(member, probe, a, grid, paths)
    if isinstance(member, ErrorCovariance):
        return covariance_member(member, probe, a, grid)
    if isinstance(member, Sensitivity):
        return sensitivity_member(member, engine_member(member.system, probe, a, grid, paths), probe, a)
    if isinstance(member, TotalNoise):
        return total_noise_member(engine_member(member.of, probe, a, grid, paths), grid.steps)
    if isinstance(member, CategoricalMap):
        return _categorical(member, probe, a)
    step = step_map_of(member, probe, a, grid)

    def advance(n: int, state: State, noise: tuple[Tensor, ...], a: Tensor | None) -> State:
        (x,) = state
        return (step.mean(n, x, a) + multiply(step.scale(n, x, a), columns_of(noise)),)

    def start(x: Tensor, first: int) -> State:
        return (x if step.start is None else step.start(x, first),)

    return Member(step.noise_groups, start, advance, only)


def _accompanied(
    member: Increments | Martingales, probe: Tensor, a: Tensor | None, grid: TimeGrid, paths: int
) -> Member:
    inner = _varied(member.of, probe, a, grid, paths)
    step = step_map_of(member.of.system, probe, a, grid)
    error = step_error(member.of.error, step, probe, None if isinstance(member.of.system, StepMap) else grid)
    if isinstance(member, Increments):
        return increments_member(member, inner, step, error)
    return martingale_member(member, inner, step, error, probe, grid)


def _categorical(member: CategoricalMap, probe: Tensor, a: Tensor | None) -> Member:
    check_action_columns(member.action_dim, a)
    member(0, probe, probe.new_zeros(len(probe), member.groups), a)  # its shapes

    def advance(n: int, state: State, noise: tuple[Tensor, ...], a: Tensor | None) -> State:
        return (member(n, state[0], columns_of(noise), a),)

    return Member(member.noise_groups, lambda x, first: (x,), advance, only)


def _perturbed(member: PerturbedSDE, probe: Tensor, a: Tensor | None, grid: TimeGrid, paths: int) -> Member:
    # Base and error are added without forming the perturbed system's wide matrix of noise columns.
    check_eps(member.eps, probe.dtype)
    check_initial_error(member.error.initial, paths)
    step = step_map_of(member.base, probe, a, grid)
    error = step_error(member.error, step, probe, grid)

    def advance(n: int, state: State, noise: tuple[Tensor, ...], a: Tensor | None) -> State:
        (x,) = state
        xi, zeta = base_and_own(noise, error)
        x_next = step.mean(n, x, a) + multiply(step.scale(n, x, a), xi)
        return (add_error(error, member.eps, n, x, x_next, xi, zeta),)

    def start(x: Tensor, first: int) -> State:
        return (member.perturbed_start(x, first),)

    return Member(member.noise_groups, start, advance, only)


def _varied(member: Variations, probe: Tensor, a: Tensor | None, grid: TimeGrid, paths: int) -> Member:
    if isinstance(member.system, CategoricalMap):
        raise HypothesisFails(NO_DERIVATIVE, CONTINUOUS, declared=True)
    check_initial_error(member.error.initial, paths)
    step = step_map_of(member.system, probe, a, grid)
    error = step_error(member.error, step, probe, None if isinstance(member.system, StepMap) else grid)
    check_derivatives(member.system, step, error, probe, a, by_hand=member.derivatives != "autodiff")
    move = variation_step(step, error, member.derivatives, member.terms, member.order)

    def advance(n: int, state: State, noise: tuple[Tensor, ...], a: Tensor | None) -> State:
        xi, zeta = base_and_own(noise, error)
        return move(n, Varied(*state), xi, zeta, a)

    def start(x: Tensor, first: int) -> State:
        x = x if step.start is None else step.start(x, first)
        eta = error.start(x, first)
        return Varied(x, torch.zeros_like(x) if eta is None else eta.contiguous(), torch.zeros_like(x))

    return Member(noise_groups(step.noise_groups, error), start, advance, lambda state: Varied(*state))
