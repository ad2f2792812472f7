"""The discrete Alekseev–Gröbner identity, against loops by hand and linear maps; the linear form is of second order."""

from itertools import pairwise

import pytest
import torch
from systems import F64, fixed
from torch import Tensor

from sdewm import RepresentationError, StepMap, TimeGrid, euler_map, perturb, simulate_coupled
from sdewm.drifts import DoubleWell, Linear
from sdewm.exceptions import InvalidArgument
from sdewm.theory.bounds import Telescope, alekseev_groebner
from sdewm.theory.bounds.rollout import draw_normals, move, push, step_jacobian

GRID, PATHS = TimeGrid(1.0, 6), 7
X0 = 0.3 * fixed(PATHS, 2)


def wave(t: Tensor, x: Tensor) -> Tensor:
    return 0.5 + 0.4 * torch.sin(2.0 * x)


def telescope(eps: float, correlation: str | float = "shared", linearised: bool = False) -> Telescope:
    error = RepresentationError(drift=wave, diffusion=wave, initial=0.5, correlation=correlation)
    system = DoubleWell(dim=2)
    base, other = euler_map(system, GRID), euler_map(perturb(system, error, eps), GRID)
    return alekseev_groebner(base, other, X0, draw_normals(other, GRID, PATHS, 0), linearised=linearised)


@pytest.mark.parametrize("correlation", ["shared", "independent", -0.6])
def test_the_identity_is_exact_at_any_size(correlation: str | float) -> None:
    for eps in (1e-3, 0.1, 1.0):
        found = telescope(eps, correlation)
        assert float(found.residual.max()) < 1e-14 * (1.0 + float(found.error.abs().max())) * GRID.steps


def test_terms_are_those_of_loops_by_hand() -> None:
    error = RepresentationError(diffusion=wave, initial=0.5)
    base = euler_map(DoubleWell(dim=2), GRID)
    other = euler_map(perturb(DoubleWell(dim=2), error, 0.3), GRID)
    xi = draw_normals(other, GRID, PATHS, 0)

    def rollout(n: int, x: Tensor) -> Tensor:
        for k in range(n, GRID.steps):
            x = x + GRID.h * (x - x**3) + GRID.h**0.5 * (0.5 + 0.3 * torch.sin(x)) * xi[k]
        return x

    found = alekseev_groebner(base, other, X0, xi)
    y = X0 + 0.3 * 0.5
    torch.testing.assert_close(found.initial, rollout(0, y) - rollout(0, X0), rtol=1e-12, atol=1e-13)
    for n in range(GRID.steps):
        kept = y + GRID.h * (y - y**3) + GRID.h**0.5 * (0.5 + 0.3 * torch.sin(y)) * xi[n]
        y = kept + GRID.h**0.5 * 0.3 * (0.5 + 0.4 * torch.sin(2.0 * y)) * xi[n]
        torch.testing.assert_close(found.local[n], rollout(n + 1, y) - rollout(n + 1, kept), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found.error, y - rollout(0, X0), rtol=1e-12, atol=1e-13)


def test_the_paths_are_those_of_coupled_simulation() -> None:
    error = RepresentationError(drift=wave, diffusion=wave, initial=0.5, correlation=-0.6)
    system = DoubleWell(dim=2)
    run = simulate_coupled([system, perturb(system, error, 0.1)], X0, GRID, PATHS, 0)
    torch.testing.assert_close(telescope(0.1, -0.6).error, run[1].final - run[0].final, rtol=1e-12, atol=1e-13)


def test_the_linear_form_is_wrong_at_second_order() -> None:
    """The negative control: it must leave something over, and of order two."""
    sizes = (0.0125, 0.025, 0.05)
    residuals = [float(telescope(eps, linearised=True).residual.square().mean().sqrt()) for eps in sizes]
    assert residuals[-1] > 1e-5
    for small, large in pairwise(residuals):
        assert large / small == pytest.approx(4.0, rel=0.1)


def test_the_linear_form_is_exact_for_linear_maps() -> None:
    system = Linear(a=torch.tensor([[-0.5, 0.8], [-0.3, -0.7]]), b=fixed(2, 2, 2), diffusion_offset=0.2)
    error = RepresentationError(drift=wave, diffusion=wave, initial=0.5, correlation="independent")
    base, other = euler_map(system, GRID), euler_map(perturb(system, error, 0.7), GRID)
    xi = draw_normals(other, GRID, PATHS, 0)
    exact, linear = (alekseev_groebner(base, other, X0, xi, linearised=flag) for flag in (False, True))
    assert float(linear.residual.max()) < 1e-13
    torch.testing.assert_close(exact.local, linear.local, rtol=1e-11, atol=1e-13)


def test_any_two_maps_with_actions() -> None:
    """Two maps that have nothing to do with each other."""

    def scale(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        return 0.2 + 0.1 * x**2

    def mean(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        assert a is not None
        return torch.tanh(x + a.sum(1, keepdim=True)) * (1.0 + 0.1 * n)

    one = StepMap(mean, scale, 2, 2, action_dim=3)
    two = StepMap(lambda n, x, a: torch.cos(2.0 * x), scale, 2, 2)
    actions = fixed(GRID.steps, 3, seed=4)
    found = alekseev_groebner(one, two, X0, fixed(GRID.steps, PATHS, 2, seed=5), actions=actions)
    assert float(found.error.abs().max()) > 0.5
    assert float(found.residual.max()) < 1e-13


def test_step_jacobians_are_finite_differences() -> None:
    step = euler_map(DoubleWell(dim=2), GRID)
    xi, v = fixed(PATHS, 2, seed=2), fixed(PATHS, 2, seed=3)
    matrix = step_jacobian(step, 0, X0, xi)
    difference = (move(step, 0, X0 + 1e-6 * v, xi) - move(step, 0, X0 - 1e-6 * v, xi)) / 2e-6
    torch.testing.assert_close((matrix @ v[:, :, None])[:, :, 0], difference, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(push(step, 0, X0, v, xi), difference, rtol=1e-7, atol=1e-8)


def test_shapes_that_do_not_fit() -> None:
    base, other = euler_map(Linear(a=-1.0), GRID), euler_map(Linear(a=-1.0, dim=2), GRID)
    x, xi = torch.zeros(3, 1, dtype=F64), torch.zeros(6, 3, 1, dtype=F64)
    with pytest.raises(InvalidArgument, match="perturbed must have the base's dim"):
        alekseev_groebner(base, other, x, xi)
    with pytest.raises(InvalidArgument, match="x0 must have shape"):
        alekseev_groebner(base, base, torch.zeros(3, dtype=F64), xi)
    with pytest.raises(InvalidArgument, match="normals must have shape"):
        alekseev_groebner(base, base, x, xi[:, :2])
    needs = StepMap(lambda n, y, a: y, lambda n, y, a: y, 1, 1, action_dim=2)
    with pytest.raises(InvalidArgument, match="actions must have shape"):
        alekseev_groebner(needs, needs, x, xi)
