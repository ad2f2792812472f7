"""The bounds on error propagation on three systems: a non-normal one, a double well, and a random network.

The first is linear, so that its truth is exact. Of the other two 512 paths are simulated, and the bounds have to stay
above what is seen by a tenth: the bounds are further away than that, and 512 paths closer to the truth.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from exact_errors import Array, is_below, planar_constants, planar_moments, weighted_constants

from sdewm import TimeGrid
from sdewm.drifts import DoubleWell, TanhNetwork
from sdewm.theory.bounds import (
    Bound,
    FourthMoment,
    GaussianQuantile,
    GronwallFrobenius,
    GronwallSpectral,
    LogNorm,
    Setting,
    Supremum,
    Weighted,
    mean_value_jacobian,
)
from sdewm.theory.bounds.mean_value import diffusion_columns
from sdewm.theory.bounds.random_jacobian import right_side, step_growth_rate
from sdewm.theory.bounds.steps import recursion

EPS, START = 0.05, 0.01
MOMENTS: tuple[Bound, ...] = (GronwallFrobenius(), GronwallSpectral(), LogNorm(), FourthMoment())
Field = Callable[[Array], Array]

# ---- the non-normal linear system ------------------------------------------------------------------------------------

A = np.array([[-1.0, 10.0], [0.0, -1.5]])
G = np.array([0.3 * np.eye(2), np.zeros((2, 2))])
WEIGHT = [[0.004265, 0.024947], [0.024947, 1.0]]
NO_DRIFT, NO_DIFFUSION = np.zeros(2), np.zeros((2, 2))
ERRORS = {
    "initial": (NO_DRIFT, NO_DIFFUSION, np.array([0.0, START])),
    "drift": (np.array([0.0, EPS]), NO_DIFFUSION, np.zeros(2)),
    "diffusion": (NO_DRIFT, np.array([[0.0, 0.0], [0.0, 0.5 * EPS]]), np.zeros(2)),
    "all": (np.array([EPS, 0.0]), np.array([[0.0, 0.3 * EPS], [0.4 * EPS, 0.0]]), np.array([-START, 0.0])),
}


def non_normal(kind: str, grid: TimeGrid) -> tuple[Array, Array, dict[str, float], Setting]:
    """E|e|² and E|e|⁴ of the steps, the constants, and the setting."""
    drift, diffusion, e0 = ERRORS[kind]
    second, fourth = planar_moments(grid, A, G, drift, diffusion, e0)
    size = float(np.linalg.norm(e0))
    given = {**planar_constants(A, G, drift, diffusion, grid.h)}
    given |= weighted_constants(Weighted(WEIGHT), A, G, drift, diffusion, grid.h)
    moment = tuple(map(tuple, np.outer(e0, e0).tolist()))
    # The sizes of the error are in its parts.
    return second, fourth, given, Setting(grid, 1.0, size, dim=2, initial_moment=moment, initial_fourth=size)


@pytest.mark.parametrize("kind", ERRORS)
def test_the_non_normal_system_stays_below(kind: str) -> None:
    second, fourth, given, where = non_normal(kind, TimeGrid(4.0, 100))
    for bound in (*MOMENTS, Weighted(WEIGHT)):
        truth = fourth**0.25 if bound.power == 4.0 else np.sqrt(second)
        assert is_below(truth, bound.discrete(given, where))
        loose = {name: value for name, value in given.items() if name not in bound.optional}
        assert is_below(truth, bound.discrete(loose, where))
    assert is_below(fourth - second**2, FourthMoment().variance(given, where))
    # What is at the end is below the maximum on the way.
    assert is_below(np.sqrt(np.maximum.accumulate(second)), Supremum().discrete(given, where))


def test_the_figures_of_the_tightness_table() -> None:
    grid = TimeGrid(4.0, 400)
    second, _, given, where = non_normal("initial", grid)
    truth = math.exp(0.5 * 0.09 * 4.0) * START * math.hypot(20.0 * (math.exp(-4.0) - math.exp(-6.0)), math.exp(-6.0))
    assert math.sqrt(second[-1]) == pytest.approx(truth, rel=0.02)
    ratio = {b.name: b.continuous(given, where)[-1] / truth for b in (GronwallFrobenius(), LogNorm(), Weighted(WEIGHT))}
    assert ratio["Gronwall, Frobenius"] == pytest.approx(1.42e18, rel=0.01)
    assert ratio["log-norm"] == pytest.approx(1.06e7, rel=0.01)
    assert ratio["weighted log-norm"] == pytest.approx(1.45, abs=0.005)


def test_a_weight_keeps_the_error_bounded_where_the_log_norm_does_not() -> None:
    ends = {}
    for T in (1.0, 8.0):
        _, _, given, where = non_normal("all", TimeGrid(T, int(50 * T)))
        ends[T] = [bound.discrete(given, where)[-1] for bound in (LogNorm(), Weighted(WEIGHT))]
    assert ends[8.0][0] / ends[1.0][0] > 1e10
    assert ends[8.0][1] < 2.0 * ends[1.0][1] < 20.0


# ---- paths of the other two ------------------------------------------------------------------------------------------


def paths(
    f: Field, g: Field, x0: Array, drift: Array, diffusion: Array, e0: Array, grid: TimeGrid, count: int = 512
) -> tuple[Array, Array]:
    """Euler paths of the base and with the error, diagonal and shared noise: (steps + 1, paths, dim) each."""
    rng = np.random.default_rng(0)
    x = np.broadcast_to(x0, (count, len(x0)))
    y = x + e0
    states = [(x, y)]
    for _ in range(grid.steps):
        noise = math.sqrt(grid.h) * rng.standard_normal(x.shape)
        x, y = x + grid.h * f(x) + g(x) * noise, y + grid.h * (f(y) + drift) + (g(y) + diffusion) * noise
        states.append((x, y))
    return np.stack([x for x, _ in states]), np.stack([y for _, y in states])


def size(e: Array, power: float = 2.0) -> Array:
    """(mean |e|^p)^(1/p) at each time."""
    return np.asarray((np.sum(e * e, -1) ** (power / 2.0)).mean(-1) ** (1.0 / power))


def parts(kind: str, dim: int) -> tuple[Array, Array, Array]:
    """Drift and diffusion error, and the error of the start."""
    unit = np.full(dim, dim**-0.5)
    return {
        "initial": (0.0 * unit, 0.0 * unit, START * unit),
        "drift and diffusion": (EPS * unit, 0.5 * EPS * unit, 0.0 * unit),
    }[kind]


def check_from_time_one(e: Array, bounds: tuple[Bound, ...], given: dict[str, float], where: Setting) -> None:
    """Before time 1 the bounds are nearly attained, and 512 paths could not tell."""
    times = range(where.grid.index(1.0), where.grid.steps + 1)
    for bound in bounds:
        curve = bound.discrete(given, where)
        if bound.running:
            seen = np.asarray([float(bound.observed(torch.from_numpy(e[: n + 1])).mean()) ** 0.5 for n in times])
        else:
            seen = size(e, bound.power)[times.start :]
        assert is_below(1.1 * seen, curve[times.start :]), bound.name


def network(gain_seed: int = 0) -> tuple[Field, Field, Array]:
    """Drift, diffusion and the drift's Jacobians at the vertices of {−I + WD}, D in [0, 1]⁸."""
    W = TanhNetwork(8, 0.4, gain_seed).weight.numpy()
    vertices = np.stack([W * np.asarray(d) - np.eye(8) for d in itertools.product((0.0, 1.0), repeat=8)])
    return lambda x: np.tanh(x) @ W.T - x, lambda x: 0.3 + 0.2 * np.tanh(x), vertices


def network_constants(vertices: Array, drift: Array, diffusion: Array, h: float) -> dict[str, float]:
    """Exact suprema over the hull: each is a convex function of the Jacobian, so that vertices suffice."""
    return {
        "mu": float(np.linalg.eigvalsh(0.5 * (vertices + vertices.transpose(0, 2, 1)))[:, -1].max()),
        "spectral": float(np.linalg.norm(vertices, 2, axis=(1, 2)).max()),
        "frobenius": float(np.linalg.norm(vertices, axis=(1, 2)).max()),
        "step_norm": float(np.linalg.norm(np.eye(8) + h * vertices, 2, axis=(1, 2)).max()),
        "diffusion": 0.2,
        "drift_error": float(np.linalg.norm(drift)),
        "diffusion_error": float(np.linalg.norm(diffusion)),
    }


@pytest.mark.parametrize("kind", ["initial", "drift and diffusion"])
def test_the_random_network_stays_below(kind: str) -> None:
    grid = TimeGrid(4.0, 100)
    f, g, vertices = network()
    errors = parts(kind, 8)
    x, y = paths(f, g, np.zeros(8), *errors, grid)
    given = network_constants(vertices, *errors[:2], grid.h)
    start = float(np.linalg.norm(errors[2]))
    where = Setting(grid, 1.0, start, dim=8, initial_fourth=start)
    check_from_time_one(y - x, (*MOMENTS, Supremum(), Supremum("own")), given, where)
    ratio = LogNorm().discrete(given, where)[-1] / size(y - x)[-1]
    assert 1.5 < ratio < 5.0
    # The weights of the columns' Jacobians are diagonal; −I + WD with them, at all vertices.
    weight = Weighted(np.eye(8))
    columns = 0.2 * np.stack([np.diag(row) for row in np.eye(8)])[None]
    given |= {
        "weighted_rate": float(weight.rates(vertices, columns).max()),
        "weighted_spectral": given["spectral"],
        "weighted_diffusion": 0.2,
        "weighted_drift_error": given["drift_error"],
        "weighted_diffusion_error": given["diffusion_error"],
    }
    check_from_time_one(y - x, (weight,), given, where)
    # Control: a bound that takes the least log-norm of the hull for the greatest is seen through.
    least = float(np.linalg.eigvalsh(0.5 * (vertices + vertices.transpose(0, 2, 1)))[:, -1].min())
    low = {**given, "mu": 2.0 * least, "spectral": 0.0}
    del low["step_norm"]
    with pytest.raises(AssertionError, match="log-norm"):
        check_from_time_one(y - x, (LogNorm(),), low, where)


@pytest.mark.parametrize("kind", ["initial", "drift and diffusion"])
def test_the_double_well_stays_below_within_a_region(kind: str) -> None:
    grid, region = TimeGrid(4.0, 400), 3.0
    drift, diffusion, e0 = parts(kind, 1)
    x, y = paths(lambda x: x - x**3, lambda x: 0.5 + 0.3 * np.sin(x), np.zeros(1), drift, diffusion, e0, grid)
    # No path leaves the region for which the constants are taken; outside it the steps have no Lipschitz constant.
    assert np.abs(np.stack((x, y))).max() < region
    steepest = 3.0 * region**2 - 1.0
    given = {"mu": 1.0, "spectral": steepest, "frobenius": steepest, "diffusion": 0.3, "step_norm": 1.0 + grid.h}
    given |= {"drift_error": float(np.abs(drift[0])), "diffusion_error": float(np.abs(diffusion[0]))}
    assert 1.0 - grid.h * steepest > 0.0  # so that 1 + h is the largest slope of a step
    start = float(np.abs(e0[0]))
    where = Setting(grid, 1.0, start, initial_fourth=start)
    check_from_time_one(y - x, (*MOMENTS, Supremum(), Supremum("own")), given, where)
    # Two stable states: the log-norm is that of the barrier between them, and most of the time nobody is there.
    assert LogNorm().discrete(given, where)[-1] / size(y - x)[-1] > 2.0


def test_the_log_norm_of_both_paths_is_not_enough() -> None:
    # dx = x − x³ from −1 and from 1: the slope is −2 on both paths, and the error stays 2 for ever.
    none = np.zeros(1)
    x, y = paths(lambda x: x - x**3, np.zeros_like, -np.ones(1), none, none, np.full(1, 2.0), TimeGrid(4.0, 40), 1)
    truth = size(y - x)
    given = {"mu": 1.0, "spectral": 2.0, "diffusion": 0.0, "drift_error": 0.0, "diffusion_error": 0.0}
    where = Setting(TimeGrid(4.0, 40), 1.0, 2.0)
    assert is_below(truth, LogNorm().discrete(given, where))
    assert not is_below(truth, LogNorm().discrete({**given, "mu": -2.0}, where))


def test_quantiles_of_a_network_without_noise() -> None:
    grid = TimeGrid(2.0, 50)
    f, _, vertices = network()
    diffusion = np.full(8, 0.5)
    x, y = paths(f, np.zeros_like, np.zeros(8), np.zeros(8), EPS * diffusion, np.zeros(8), grid)
    given = network_constants(vertices, np.zeros(8), diffusion, grid.h) | {"diffusion_error_operator": 0.5}
    where = Setting(grid, EPS, dim=8, random_base=False, additive_error=True)
    norms = np.linalg.norm(y - x, axis=-1)
    for probability in (0.3, 0.1, 0.02):
        level = GaussianQuantile().quantile(given, where, probability, norms.mean(1))
        assert (np.mean(norms > level[:, None], 1) <= 0.5 * probability).all()
    curve = GaussianQuantile().discrete(given, where)
    assert is_below(1.1 * norms.std(1, ddof=1)[1:], curve[1:])
    # Control: without the mean of |e| most paths exceed the level.
    level = GaussianQuantile().quantile(given, where, 0.3, 0.0)
    assert np.mean(norms[-1] > level[-1]) > 0.3


def test_the_repaired_random_jacobian_bound() -> None:
    grid, dim = TimeGrid(2.0, 40), 3
    system = TanhNetwork(dim, 1.2, 0)
    W = system.weight.numpy()
    none, e0 = np.zeros(dim), np.full(dim, 0.5)
    x, y = paths(
        lambda x: np.tanh(x) @ W.T - x, lambda x: 0.3 + 0.2 * np.tanh(x), np.zeros(dim), none, none, e0, grid, 64
    )
    zero = torch.zeros(())
    columns = diffusion_columns(lambda z: system.g(zero, z), diagonal=True)
    logs = {1.0: torch.zeros(64).double(), 2.0: torch.zeros(64).double()}
    for first, second in zip(x[:-1], y[:-1], strict=True):
        ends = torch.from_numpy(first), torch.from_numpy(second)
        drift = mean_value_jacobian(lambda z: system.f(zero, z), *ends)
        diffusion = mean_value_jacobian(columns, *ends)
        for p in logs:
            logs[p] += step_growth_rate(drift, diffusion, grid.h, p)
    start = torch.full((64,), float(np.linalg.norm(e0)), dtype=torch.float64)
    seen = np.linalg.norm(y[-1] - x[-1], axis=-1)
    for p, integral in logs.items():
        bound = float(right_side(start, integral, p).mean()) ** 0.5
        assert 1.1 * np.mean(seen**p) < bound < 1000.0 * np.mean(seen**p)


def test_declared_diffusions_are_those_of_the_drifts() -> None:
    # What is simulated here in numpy is what the package calls by these names.
    z = np.linspace(-2.0, 2.0, 5)[:, None]
    zero = torch.zeros(())
    assert DoubleWell().f(zero, torch.from_numpy(z)).numpy() == pytest.approx(z - z**3)
    assert DoubleWell().g(zero, torch.from_numpy(z)).numpy() == pytest.approx(0.5 + 0.3 * np.sin(z))
    f, g, _ = network()
    states = np.tile(z, (1, 8))
    system = TanhNetwork(8, 0.4, 0)
    assert system.f(zero, torch.from_numpy(states)).numpy() == pytest.approx(f(states))
    assert system.g(zero, torch.from_numpy(states)).numpy() == pytest.approx(g(states))


def test_the_wrong_growth_of_a_step_is_seen_on_the_non_normal_system() -> None:
    # K = 1 + hμ is below the norm of I + hA, and a start along its first singular vector shows it in one step.
    grid = TimeGrid(0.5, 5)
    given = planar_constants(A, G, NO_DRIFT, NO_DIFFUSION, grid.h)
    e0 = START * np.linalg.svd(np.eye(2) + grid.h * A)[2][0]
    second, _ = planar_moments(grid, A, 0.0 * G, NO_DRIFT, NO_DIFFUSION, e0)
    where = Setting(grid, 1.0, START, dim=2)
    assert is_below(np.sqrt(second), LogNorm().discrete({**given, "diffusion": 0.0}, where))
    wrong = recursion(1.0 + grid.h * given["mu"], 0.0, 0.0, 0.0, 0.0, START, grid.steps)
    assert not is_below(np.sqrt(second), wrong)
