"""The weighted log-norm: its constants, its Euler version, and what a weight does for a non-normal drift."""

import math

import numpy as np
import pytest
from exact_errors import WEIGHT, Array, is_below, planar_constants, planar_moments, scalar, weighted_constants

from sdewm import InvalidArgument, TimeGrid
from sdewm.theory.bounds import LogNorm, Setting, Weighted

A = np.array([[-1.0, 4.0], [0.0, -1.5]])
G = np.array([0.3 * np.eye(2), [[0.0, 0.2], [0.1, 0.0]]])
DRIFT, DIFFUSION = 0.05 * np.array([0.6, 0.8]), 0.05 * np.array([[0.3, 0.4], [0.0, 0.2]])
GRID = TimeGrid(2.0, 40)
START = np.array([0.01, 0.02])


def place(start: Array = START, moment: bool = True) -> Setting:
    size = float(np.linalg.norm(start))
    return Setting(GRID, 1.0, size, dim=2, initial_moment=np.outer(start, start) if moment else None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("M", "message"),
    [
        ([[1.0, 2.0]], "square"),
        ([[1.0, 0.1], [0.0, 1.0]], "symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], "positive definite"),
        ([[1.0, 1.0], [1.0, 1.0]], "positive definite"),
        ([[0.0]], "positive definite"),
        ([[-1.0]], "positive definite"),
        ([[math.nan]], "finite"),
        (np.zeros((0, 0)), "square"),
    ],
)
def test_weights_are_checked(M: object, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        Weighted(M)


def test_the_dimension_is_checked() -> None:
    with pytest.raises(InvalidArgument, match=r"setting\.dim must be that of M, 2, got 1"):
        Weighted(WEIGHT).start(Setting(GRID, 0.1))


def test_constants_are_the_least_that_do() -> None:
    bound, M, h = Weighted(WEIGHT), np.array(WEIGHT), 0.1
    total = M @ A + A.T @ M + sum(g.T @ M @ g for g in G)
    step = (np.eye(2) + h * A).T @ M @ (np.eye(2) + h * A) + h * sum(g.T @ M @ g for g in G)
    for matrix, value in (
        (total, 2.0 * bound.rates(A[None], G[None])[0]),
        (A.T @ M @ A, bound.spectral(A[None])[0] ** 2),
        (sum(g.T @ M @ g for g in G), bound.lipschitz(G[None])[0] ** 2),
        (step, bound.step(A[None], G[None], h)[0] ** 2),
        ((np.eye(2) + h * A).T @ M @ (np.eye(2) + h * A), bound.step_norms(A[None], h)[0] ** 2),
    ):
        # The least eigenvalue of value M − matrix is zero, to rounding: semidefinite, and no smaller value will do.
        assert np.linalg.eigvalsh(value * M - matrix)[0] == pytest.approx(0.0, abs=1e-12)
    v = np.array([[0.3, -0.4]])
    assert bound.norms(v)[0] ** 2 == pytest.approx(v[0] @ M @ v[0])
    assert bound.norms(np.stack([v, 2.0 * v], -1))[0] ** 2 == pytest.approx(5.0 * v[0] @ M @ v[0])
    assert bound.rates(A[None])[0] < bound.rates(A[None], G[None])[0]


def test_a_rate_at_all_points_is_one_for_mean_values() -> None:
    rng, bound = np.random.default_rng(0), Weighted(WEIGHT)
    for _ in range(20):
        drift, columns = rng.standard_normal((5, 2, 2)), rng.standard_normal((5, 3, 2, 2))
        mean = drift.mean(0, keepdims=True), columns.mean(0, keepdims=True)
        assert bound.rates(*mean)[0] <= bound.rates(drift, columns).max() + 1e-12
        assert bound.step(*mean, 0.1)[0] <= bound.step(drift, columns, 0.1).max() + 1e-12
        assert bound.lipschitz(mean[1])[0] <= bound.lipschitz(columns).max() + 1e-12


def test_the_identity_is_the_log_norm() -> None:
    eye = Weighted(np.eye(2))
    given = planar_constants(A, G, DRIFT, DIFFUSION, GRID.h)
    weighted = weighted_constants(eye, A, G, DRIFT, DIFFUSION, GRID.h)
    # Λ² I = Σ GᵀG + a remainder: drift and noise taken together are never worse than apart.
    assert 2.0 * weighted["weighted_rate"] <= 2.0 * given["mu"] + given["diffusion"] ** 2
    apart = weighted | {"weighted_rate": given["mu"] + 0.5 * given["diffusion"] ** 2}
    assert eye.continuous(apart, place()) == pytest.approx(LogNorm().continuous(given, place()))
    assert is_below(eye.continuous(weighted, place()), LogNorm().continuous(given, place()))
    assert is_below(eye.discrete(weighted, place()), LogNorm().discrete(given, place()))
    # Control: with κ in place of K, as where the norm of the step is not known, it may be worse.
    unknown = {name: value for name, value in weighted.items() if name != "weighted_step_norm"}
    diagonal = {**unknown, "weighted_step": math.hypot(given["step_norm"], math.sqrt(GRID.h) * given["diffusion"])}
    assert not is_below(eye.discrete(diagonal, place()), LogNorm().discrete(given, place()))
    known = {**diagonal, "weighted_step_norm": given["step_norm"]}
    assert eye.discrete(known, place()) == pytest.approx(LogNorm().discrete(given, place()))


def test_the_scale_of_the_weight_does_not_matter() -> None:
    for side in ("continuous", "discrete"):
        curves = []
        for scale in (1.0, 1e6):
            bound = Weighted(scale * np.array(WEIGHT))
            curves.append(getattr(bound, side)(weighted_constants(bound, A, G, DRIFT, DIFFUSION, GRID.h), place()))
        assert curves[0] == pytest.approx(curves[1], rel=1e-8)


@pytest.mark.parametrize("start", [(0.0, 0.0), (0.01, 0.02), (0.01, -0.02)])
@pytest.mark.parametrize("best", [True, False])
def test_the_truth_stays_below(start: tuple[float, float], best: bool) -> None:
    second, _ = planar_moments(GRID, A, G, DRIFT, DIFFUSION, np.array(start))
    for weight in (WEIGHT, np.eye(2), [[1.0, 0.0], [0.0, 40.0]], [[1.0, 2.0], [2.0, 30.0]]):
        bound = Weighted(weight)
        given = weighted_constants(bound, A, G, DRIFT, DIFFUSION, GRID.h)
        if not best:
            del given["weighted_step"], given["weighted_step_norm"]
        for moment in (True, False):
            assert is_below(np.sqrt(second), bound.discrete(given, place(np.array(start), moment)))


def test_the_best_step_is_no_worse_than_its_bound() -> None:
    bound = Weighted(WEIGHT)
    for h in (1e-3, 0.05, 0.5):
        given = weighted_constants(bound, A, G, DRIFT, DIFFUSION, h)
        rough = 1.0 + 2.0 * h * given["weighted_rate"] + (h * given["weighted_spectral"]) ** 2
        assert given["weighted_step"] ** 2 <= rough * (1.0 + 1e-12)
        assert rough - given["weighted_step"] ** 2 < 20.0 * h**2


def test_attained_where_the_weight_makes_the_system_scalar() -> None:
    # In every norm the system is de = −e/2 dt + .4 e dB: every start attains the bound in the norm of M, and a start
    # along the least eigenvector in the Euclidean one.
    M = np.diag([1.0, 9.0])
    bound, drift, noise = Weighted(M), -0.5 * np.eye(2), 0.4 * np.eye(2)[None]
    e0 = np.array([0.02, 0.0])
    second, _ = planar_moments(GRID, drift, noise, np.zeros(2), np.zeros((1, 2)), e0)
    given = weighted_constants(bound, drift, noise, np.zeros(2), np.zeros((1, 2)), GRID.h)
    assert bound.discrete(given, place(e0)) == pytest.approx(np.sqrt(second))
    del given["weighted_step"]
    assert bound.discrete(given, place(e0)) == pytest.approx(np.sqrt(second))
    exact = 0.02 * np.exp((-0.5 + 0.08) * np.asarray(GRID.times))
    assert bound.continuous(given, place(e0)) == pytest.approx(exact)
    # Without the moment of the start its direction is not known: the worst one is 3 times as far in the norm of M.
    assert bound.continuous(given, place(e0, moment=False)) == pytest.approx(3.0 * exact)


def test_the_noise_belongs_to_the_rate() -> None:
    # Control: a rate from the drift alone is violated.
    drift, noise = -0.5 * np.eye(2), 0.4 * np.eye(2)[None]
    e0, bound = np.array([0.02, 0.0]), Weighted(np.diag([1.0, 9.0]))
    second, _ = planar_moments(GRID, drift, noise, np.zeros(2), np.zeros((1, 2)), e0)
    given = weighted_constants(bound, drift, noise, np.zeros(2), np.zeros((1, 2)), GRID.h)
    given = {**given, "weighted_rate": float(bound.rates(drift[None])[0])}
    given["weighted_step"] = float(bound.step(drift[None], None, GRID.h)[0])
    assert not is_below(np.sqrt(second), bound.discrete(given, place(e0)))
    # Control: the root of the least eigenvalue is needed to return to the Euclidean norm.
    M = np.array([[1.0, 0.0], [0.0, 40.0]])
    weighted = Weighted(M)
    second, _ = planar_moments(GRID, A, G, DRIFT, DIFFUSION, START)
    curve = weighted.discrete(weighted_constants(weighted, A, G, DRIFT, DIFFUSION, GRID.h), place())
    assert not is_below(np.sqrt(second), curve * math.sqrt(weighted.least / weighted.greatest))


def test_a_weight_tells_transient_growth_from_growth() -> None:
    far = np.array([[-1.0, 10.0], [0.0, -1.5]])
    noise, none = 0.3 * np.eye(2)[None], (np.zeros(2), np.zeros((1, 2)))
    e0, grid = np.array([0.0, 0.01]), TimeGrid(4.0, 400)
    second, _ = planar_moments(grid, far, noise, *none, start=e0)
    truth = math.sqrt(second[-1])
    where = Setting(grid, 1.0, 0.01, dim=2, initial_moment=np.outer(e0, e0))  # type: ignore[arg-type]
    weight = Weighted([[0.004265, 0.024947], [0.024947, 1.0]])
    given = weighted_constants(weight, far, noise, *none, h=grid.h)
    assert given["weighted_rate"] < 0.0
    assert 1.0 < weight.discrete(given, where)[-1] / truth < 1.46
    assert LogNorm().discrete(planar_constants(far, noise, *none, h=grid.h), where)[-1] / truth > 1e7


@pytest.mark.parametrize("a", [0.5, -0.5])
def test_the_first_step_of_a_scalar_system_is_exact(a: float) -> None:
    # From a fixed start nothing of a first step is left to inequalities: κ with the noise, K without it.
    bound, h = Weighted([[4.0]]), GRID.h
    exact = scalar(GRID, a, 0.7, 0.6, 0.5, 0.2, eps=0.3)[:, 2]
    given = weighted_constants(bound, np.array([[a]]), np.array([[[0.7]]]), np.array([0.6]), np.array([[0.5]]), h)
    curve = bound.discrete(given, Setting(GRID, 0.3, 0.2))
    assert curve[1] ** 2 == pytest.approx(exact[1])
    assert is_below(np.sqrt(exact), curve)
    del given["weighted_step"], given["weighted_step_norm"]
    rough = bound.discrete(given, Setting(GRID, 0.3, 0.2))
    assert is_below(np.sqrt(exact), rough)
    # An expanding drift has K = 1 + hL_M.
    assert (rough[1] == pytest.approx(curve[1])) == (a > 0.0)
