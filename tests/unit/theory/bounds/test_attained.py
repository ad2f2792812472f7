"""Bounds on systems that attain them, and wrong formulas that fail there."""

import math

import numpy as np
import pytest
from exact_errors import Array, is_below, planar_constants, planar_moments, scalar

from sdewm import InvalidArgument, TimeGrid
from sdewm.theory.bounds import FourthMoment, GronwallFrobenius, GronwallSpectral, LogNorm, Setting
from sdewm.theory.bounds.steps import recursion

GRID = TimeGrid(2.0, 40)
TIMES = np.asarray(GRID.times)


def constants(mu: float = 0.0, size: float | None = None, lam: float = 0.0, s: float = 0.0, s_bar: float = 0.0) -> dict:
    size = abs(mu) if size is None else size
    errors = {"drift_error": s, "diffusion_error": s_bar}
    return {"mu": mu, "spectral": size, "frobenius": size, "diffusion": lam, **errors}


@pytest.mark.parametrize("mu", [-1.5, 0.0, 0.8])
def test_a_drift_error_along_a_scalar_matrix(mu: float) -> None:
    given = constants(mu, s=0.7)
    grown = TIMES if mu == 0.0 else np.expm1(mu * TIMES) / mu
    assert LogNorm().continuous(given, Setting(GRID, 0.1, 0.3)) == pytest.approx(
        0.3 * np.exp(mu * TIMES) + 0.07 * grown
    )
    exact = np.sqrt(scalar(GRID, mu, 0.0, 0.7, 0.0, 0.3, eps=0.1)[:, 2])
    assert LogNorm().discrete(given, Setting(GRID, 0.1, 0.3)) == pytest.approx(exact)
    if mu >= 0.0:
        for bound in (GronwallFrobenius(), GronwallSpectral()):
            assert bound.continuous(given, Setting(GRID, 0.1, 0.3)) == pytest.approx(
                LogNorm().continuous(given, Setting(GRID, 0.1, 0.3))
            )
            assert bound.discrete(given, Setting(GRID, 0.1, 0.3)) == pytest.approx(exact)


@pytest.mark.parametrize("mu", [-1.5, 0.0, 0.8])
@pytest.mark.parametrize("start", [0.0, 0.3])
def test_a_diffusion_error(mu: float, start: float) -> None:
    given, where = constants(mu, s_bar=0.5), Setting(GRID, 0.1, start)
    grown = TIMES if mu == 0.0 else np.expm1(2.0 * mu * TIMES) / (2.0 * mu)
    exact = np.sqrt(start**2 * np.exp(2.0 * mu * TIMES) + 0.05**2 * grown)
    assert LogNorm().continuous(given, where) == pytest.approx(exact, rel=1e-8)
    steps = np.sqrt(scalar(GRID, mu, 0.0, 0.0, 0.5, start, eps=0.1)[:, 2])
    assert LogNorm().discrete(given, where) == pytest.approx(steps)


def test_geometric_brownian_motion() -> None:
    given, where = constants(-0.5, lam=0.6), Setting(GRID, 0.1, 0.3, initial_fourth=0.3)
    assert LogNorm().continuous(given, where) == pytest.approx(0.3 * np.exp((-0.5 + 0.18) * TIMES))
    exact = scalar(GRID, -0.5, 0.6, 0.0, 0.0, 0.3)
    assert LogNorm().discrete(given, where) == pytest.approx(np.sqrt(exact[:, 2]))
    assert FourthMoment().continuous(given, where) ** 4 == pytest.approx(0.3**4 * np.exp((-2.0 + 6.0 * 0.36) * TIMES))
    assert FourthMoment().discrete(given, where) ** 4 == pytest.approx(exact[:, 4])


def test_where_the_equation_and_its_steps_part() -> None:
    # de = −3e dt + √6 e dB: the mean square stays, and that of Euler's steps grows like (1 + 9h²)^{t/h}.
    grid = TimeGrid(5.0, 100)
    given, where = constants(-3.0, lam=math.sqrt(6.0)), Setting(grid, 0.1, 1.0)
    curve = LogNorm().discrete(given, where)
    assert curve**2 == pytest.approx(1.0225 ** np.arange(101))
    assert curve[-1] ** 2 == pytest.approx(9.25, abs=0.005)
    assert LogNorm().continuous(given, where) == pytest.approx(np.ones(101))
    truth = np.sqrt(scalar(grid, -3.0, math.sqrt(6.0), 0.0, 0.0, 1.0)[:, 2])
    assert is_below(truth, curve)
    assert not is_below(truth, LogNorm().continuous(given, where))


@pytest.mark.parametrize("rho", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("a", [-1.0, 0.5])
@pytest.mark.parametrize("s", [0.0, 0.6])
def test_scalar_systems_stay_below(rho: float, a: float, s: float) -> None:
    exact = scalar(GRID, a, 0.7, s, 0.5, 0.2, eps=0.3, rho=rho)
    where = Setting(GRID, 0.3, 0.2, correlation=rho, initial_fourth=0.2)
    given = constants(a, lam=0.7, s=s, s_bar=0.5)
    for bound in (GronwallFrobenius(), GronwallSpectral(), LogNorm()):
        assert is_below(np.sqrt(exact[:, 2]), bound.discrete(given, where))
    curve = FourthMoment().discrete(given, where)
    assert is_below(exact[:, 4] ** 0.25, curve)
    squares = exact[:, 4] - exact[:, 2] ** 2
    assert is_below(squares, FourthMoment().variance(given, where))
    # The first step from a fixed start is exact: nothing there is left to inequalities.
    assert curve[1] ** 4 == pytest.approx(exact[1, 4])
    assert LogNorm().discrete(given, where)[1] ** 2 == pytest.approx(exact[1, 2])


def rotation(omega: float = 2.0) -> Array:
    return np.array([[0.0, omega], [-omega, 0.0]])


def test_a_rotation_grows_under_explicit_steps() -> None:
    none = np.zeros((1, 2, 2)), np.zeros(2), np.zeros((1, 2))
    second, _ = planar_moments(GRID, rotation(), *none, start=np.array([0.3, 0.0]))
    given, where = constants(0.0, 2.0), Setting(GRID, 0.1, 0.3, dim=2)
    assert LogNorm().discrete(given, where) == pytest.approx(np.sqrt(second))  # K² = 1 + h²L² is attained
    # Control: K = 1 + hμ is no Lipschitz constant of the step.
    assert not is_below(np.sqrt(second), recursion(1.0, 0.0, 0.0, 0.0, 0.0, 0.3, GRID.steps))


def test_the_cross_term_of_shared_noise_is_needed() -> None:
    exact = np.sqrt(scalar(GRID, -1.0, 0.7, 0.0, 0.5, 0.2, eps=0.3)[:, 2])
    given = constants(-1.0, lam=0.7, s_bar=0.5)
    assert is_below(exact, LogNorm().discrete(given, Setting(GRID, 0.3, 0.2)))
    # Control: without it, which is the bound for independent noise.
    without = LogNorm().discrete(given, Setting(GRID, 0.3, 0.2, correlation=0.0))
    assert not is_below(exact, without)
    independent = np.sqrt(scalar(GRID, -1.0, 0.7, 0.0, 0.5, 0.2, eps=0.3, rho=0.0)[:, 2])
    assert independent == pytest.approx(without)  # which is attained there


def test_the_six_of_the_fourth_moment_is_needed() -> None:
    given, where = constants(-0.5, lam=0.6), Setting(GRID, 0.1, 0.3, initial_fourth=0.3)
    exact = scalar(GRID, -0.5, 0.6, 0.0, 0.0, 0.3)[:, 4]
    limit = 0.3**4 * np.exp((4 * -0.5 + 6 * 0.36) * TIMES)  # E e⁴ of the equation
    assert is_below(limit, FourthMoment().continuous(given, where) ** 4)
    assert not is_below(limit, 0.3**4 * np.exp((4 * -0.5 + 3 * 0.36) * TIMES))
    # Control for the steps: 3 for 6, and no square of the noise.
    h, square = GRID.h, 1.0 - GRID.h + (0.5 * GRID.h) ** 2
    steps = np.arange(GRID.steps + 1)
    assert not is_below(exact, 0.3**4 * (square**2 + 3 * h * square * 0.36 + 3 * (h * 0.36) ** 2) ** steps)
    assert not is_below(exact, 0.3**4 * (square**2 + 6 * h * square * 0.36) ** steps)
    assert is_below(exact, 0.3**4 * (square**2 + 6 * h * square * 0.36 + 3 * (h * 0.36) ** 2) ** steps)


def test_the_fourth_moment_of_a_step() -> None:
    # E|a + B ξ|⁴ = |a|⁴ + 2|a|² tr BBᵀ + 4|Bᵀa|² + (tr BBᵀ)² + 2 tr (BBᵀ)², by an exact quadrature over ξ in R².
    rng = np.random.default_rng(0)
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    weights = weights / weights.sum()
    for _ in range(5):
        a, B = rng.standard_normal(3), rng.standard_normal((3, 2))
        total = sum(
            v * w * np.sum((a + B @ np.array([x, y])) ** 2) ** 2
            for x, v in zip(nodes, weights, strict=True)
            for y, w in zip(nodes, weights, strict=True)
        )
        gram = B @ B.T
        size, square = float(np.trace(gram)), float(a @ a)
        formula = square**2 + 2 * square * size + 4 * a @ gram @ a + size**2 + 2 * np.trace(gram @ gram)
        assert total == pytest.approx(formula)
        assert total <= square**2 + 6 * square * size + 3 * size**2


@pytest.mark.parametrize("start", [(0.0, 0.0), (0.01, 0.02)])
def test_planar_systems_stay_below(start: tuple[float, float]) -> None:
    A, G = np.array([[-1.0, 4.0], [0.0, -1.5]]), np.array([0.3 * np.eye(2), [[0.0, 0.2], [0.1, 0.0]]])
    drift, diffusion, e0 = 0.05 * np.array([0.6, 0.8]), 0.05 * np.array([[0.3, 0.4], [0.0, 0.2]]), np.array(start)
    grid = TimeGrid(1.0, 20)
    second, fourth = planar_moments(grid, A, G, drift, diffusion, e0)
    size = float(np.linalg.norm(e0))
    given, where = (
        planar_constants(A, G, drift, diffusion, grid.h),
        Setting(grid, 1.0, size, dim=2, initial_fourth=size),
    )
    for bound in (GronwallFrobenius(), GronwallSpectral(), LogNorm()):
        assert is_below(np.sqrt(second), bound.discrete(given, where))
    assert is_below(fourth**0.25, FourthMoment().discrete(given, where))
    assert is_below(fourth - second**2, FourthMoment().variance(given, where))


def test_the_order_of_the_three() -> None:
    given = {
        "mu": -1.0,
        "spectral": 2.0,
        "frobenius": 3.0,
        "diffusion": 0.5,
        "drift_error": 1.0,
        "diffusion_error": 0.5,
    }
    where = Setting(GRID, 0.1, 0.2, dim=2)
    for side in ("continuous", "discrete"):
        curves = [getattr(bound, side)(given, where) for bound in (LogNorm(), GronwallSpectral(), GronwallFrobenius())]
        assert (curves[0][1:] < curves[1][1:]).all()
        assert (curves[1][1:] < curves[2][1:]).all()


def test_a_random_start_needs_its_fourth_moment() -> None:
    where = Setting(GRID, 0.1, 0.3)
    assert "initial_fourth" in str(FourthMoment().refuses(where, True, False, False))
    with pytest.raises(InvalidArgument, match="initial_fourth"):
        FourthMoment().discrete(constants(), where)
    assert FourthMoment().refuses(Setting(GRID, 0.1), False, True, True) is None
