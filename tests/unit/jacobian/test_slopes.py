"""Bounds over free slopes: closed forms, brute force, and a second derivation of the multipliers."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from sdewm import InvalidArgument
from sdewm.jacobian.chain_bounds import chain_bounds
from sdewm.jacobian.multipliers import _form, _proved, _search, _start, multiplier_bound
from sdewm.jacobian.slopes import SlopeChain, interval_matrix, norm_product, slope_vertices, vertex_bounds

Array = NDArray[np.float64]


def random_chain(
    seed: int, sizes: tuple[int, ...], low: float = 0.0, high: float = 1.0, shift: float = -1.0
) -> SlopeChain:
    rng = np.random.default_rng(seed)
    weights = tuple(rng.normal(size=(b, a)) / math.sqrt(a) for a, b in pairwise(sizes))
    ranges = [np.full(n, low) for n in sizes[1:-1]], [np.full(n, high) for n in sizes[1:-1]]
    return SlopeChain(weights, tuple(ranges[0]), tuple(ranges[1]), shift)


def drawn(chain: SlopeChain, count: int, seed: int = 0) -> Array:
    """Matrices of the chain with slopes at random, half of them at the ends of their ranges."""
    rng = np.random.default_rng(seed)
    result = []
    for k in range(count):
        m = chain.weights[0]
        for w, low, high in zip(chain.weights[1:], chain.lower, chain.upper, strict=True):
            part = rng.uniform(size=len(low)) if k % 2 else rng.integers(0, 2, size=len(low))
            m = w @ ((low + part * (high - low))[:, None] * m)
        result.append(chain.constant + m)
    return np.array(result)


def norms(matrices: Array) -> dict[str, float]:
    found = {
        "spectral": np.linalg.norm(matrices, 2, axis=(1, 2)).max(),
        "frobenius": np.linalg.norm(matrices, axis=(1, 2)).max(),
    }
    if matrices.shape[1] == matrices.shape[2]:
        found["mu"] = np.linalg.eigvalsh((matrices + matrices.swapaxes(1, 2)) / 2)[:, -1].max()
    return {name: float(value) for name, value in found.items()}


def test_two_by_two_by_hand() -> None:
    # −I + W D with W = [[0, 4], [0, 0]]: [[−1, 4d], [0, −1]], worst at d = 1.
    chain = SlopeChain((np.eye(2), np.array([[0.0, 4.0], [0.0, 0.0]])), (np.zeros(2),), (np.ones(2),), -1.0)
    truth = {"mu": 1.0, "spectral": 2.0 + math.sqrt(5.0), "frobenius": math.sqrt(18.0)}
    for name, (low, high) in vertex_bounds(chain).items():
        assert low <= truth[name] <= high < low + 1e-12
    assert truth["mu"] <= multiplier_bound(chain) < truth["mu"] + 1e-5
    assert truth["spectral"] <= multiplier_bound(chain, "spectral") < truth["spectral"] + 1e-4


@pytest.mark.parametrize("seed", range(6))
def test_vertices_are_the_supremum(seed: int) -> None:
    chain = random_chain(seed, (3, 6, 3), low=-0.1, high=1.1)
    found, seen = vertex_bounds(chain), norms(drawn(chain, 4000, seed))
    for name, value in seen.items():
        assert value <= found[name][1]
        assert value >= found[name][0] - 1e-12  # 2000 draws of 64 vertices meet the worst one


def test_slopes_that_move_together_miss_the_worst_vertex() -> None:
    # [[0, 5 d₂], [−5 d₁, 0]] has the log-norm 2.5 |d₂ − d₁|: nothing where all slopes are at one end together.
    chain = SlopeChain((np.eye(2), np.array([[0.0, 5.0], [-5.0, 0.0]])), (np.zeros(2),), (np.ones(2),))
    together = norms(np.array([d * chain.weights[1] for d in (0.0, 0.5, 1.0)]))["mu"]
    low, high = vertex_bounds(chain)["mu"]
    assert together == pytest.approx(0.0, abs=1e-15)
    assert low <= 2.5 <= high < 2.5 + 1e-12
    assert norms(drawn(chain, 100))["mu"] > together + 2.0


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(3, 9, 3), (2, 14, 2), (3, 6, 5, 3), (2, 5, 5, 5, 2), (2, 6, 4)])
@pytest.mark.parametrize("low", [0.0, -0.1, 0.3])
def test_multipliers_bound_all_slopes(sizes: tuple[int, ...], low: float) -> None:
    square = sizes[0] == sizes[-1]
    chain = random_chain(len(sizes), sizes, low, 1.1, shift=-1.0 if square else 0.0)
    seen, found = norms(drawn(chain, 3000)), chain_bounds(chain)
    for kind in ("mu", "spectral") if square else ("spectral",):
        bound = multiplier_bound(chain, kind)
        assert seen[kind] <= bound
        assert bound < norm_product(chain)
    assert all(seen[name] <= found[name].above for name in seen)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["mu", "spectral"])
def test_any_multipliers_give_a_bound(seed: int, kind: str) -> None:
    # What is proved does not rest on what was searched for: neither on the multipliers nor on the rate.
    chain = random_chain(seed, (3, 5, 4, 3))
    seen, rng = norms(drawn(chain, 2000)), np.random.default_rng(seed)
    form = _form(chain, kind)
    for _ in range(5):
        t = _start(chain) * np.exp(rng.normal(size=9))
        for rate in (-50.0, 0.0, 3.0):
            assert _proved(form, chain, rate, t) >= seen[kind]


def test_a_proof_without_the_excess_would_be_caught() -> None:
    chain = random_chain(0, (3, 5, 4, 3))
    seen, form = norms(drawn(chain, 2000)), _form(chain, "mu")
    found = _search(form, _start(chain), 100)
    assert found is not None
    assert found[0] - 1.0 < seen["mu"]  # what a rate that is too low claims by itself
    assert _proved(form, chain, found[0] - 1.0, found[1]) >= seen["mu"]


@pytest.mark.parametrize("seed", range(3))
def test_one_hidden_layer_by_its_own_formula(seed: int) -> None:
    chain = random_chain(seed, (3, 7, 3), 0.0, 1.0)
    w1, w2 = chain.weights
    middle = chain.constant + 0.5 * w2 @ w1

    def formula(log_tau: Array) -> float:
        tau = np.exp(log_tau)
        m = middle + 0.25 * (w2 * tau) @ w2.T + 0.25 * (w1.T / tau) @ w1
        return float(np.linalg.eigvalsh((m + m.T) / 2)[-1])

    best = min(
        (
            minimize(formula, np.full(7, s), method="Powell", options={"maxiter": 300, "ftol": 1e-12})
            for s in (-1, 0, 1)
        ),
        key=lambda r: r.fun,
    )
    assert multiplier_bound(chain) <= best.fun + 2e-3  # Powell stalls at kinks, so that it may end above
    assert multiplier_bound(chain) >= best.fun - 0.05


def test_one_neuron_is_exact() -> None:
    chain = SlopeChain((np.array([[1.0, 2.0]]), np.array([[3.0], [-1.0]])), (np.zeros(1),), (np.ones(1),), 0.0)
    exact = vertex_bounds(chain)
    for kind in ("mu", "spectral"):
        assert exact[kind][0] <= multiplier_bound(chain, kind) < exact[kind][1] + 1e-5


def test_fixed_slopes_are_no_freedom() -> None:
    chain = random_chain(1, (3, 20, 3))
    fixed = replace(chain, lower=(np.full(20, 0.5),), upper=(np.full(20, 0.5),))
    assert len(slope_vertices(fixed)) == 1
    found = vertex_bounds(fixed)
    assert all(high - low < 1e-12 for low, high in found.values())


def test_intervals_contain_every_matrix() -> None:
    chain = random_chain(2, (3, 6, 5, 3), -0.1, 1.1)
    centre, radius = interval_matrix(chain)
    gaps = np.abs(drawn(chain, 1000) - centre)
    assert (gaps <= radius).all()
    assert (gaps.max(0) > 0.1 * radius).all()


def test_the_spectral_product_by_hand() -> None:
    chain = SlopeChain((2.0 * np.eye(2), 3.0 * np.eye(2)), (np.zeros(2),), (np.full(2, 0.5),), -1.0)
    assert norm_product(chain) == pytest.approx(4.0, rel=1e-12)
    assert norm_product(chain, "frobenius") == pytest.approx(3.0 * math.sqrt(2) + math.sqrt(2), rel=1e-12)
    assert chain_bounds(chain)["spectral"].above == pytest.approx(2.0, rel=1e-12)  # −1 + 6 d at d = 1/2


def test_bad_chains_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="fit together"):
        SlopeChain((np.eye(2), np.eye(3)), (np.zeros(2),), (np.ones(2),))
    with pytest.raises(InvalidArgument, match="lower <= upper"):
        SlopeChain((np.eye(1), np.eye(1)), (np.ones(1),), (np.zeros(1),))
    with pytest.raises(InvalidArgument, match="at most 12"):
        vertex_bounds(random_chain(0, (3, 13, 3)))
