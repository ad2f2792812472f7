"""The exact moments of the linear system, in continuous time and of the Euler scheme."""

import itertools

import numpy as np
import pytest
import sympy as sp
import torch
from joint import assert_all_cover
from scipy.integrate import solve_ivp
from torch import Tensor

from sdewm.drifts import Linear
from sdewm.dynamics import simulate
from sdewm.estimate import Moments
from sdewm.exceptions import InvalidArgument
from sdewm.grid import TimeGrid

F64 = torch.float64


def two_columns() -> Linear:
    """Two dimensions, two noise columns that do not commute, all offsets."""
    a = torch.tensor([[-0.6, 0.5], [-0.3, -0.2]], dtype=F64)
    b = torch.tensor([[[0.3, 0.1], [0.0, -0.2]], [[0.0, 0.4], [0.2, 0.1]]], dtype=F64)
    assert float((b[0] @ b[1] - b[1] @ b[0]).abs().max()) > 0.01
    offset = torch.tensor([[0.1, 0.2], [-0.3, 0.15]], dtype=F64)
    return Linear(a, b, drift_offset=torch.tensor([0.2, -0.4], dtype=F64), diffusion_offset=offset)


SYSTEMS = {
    "scalar": lambda: Linear(a=0.3, b=-0.5, drift_offset=0.2, diffusion_offset=0.7),
    "diagonal": lambda: Linear(
        torch.tensor([[-0.6, 0.5], [-0.3, -0.2]], dtype=F64), 0.4, diffusion_offset=torch.tensor([0.3, -0.1])
    ),
    "one column": lambda: Linear(-0.5, torch.tensor([[[0.3, 0.1], [0.0, -0.2]]], dtype=F64)),
    "no noise": lambda: Linear(torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=F64), drift_offset=0.5),
    "two columns": two_columns,
}
START = (0.8, -0.5)


def start(system: Linear) -> Tensor:
    """One start for every dimension."""
    return torch.tensor(START[: system.dim], dtype=F64)


def columns(system: Linear, x: np.ndarray) -> np.ndarray:
    """g as a matrix (dim, noise_dim), from the system's own g."""
    g = system.g(torch.tensor(0.0), torch.from_numpy(x)[None])[0]
    return (torch.diag(g) if system.noise_type == "diagonal" else g).numpy()


def moment_equations(system: Linear, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and second moment by an adaptive solver. The matrices are read off f and g, not off the buffers."""
    n = system.dim

    def f(x: np.ndarray) -> np.ndarray:
        return system.f(torch.tensor(0.0), torch.from_numpy(x)[None])[0].numpy()

    zero = np.zeros(n)
    c, a = f(zero), np.stack([f(e) - f(zero) for e in np.eye(n)], axis=1)
    d = columns(system, zero)
    b = np.stack([columns(system, e) - d for e in np.eye(n)], axis=2)  # b[i, k, j]

    def equation(_: float, y: np.ndarray) -> np.ndarray:
        mean, second = y[:n], y[n:].reshape(n, n)
        drift = a @ second + np.outer(c, mean)
        noise = sum(
            b[:, k] @ second @ b[:, k].T
            + np.outer(b[:, k] @ mean, d[:, k])
            + np.outer(d[:, k], b[:, k] @ mean)
            + np.outer(d[:, k], d[:, k])
            for k in range(d.shape[1])
        )
        return np.concatenate((a @ mean + c, (drift + drift.T + noise).reshape(-1)))

    x0 = start(system).numpy()
    begin = np.concatenate((x0, np.outer(x0, x0).reshape(-1)))
    end = solve_ivp(equation, (0.0, t), begin, rtol=1e-12, atol=1e-13, method="DOP853").y[:, -1]
    return end[:n], end[n:].reshape(n, n)


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("t", [0.3, 2.0])
def test_moments_solve_the_moment_equations(name: str, t: float) -> None:
    """Against an adaptive solver that knows f and g only."""
    system = SYSTEMS[name]()
    mean, second = system.moments(start(system), t)
    want_mean, want_second = moment_equations(system, t)
    assert mean.shape == (system.dim,)
    assert second.shape == (system.dim, system.dim)
    assert np.abs(mean.numpy() - want_mean).max() < 1e-10
    assert np.abs(second.numpy() - want_second).max() < 1e-10
    assert torch.allclose(second, second.T, atol=1e-13)


def test_moments_of_a_scalar_system_in_symbols() -> None:
    """SymPy's solution of m' = am + c, s' = (2a + b²)s + 2(c + bd)m + d² at rational parameters."""
    t, s = sp.symbols("t s", positive=True)
    a, b, c, d, x0 = sp.Rational(-1, 2), sp.Rational(3, 5), sp.Rational(1, 5), sp.Rational(7, 10), sp.Rational(4, 5)
    mean = sp.exp(a * t) * x0 + sp.integrate(sp.exp(a * (t - s)) * c, (s, 0, t))
    assert sp.simplify(mean.diff(t) - a * mean - c) == 0
    kappa = 2 * a + b**2
    source = sp.expand(2 * (c + b * d) * mean.subs(t, s) + d**2)
    second = sp.exp(kappa * t) * x0**2 + sp.integrate(sp.expand(sp.exp(kappa * (t - s)) * source), (s, 0, t))
    system = Linear(float(a), float(b), drift_offset=float(c), diffusion_offset=float(d))
    for time in (0.5, 1.0, 3.0):
        got_mean, got_second = system.moments(torch.tensor([0.8], dtype=F64), time)
        assert abs(float(got_mean) - float(mean.subs(t, time))) < 1e-12
        assert abs(float(got_second) - float(second.subs(t, time))) < 1e-12


@pytest.mark.parametrize("name", SYSTEMS)
def test_euler_moments_by_enumeration(name: str) -> None:
    """First and second moments of the scheme depend on those of its normals alone, so fair coins give the same
    numbers, and every throw can be listed."""
    system, grid = SYSTEMS[name](), TimeGrid(1.2, 4)
    coins = torch.tensor(
        list(itertools.product([-1.0, 1.0], repeat=grid.steps * int(system.noise_dim or 1))), dtype=F64
    )
    coins = coins.reshape(len(coins), grid.steps, -1)
    x, t = start(system).expand(len(coins), -1), torch.tensor(0.0)
    for n in range(grid.steps):
        xi, g = coins[:, n], system.g(t, x)
        noise = g * xi if g.ndim == 2 else torch.einsum("pdm,pm->pd", g, xi)
        x = x + grid.h * system.f(t, x) + grid.h**0.5 * noise
    mean, second = system.euler_moments(start(system), grid)
    assert float((mean - x.mean(0)).abs().max()) < 1e-12
    assert float((second - x.T @ x / len(x)).abs().max()) < 1e-12


@pytest.mark.parametrize("name", SYSTEMS)
def test_euler_moments_converge_at_order_one(name: str) -> None:
    """Halving the step halves the gap to the moments of the equation."""
    system = SYSTEMS[name]()
    exact = torch.cat([part.reshape(-1) for part in system.moments(start(system), 1.0)])
    gaps = []
    for steps in (200, 400):
        euler = torch.cat([part.reshape(-1) for part in system.euler_moments(start(system), TimeGrid(1.0, steps))])
        gaps.append((euler - exact).norm())
    assert float(gaps[1]) < 0.02
    assert 1.95 < float(gaps[0] / gaps[1]) < 2.05


@pytest.mark.parametrize("name", ["scalar", "two columns"])
def test_simulation_has_the_euler_moments(name: str) -> None:
    """And not those of the equation, which a coarse grid misses by many standard errors."""
    system, grid = SYSTEMS[name](), TimeGrid(2.0, 4)
    end = simulate(system, start(system), grid, paths=20_000, seed=5, save="final").final
    pairs = list(itertools.combinations_with_replacement(range(system.dim), 2))
    values = torch.cat((end, torch.stack([end[:, i] * end[:, j] for i, j in pairs], dim=1)), dim=1)
    mean, second = system.euler_moments(start(system), grid)
    wanted = [*mean.tolist(), *(float(second[i, j]) for i, j in pairs)]
    estimates = Moments.of(values.numpy()).estimates()
    assert_all_cover(zip(estimates, wanted, strict=True))
    true_mean, true_second = system.moments(start(system), 2.0)
    wrong = [*true_mean.tolist(), *(float(true_second[i, j]) for i, j in pairs)]
    assert max(abs(e.value - w) / e.standard_error for e, w in zip(estimates, wrong, strict=True)) > 8


def test_moments_need_a_positive_time() -> None:
    """Times at or below zero are named."""
    with pytest.raises(InvalidArgument, match="t must be above zero"):
        two_columns().moments(torch.zeros(2), 0.0)


def test_moments_of_a_number_start() -> None:
    """A start of one number stands for all coordinates."""
    system = two_columns()
    assert torch.equal(system.moments(torch.tensor(0.5), 1.0)[1], system.moments(torch.full((2,), 0.5), 1.0)[1])
