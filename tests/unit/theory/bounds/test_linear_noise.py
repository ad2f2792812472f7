"""The linear noise approximation, against closed forms, scipy's Lyapunov solver, and the error's own moments."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm, solve_continuous_lyapunov
from systems import F64, fixed
from torch import Tensor

from sdewm import LatentSDE, RepresentationError, StepMap, TimeGrid, euler_map
from sdewm.drifts import DoubleWell, Geometric, Linear
from sdewm.exceptions import HypothesisFails, InvalidArgument, Refused
from sdewm.theory.bounds import linear_noise

GRID = TimeGrid(1.0, 64)
QUIET = DoubleWell(noise=0.0, modulation=0.0)
ZERO = torch.zeros(1, dtype=F64)
UNIT = torch.ones(1, 1, dtype=F64)


def ones(t: Tensor, x: Tensor) -> Tensor:
    return torch.ones_like(x)


def still(t: Tensor, x: Tensor) -> Tensor:
    return torch.zeros_like(x)


def test_the_unstable_point_has_a_closed_form() -> None:
    """From 0 the linear equation is e' = e: C = ε² (e^{2t} (1 + ½) − ½) with unit initial variance and unit noise."""
    found = linear_noise(QUIET, RepresentationError(diffusion=ones), ZERO, GRID, eps=0.05, initial=UNIT)
    t = np.asarray(GRID.times)
    np.testing.assert_allclose(found.covariances[:, 0, 0], 0.05**2 * (1.5 * np.exp(2.0 * t) - 0.5), rtol=1e-8)
    np.testing.assert_allclose(found.rms**2, found.covariances[:, 0, 0])


@pytest.mark.parametrize("T", [1.0, 3.0, 8.0])
def test_ratio_to_the_truth_from_the_unstable_point(T: float) -> None:
    """The flow of x − x³ takes ε to ε e^T/√(1 + ε²(e^{2T} − 1)): from scipy, and from the linear approximation."""
    from scipy.integrate import solve_ivp

    eps = 0.05
    truth = solve_ivp(lambda t, x: x - x**3, (0.0, T), [eps], rtol=1e-11, atol=1e-13, method="DOP853").y[0, -1]
    found = linear_noise(QUIET, RepresentationError(diffusion=still), ZERO, TimeGrid(T, 4), eps=eps, initial=UNIT)
    closed = 1.0 / math.sqrt(1.0 + eps**2 * (math.exp(2.0 * T) - 1.0))
    assert truth / found.rms[-1] == pytest.approx(closed, rel=1e-7)


def test_against_lyapunovs_equation() -> None:
    a = torch.tensor([[-1.0, 10.0], [0.0, -1.5]], dtype=F64)
    sigma = fixed(2, 3)
    system = Linear(a=a, diffusion_offset=0.3)
    error = RepresentationError(diffusion=lambda t, x: sigma.expand(len(x), -1, -1), correlation="independent")
    start = torch.tensor([[1.0, 0.5], [0.5, 2.0]], dtype=F64)
    found = linear_noise(system, error, torch.zeros(2, dtype=F64), GRID, eps=0.2, initial=start)
    limit = solve_continuous_lyapunov(a.numpy(), -(0.2**2) * (sigma @ sigma.T).numpy())
    flow = expm(a.numpy() * GRID.T)
    exact = limit + flow @ (0.2**2 * start.numpy() - limit) @ flow.T
    np.testing.assert_allclose(found.covariances[-1], exact, rtol=1e-8)
    # The negative control: the transposed A gives something else.
    assert not np.allclose(limit + flow.T @ (0.2**2 * start.numpy() - limit) @ flow, exact, rtol=0.1)


def test_multiplicative_noise_of_an_affine_base() -> None:
    """C' = (2a + b²) C + ε²; without G C Gᵀ it would be wrong by more than a tenth."""
    a, b = -0.5, 0.6
    found = linear_noise(Geometric(a, b), RepresentationError(diffusion=ones), torch.ones(1, dtype=F64), GRID, eps=0.1)
    kappa = 2.0 * a + b**2
    exact = 0.1**2 * (math.exp(kappa) - 1.0) / kappa
    assert found.covariances[-1, 0, 0] == pytest.approx(exact, rel=1e-8)
    assert abs(0.1**2 * (math.exp(2.0 * a) - 1.0) / (2.0 * a) / exact - 1.0) > 0.1


def test_dense_noise_columns_are_not_transposed() -> None:
    columns = 0.4 * fixed(2, 2, 2)
    system = Linear(a=fixed(2, 2, seed=2), b=columns)
    found = linear_noise(system, RepresentationError(diffusion=ones), torch.ones(2, dtype=F64), GRID, eps=0.1)
    lifted = np.kron(system_matrix := fixed(2, 2, seed=2).numpy(), np.eye(2)) + np.kron(np.eye(2), system_matrix)
    lifted = lifted + sum(np.kron(g, g) for g in columns.numpy())
    exact = np.linalg.solve(lifted, (expm(lifted) - np.eye(4)) @ (0.1**2 * np.eye(2)).ravel()).reshape(2, 2)
    np.testing.assert_allclose(found.covariances[-1], exact, rtol=1e-7)


def test_discrete_is_the_recursion_of_the_step_and_converges() -> None:
    error, h = RepresentationError(diffusion=ones), GRID.h
    found = linear_noise(Geometric(-0.5, 0.6), error, torch.ones(1, dtype=F64), GRID, eps=0.1, discrete=True)
    c = 0.0
    for n in range(GRID.steps):
        assert found.covariances[n, 0, 0] == pytest.approx(c, rel=1e-12)
        c = ((1.0 - 0.5 * h) ** 2 + h * 0.36) * c + h * 0.01
    gaps = []
    for steps in (32, 64):
        grid = TimeGrid(1.0, steps)
        one, two = (
            linear_noise(QUIET, error, 0.5 + ZERO, grid, eps=0.1, discrete=flag).rms[-1] for flag in (False, True)
        )
        gaps.append(abs(one - two))
    assert gaps[0] / gaps[1] == pytest.approx(2.0, rel=0.1)


def test_a_step_map_takes_its_error_per_step() -> None:
    matrix = torch.tensor([[0.0, 2.0], [0.0, 0.0]], dtype=F64)
    step = StepMap(lambda n, x, a: x @ matrix.T, lambda n, x, a: torch.zeros_like(x), 2, 2)
    error = RepresentationError(diffusion=ones)
    found = linear_noise(step, error, torch.zeros(2, dtype=F64), TimeGrid(3.0, 3), eps=1.0)
    np.testing.assert_allclose(found.covariances[-1], np.diag([5.0, 1.0]))
    same = linear_noise(euler_map(QUIET, GRID), error, ZERO, GRID, eps=GRID.h**0.5)
    euler = linear_noise(QUIET, error, ZERO, GRID, eps=1.0, discrete=True)
    np.testing.assert_allclose(same.rms, euler.rms, rtol=1e-12)


def test_what_it_does_not_cover() -> None:
    noise = RepresentationError(diffusion=ones)
    with pytest.raises(Refused, match="no drift and no start"):
        linear_noise(QUIET, RepresentationError(drift=ones), ZERO, GRID, eps=0.1)
    with pytest.raises(HypothesisFails, match="A and G_k are random"):
        linear_noise(DoubleWell(), noise, ZERO, GRID, eps=0.1)
    with pytest.raises(HypothesisFails, match="A and G_k are random"):
        linear_noise(DoubleWell(), noise, ZERO, GRID, eps=0.1, discrete=True)
    with pytest.raises(InvalidArgument, match="x0 must have shape"):
        linear_noise(QUIET, noise, ZERO[None], GRID, eps=0.1)
    for wrong in (-UNIT, torch.eye(2)):
        with pytest.raises(InvalidArgument, match="initial must be a covariance"):
            linear_noise(QUIET, noise, ZERO, GRID, eps=0.1, initial=wrong)
    with pytest.raises(Refused, match="takes actions"):
        linear_noise(Steered(), noise, ZERO, GRID, eps=0.1)


class Steered(LatentSDE):
    """dx = a dt."""

    dim, action_dim = 1, 1

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return a

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return torch.zeros_like(x)
