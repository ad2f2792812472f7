"""Weights: closed forms, brute force over the hull, simulation of second moments, and what must be refused."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh, expm

from sdewm import InvalidArgument
from sdewm.drifts import Linear, TanhNetwork
from sdewm.jacobian.hull import Hull
from sdewm.theory.constants import Weight, certified_constants, certify_weight, hull_of, search_weight

Array = NDArray[np.float64]
F64 = torch.float64


def first_system() -> Linear:
    """A = [[−1, 10], [0, −1.5]] with the columns .3 x and .5 e₂."""
    a = torch.tensor([[-1.0, 10.0], [0.0, -1.5]], dtype=F64)
    b = torch.zeros(2, 2, 2, dtype=F64)
    b[0] = 0.3 * torch.eye(2, dtype=F64)
    return Linear(a, b, diffusion_offset=torch.tensor([[0.0, 0.0], [0.0, 0.5]], dtype=F64))


def growth(m: Array, a: Array, g: Array) -> float:
    """The least ν of one vertex, by the generalised eigenvalue routine."""
    left = m @ a + a.T @ m + sum((c.T @ m @ c for c in g), np.zeros_like(m))
    return float(eigh(left, m, eigvals_only=True)[-1]) / 2


def random_weight(n: int, seed: int) -> Array:
    root = np.random.default_rng(seed).normal(size=(n, n))
    return np.asarray(root @ root.T + 0.1 * np.eye(n))


def random_hull(seed: int, vertices: int = 5, n: int = 3, columns: int = 2) -> Hull:
    rng = np.random.default_rng(seed)
    return Hull(rng.normal(size=(vertices, n, n)), 0.4 * rng.normal(size=(vertices, columns, n, n)))


def test_the_first_system_contracts_in_some_weight() -> None:
    system = first_system()
    known = certified_constants(system)
    assert 2.0 * known["mu"].value + known["diffusion"].value ** 2 > 7.0
    found = search_weight(hull_of(system))
    # A has eigenvectors: in their metric ν = −1 + .3²/2, and no weight does better.
    assert -0.955 - 1e-12 <= found.nu.value < -0.9549
    assert found.diffusion.value == pytest.approx(0.3, abs=1e-6)
    assert found.condition > 100.0


@pytest.mark.parametrize("seed", range(4))
def test_certificates_equal_the_generalised_eigenvalues(seed: int) -> None:
    hull, m = random_hull(seed), random_weight(3, seed)
    weight = certify_weight(m, hull)
    pairs = list(zip(hull.drift, hull.diffusion, strict=True))
    assert weight.nu.value == pytest.approx(max(growth(m, a, g) for a, g in pairs), abs=1e-9)
    assert weight.nu.value >= max(growth(m, a, g) for a, g in pairs) - 1e-13
    squares = [eigh(sum(c.T @ m @ c for c in g), m, eigvals_only=True)[-1] for g in hull.diffusion]
    assert weight.diffusion.value == pytest.approx(math.sqrt(max(squares)), abs=1e-9)
    root = np.linalg.cholesky(m).T
    lipschitz = max(np.linalg.norm(root @ a @ np.linalg.inv(root), 2) for a in hull.drift)
    assert weight.spectral.value == pytest.approx(lipschitz, abs=1e-9)
    values = np.linalg.eigvalsh(m)
    assert weight.condition == pytest.approx(values[-1] / values[0], rel=1e-9)
    assert weight.least <= values[0]
    assert values[-1] <= weight.greatest


def test_inside_the_hull_nothing_is_worse() -> None:
    hull, m = random_hull(7), random_weight(3, 1)
    weight, rng = certify_weight(m, hull), np.random.default_rng(0)
    inside = []
    for _ in range(500):
        p = rng.dirichlet(np.full(5, 0.3))
        inside.append(growth(m, np.tensordot(p, hull.drift, 1), np.tensordot(p, hull.diffusion, 1)))
    assert max(inside) <= weight.nu.value
    # With one vertex left out the same check fails: it would catch a missed vertex.
    worst = int(np.argmax([growth(m, a, g) for a, g in zip(hull.drift, hull.diffusion, strict=True)]))
    keep = [k for k in range(5) if k != worst]
    assert certify_weight(m, Hull(hull.drift[keep], hull.diffusion[keep])).nu.value < max(inside)


@pytest.mark.parametrize("seed", range(4))
def test_never_worse_than_the_identity(seed: int) -> None:
    hull = random_hull(seed, vertices=3, n=4)
    plain = certify_weight(np.eye(4), hull)
    symmetric = [np.linalg.eigvalsh((a + a.T) / 2)[-1] for a in hull.drift]
    squares = [np.linalg.norm(g.reshape(-1, 4), 2) ** 2 for g in hull.diffusion]
    assert plain.nu.value <= max(symmetric) + max(squares) / 2 + 1e-12  # μ + Λ²/2
    assert search_weight(hull, iterations=30).nu.value <= plain.nu.value
    assert search_weight(hull, iterations=0).nu.value <= plain.nu.value


@pytest.mark.parametrize("seed", range(3))
def test_one_vertex_reaches_the_growth_rate_of_second_moments(seed: int) -> None:
    # The infimum over weights is half the abscissa of X ↦ AᵀX + XA + Σ GᵀXG.
    hull = random_hull(seed, vertices=1)
    a, g, eye = hull.drift[0], hull.diffusion[0], np.eye(3)
    operator = np.kron(a.T, eye) + np.kron(eye, a.T) + sum(np.kron(c.T, c.T) for c in g)
    least = float(np.linalg.eigvals(operator).real.max()) / 2
    found = search_weight(hull)
    assert least - 1e-9 <= found.nu.value <= least + 0.01


def test_second_moments_stay_below_the_weighted_bound() -> None:
    # E|e|² of a linear system by its moment equation: <= condition · exp(2νt) |e₀|², at all times.
    hull = hull_of(first_system())
    found, a, g, eye = search_weight(hull), hull.drift[0], hull.diffusion[0], np.eye(2)
    operator = np.kron(a, eye) + np.kron(eye, a) + sum(np.kron(c, c) for c in g)
    start = np.array([0.0, 1.0])
    initial = float(start @ found.matrix @ start)
    for t in (0.1, 0.5, 1.0, 2.0, 4.0, 8.0):
        second = (expm(operator * t) @ np.outer(start, start).ravel()).reshape(2, 2)
        truth = float(np.trace(second))
        assert float(np.trace(found.matrix @ second)) <= initial * math.exp(2 * found.nu.value * t) * (1 + 1e-9)
        assert truth <= initial / found.least * math.exp(2 * found.nu.value * t) * (1 + 1e-9)
        # The same line with a rate below the growth rate of the moments is violated in the end.
    assert truth > initial / found.least * math.exp(2 * (found.nu.value - 1.0) * 8.0)


@pytest.mark.parametrize("t", [0.1, 0.5, 1.0, 4.0, 8.0])
def test_a_horizon_is_served_by_a_weight_of_its_own(t: float) -> None:
    # From an isotropic start; the truth is the moment equation of the linear system.
    hull, eye = hull_of(first_system()), np.eye(2)
    a, g = hull.drift[0], hull.diffusion[0]
    operator = np.kron(a, eye) + np.kron(eye, a) + sum(np.kron(c, c) for c in g)
    truth = math.sqrt(float(np.trace((expm(operator * t) @ (eye / 2).ravel()).reshape(2, 2))))

    def ratio(weight: Weight) -> float:
        return math.sqrt(float(np.trace(weight.matrix)) / 2 / weight.least) * math.exp(weight.nu.value * t) / truth

    plain, long = certify_weight(eye, hull), search_weight(hull)
    found = search_weight(hull, horizon=t)
    assert 1.0 <= ratio(found) < 1.7
    assert ratio(found) <= ratio(plain) * (1 + 1e-12)
    assert ratio(found) < ratio(long)
    if t == 4.0:  # the table's row: log-norm 1.5e7, weighted 1.45
        assert ratio(plain) == pytest.approx(1.5e7, rel=0.01)
        assert ratio(found) == pytest.approx(1.45, abs=0.01)


def test_the_price_of_a_horizon_is_never_above_the_identitys() -> None:
    for seed in range(4):
        hull = random_hull(seed, vertices=3, n=3)
        plain, found = certify_weight(np.eye(3), hull), search_weight(hull, horizon=1.5, iterations=40)
        price = 2 * 1.5 * found.nu.value + math.log(found.condition)
        assert price <= 2 * 1.5 * plain.nu.value + math.log(plain.condition)


def test_a_network_gains_from_its_weight() -> None:
    hull = hull_of(TanhNetwork(dim=6, gain=0.8, seed=3))
    plain, found = certify_weight(np.eye(6), hull), search_weight(hull, iterations=60)
    assert found.nu.value < plain.nu.value - 0.03
    rates = [growth(found.matrix, a, g) for a, g in zip(hull.drift, hull.diffusion, strict=True)]
    assert max(rates) <= found.nu.value <= max(rates) + 1e-10
    assert found.nu.value >= max(float(np.linalg.eigvals(a).real.max()) for a in hull.drift)


def test_a_radius_is_counted() -> None:
    drift = -np.eye(2)[None]
    plain = certify_weight(np.eye(2), Hull(drift))
    loose = certify_weight(np.eye(2), Hull(drift, None, np.full((1, 2, 2), 0.1)))
    assert plain.nu.value == pytest.approx(-1.0, abs=1e-12)
    assert -0.8 - 1e-12 <= loose.nu.value < -0.79  # the all-ones perturbation of size .1 moves μ by .2
    columns = np.zeros((1, 1, 2, 2))
    noisy = certify_weight(np.eye(2), Hull(drift, columns, None, np.full((1, 1, 2, 2), 0.1)))
    assert 0.2 <= noisy.diffusion.value < 0.3


def test_ill_conditioned_weights_stay_certified() -> None:
    a = np.array([[[-1.0, 3.0], [0.0, -1.1]]])
    for condition in (1e4, 1e8, 1e11):
        m = np.diag([1.0, condition])
        nu = certify_weight(m, Hull(a)).nu.value
        truth = -1.05 + math.hypot(0.05, 1.5 / math.sqrt(condition))
        assert truth <= nu <= truth + 1e-13 * condition


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.diag([1.0, -1.0]), "positive definite"),
        (np.diag([1.0, 0.0]), "positive definite"),
        (np.ones((2, 2)), "positive definite"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        (np.eye(3), "shape"),
        (np.diag([1.0, math.nan]), "finite"),
    ],
)
def test_bad_weights_are_refused(matrix: Array, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        certify_weight(matrix, Hull(-np.eye(2)[None]))


def test_bad_hulls_are_refused() -> None:
    one = np.eye(2)[None]
    for drift, diffusion in ((np.eye(2), None), (one, np.zeros((1, 1, 3, 3))), (np.nan * one, None)):
        with pytest.raises(InvalidArgument, match="drift must be finite"):
            Hull(drift, diffusion)
    with pytest.raises(InvalidArgument, match="drift_radius"):
        Hull(np.eye(2)[None], None, -np.ones((1, 2, 2)))
    with pytest.raises(InvalidArgument, match="horizon"):
        search_weight(Hull(np.eye(2)[None]), horizon=0.0)
    with pytest.raises(InvalidArgument, match="iterations"):
        search_weight(Hull(np.eye(2)[None]), iterations=-1)
