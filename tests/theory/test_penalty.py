"""The Jacobian penalty of a rollout: closed forms, products of Jacobians, and the effect it stands for."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from alarm import assert_covers, assert_misses
from joint import assert_all_cover
from scipy.integrate import quad_vec
from scipy.linalg import expm
from systems import F64, CoupledDiagonal, Network, NetworkByHand, elementwise, fixed, sigma_bar
from torch import Tensor

from sdewm.drifts import DoubleWell, Geometric, Linear
from sdewm.dynamics import (
    BrownianMotion,
    LatentSDE,
    RepresentationError,
    StepMap,
    perturb,
    simulate_coupled,
)
from sdewm.dynamics.covariance import ErrorCovariance
from sdewm.exceptions import InvalidArgument, Refused
from sdewm.grid import TimeGrid
from sdewm.stats.order import negligible, richardson_weights
from sdewm.theory import rollout_penalty
from sdewm.verdict import Outcome

A = torch.tensor([[-0.4, 1.5], [0.0, -0.9]], dtype=F64)
COLUMNS = torch.tensor([[0.5, -0.3, 0.2], [0.1, 0.8, 0.0]], dtype=F64)
INDEPENDENT = RepresentationError(diffusion=elementwise, correlation="independent")


def constant(matrix: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """A constant diffusion error with these columns."""
    return lambda t, x: matrix.expand(len(x), -1, -1)


# --- closed forms ----------------------------------------------------------------------------------------------------


def covariance_integral(t: float) -> float:
    """½ tr ∫₀ᵗ e^{A(t−r)} S Sᵀ e^{Aᵀ(t−r)} dr."""
    a, s = A.numpy(), COLUMNS.numpy()
    value, _ = quad_vec(lambda r: expm(a * (t - r)) @ s @ s.T @ expm(a * (t - r)).T, 0.0, t, epsrel=1e-11)
    return 0.5 * float(np.trace(value))


def discrete_integral(steps: int, t: float) -> float:
    """The same of the Euler scheme, as a sum over products of its constant Jacobian."""
    h = t / steps
    jacobian, total, power = np.eye(2) + h * A.numpy(), 0.0, np.eye(2)
    for _ in range(steps):
        total += 0.5 * h * float(np.linalg.norm(power @ COLUMNS.numpy(), "fro") ** 2)
        power = jacobian @ power
    return total


def test_linear_system() -> None:
    """A non-normal drift without noise: nothing is random, the sums agree to rounding and tend to the integral.

    Extrapolated, their distance falls by four when the step is halved.
    """
    error = RepresentationError(diffusion=constant(COLUMNS), correlation="independent")
    t, off = 1.5, []
    want = covariance_integral(t)
    for steps in (32, 64, 128):
        found = rollout_penalty(Linear(A), error, [0.3, -0.4], TimeGrid(t, steps), paths=3)
        assert found.standard_error < 1e-12
        fine, coarse = (discrete_integral(n, t) for n in (steps, steps // 2))
        assert found.value == pytest.approx(2 * fine - coarse, rel=1e-12)
        off.append(abs(found.value - want))
    assert off[2] < 2e-4 * want
    for coarse, fine in pairwise(off):
        assert math.log2(coarse / fine) == pytest.approx(2.0, abs=0.2)
    # The penalty of the transposed Jacobian, and one without its half, are other numbers.
    transposed = rollout_penalty(Linear(A.T.contiguous()), error, [0.3, -0.4], TimeGrid(t, 128), paths=3).value
    assert min(abs(transposed - want), abs(2 * found.value - want)) > 0.05 * want


def test_geometric_base() -> None:
    """E Φ(t, r)² = e^{κ(t−r)} with κ = 2a + b²: the penalty is c² (e^{κt} − 1) / 2κ, whose limit is c² t / 2.

    The Euler scheme's own value, Σ (1 + κh + a²h²)^k, is covered without a bias.
    """
    steps, pairs = 32, []
    for seed, (a, b, c) in enumerate([(-0.5, 0.6, 1.0), (-0.08, 0.4, -0.8), (0.2, 0.3, 0.5)]):
        error = RepresentationError(diffusion=constant(torch.tensor([[c]], dtype=F64)), correlation="independent")
        kappa = 2 * a + b**2
        fine, coarse = (
            0.5 * c**2 / n * sum((1 + kappa / n + (a / n) ** 2) ** k for k in range(n)) for n in (steps, steps // 2)
        )
        exact = 0.5 * c**2 * (math.expm1(kappa) / kappa if abs(kappa) > 1e-12 else 1.0)
        assert 2 * fine - coarse == pytest.approx(exact, rel=2e-3)
        found = rollout_penalty(Geometric(a, b), error, 0.7, TimeGrid(1.0, steps), paths=16_384, seed=seed)
        pairs.append((found, 2 * fine - coarse))
        # With the mean of Φ in place of its square it would be another number.
        assert_misses(found, 0.5 * c**2 * math.expm1(2 * a) / (2 * a))
    assert_all_cover(pairs)


def test_constant_drift_is_no_matter() -> None:
    """Φ = 1: half the integral of |σ̄|² along the path, for any offsets."""
    system = Linear(0.0, drift_offset=0.7, diffusion_offset=0.2, dim=3)
    error = RepresentationError(diffusion=lambda t, x: (1.0 + t) * torch.ones_like(x), correlation="independent")
    # ½ · 3 · ∫₀² (1 + t)² dt = 13; the sum over the steps' left ends is extrapolated to O(h²).
    found = rollout_penalty(system, error, 0.0, TimeGrid(2.0, 200), paths=2)
    assert found.value == pytest.approx(13.0, abs=1e-3)


# --- products of Jacobians -------------------------------------------------------------------------------------------


def jacobian(step: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """(paths, dim, dim) of a step, column by column."""
    x = x.detach().requires_grad_()
    value = step(x)
    rows = [torch.autograd.grad(value[:, i].sum(), x, retain_graph=True)[0] for i in range(x.shape[1])]
    return torch.stack(rows, 1)


def by_products(system: Any, diffusion: Any, x0: list[float], grid: TimeGrid, paths: int, width: int, k: int) -> Tensor:
    """½ Σ_n ‖J_{N−1} ⋯ J_{n+1} σ̄_n‖_F² of every path on k times the step, all products formed."""
    xi = BrownianMotion(0, grid, width).coarsen(k).normals(paths)
    coarse = grid.coarsen(k)
    x = torch.tensor(x0, dtype=F64).expand(paths, -1)
    jacobians, spreads = [], []
    for n in range(coarse.steps):
        t, h, root = torch.tensor(coarse.time(n), dtype=F64), coarse.h, math.sqrt(coarse.h)

        def step(y: Tensor, n: int = n, t: Tensor = t, h: float = h, root: float = root) -> Tensor:
            g = system.g(t, y)
            kick = g * xi[n] if g.ndim == 2 else torch.einsum("pdk,pk->pd", g, xi[n])
            return y + h * system.f(t, y) + root * kick

        s = diffusion(t, x)
        spreads.append(root * (torch.diag_embed(s) if s.ndim == 2 else s))
        jacobians.append(jacobian(step, x))
        x = step(x).detach()
    total = torch.zeros(paths, dtype=F64)
    for n in range(coarse.steps):
        product = spreads[n]
        for later in jacobians[n + 1 :]:
            product = later @ product
        total += 0.5 * product.square().sum((1, 2))
    return total.detach()


class Bent(LatentSDE):
    """One coordinate kicks the other by its square."""

    dim = 2

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.stack((torch.sin(x[:, 1]) - x[:, 0], torch.cos(x[:, 0]) * t - x[:, 1]), 1)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return 0.3 + 0.4 * torch.sin(x.flip(-1))


SYSTEMS = {
    "general, by hand": (NetworkByHand(), sigma_bar, [0.5, -0.2, 0.3], 2),
    "general": (Network(), elementwise, [0.5, -0.2, 0.3], 2),
    "coupled diagonal": (CoupledDiagonal(), sigma_bar, [0.5, -0.2, 0.3], 3),
    "plane": (Bent(), elementwise, [0.5, -0.2], 2),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_explicit_products_of_jacobians(name: str) -> None:
    """Path by path on the engine's own normals, extrapolated from six and three steps, to 1e-12.

    With the Jacobian of the drift alone, without that of the noise, it is another number.
    """
    system, diffusion, x0, width = SYSTEMS[name]
    grid, paths = TimeGrid(1.0, 6), 9
    error = RepresentationError(diffusion=diffusion, correlation="independent")
    found = rollout_penalty(system, error, x0, grid, paths)
    fine, coarse = (by_products(system, diffusion, x0, grid, paths, width, k) for k in (1, 2))
    values = 2 * fine - coarse
    assert found.value == pytest.approx(float(values.mean()), rel=1e-12)
    assert found.standard_error == pytest.approx(float(values.std()) / 3.0, rel=1e-10)
    assert abs(float(fine.mean()) - found.value) > 1e-3
    run = simulate_coupled({"c": ErrorCovariance(system, error)}, torch.tensor(x0, dtype=F64), grid, paths)
    covariance = run["c"][1].final.reshape(paths, len(x0), len(x0))
    torch.testing.assert_close(0.5 * covariance.diagonal(dim1=1, dim2=2).sum(1), fine, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(covariance, covariance.transpose(1, 2), rtol=1e-12, atol=1e-15)


def test_bias_that_stays_is_said() -> None:
    """Seven steps cannot be extrapolated: the sum over these seven, and a warning."""
    system, diffusion, x0, width = SYSTEMS["plane"]
    error = RepresentationError(diffusion=diffusion, correlation="independent")
    with pytest.warns(UserWarning, match="bias of first order"):
        found = rollout_penalty(system, error, x0, TimeGrid(1.0, 7), 9)
    want = by_products(system, diffusion, x0, TimeGrid(1.0, 7), 9, width, 1)
    assert found.value == pytest.approx(float(want.mean()), rel=1e-12)


def test_step_maps_and_actions() -> None:
    """For a map the integral is a sum over steps, without a step size; actions reach its Jacobian."""
    weight, actions = 0.8 * fixed(2, 2, seed=1), fixed(5, 8, 2, seed=2)  # of each path its own
    step = StepMap(
        lambda n, x, a: torch.tanh(x @ weight.T + a), lambda n, x, a: 0.2 * torch.cos(x + a), 2, 2, action_dim=2
    )
    error = RepresentationError(diffusion=lambda n, x: 0.1 * (1.0 + n) * torch.ones_like(x), correlation="independent")
    found = rollout_penalty(step, error, [0.3, 0.1], TimeGrid(1.0, 5), 8, actions=actions)
    xi = BrownianMotion(0, TimeGrid(1.0, 5), 2).normals(8)
    x, covariance = torch.tensor([0.3, 0.1], dtype=F64).expand(8, 2), torch.zeros(8, 2, 2, dtype=F64)
    for n in range(5):

        def advance(y: Tensor, n: int = n) -> Tensor:
            return torch.tanh(y @ weight.T + actions[n]) + 0.2 * torch.cos(y + actions[n]) * xi[n]

        j = jacobian(advance, x)
        covariance = j @ covariance @ j.transpose(1, 2) + (0.1 * (1 + n)) ** 2 * torch.eye(2, dtype=F64)
        x = advance(x).detach()
    want = 0.5 * covariance.diagonal(dim1=1, dim2=2).sum(1)
    assert found.value == pytest.approx(float(want.mean()), rel=1e-12)


def test_superlinear_drifts_are_tamed() -> None:
    """A double well by tamed steps as `expand` has them, or by Euler steps where these are asked for."""
    options = ("auto", "tamed", "euler")
    auto, tamed, euler = (
        rollout_penalty(DoubleWell(), INDEPENDENT, 1.8, TimeGrid(1.0, 8), 64, scheme=s).value for s in options
    )
    assert auto == tamed
    assert abs(auto - euler) > 1e-6


# --- the effect it stands for ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["general", "plane"])
def test_it_is_the_effect_at_interpolation(name: str) -> None:
    """½|x^ε − x⁰|² / ε² extrapolated to ε = 0 on the same paths: what the penalty misses is negligible.

    What a penalty without its half misses is not.
    """
    system, diffusion, x0, _ = SYSTEMS[name]
    error, grid = RepresentationError(diffusion=diffusion, correlation="independent"), TimeGrid(1.0, 16)
    sizes = (0.02, 0.04, 0.08)
    weights = torch.tensor(richardson_weights(sizes))
    members: dict[Any, Any] = {"c": ErrorCovariance(system, error), "x": system}
    members |= {eps: perturb(system, error, eps) for eps in sizes}

    def observe(states: Any) -> Tensor:
        base, half = states["x"], 0.5 * states["c"].trace
        effect = torch.stack([0.5 * (states[eps] - base).square().sum(1) / eps**2 for eps in sizes], 1) @ weights
        return torch.stack((effect - half, effect - 2 * half, half), 1)

    # So many because one path in thousands carries much of a square: with fewer the tail is doubted.
    run = simulate_coupled(members, torch.tensor(x0, dtype=F64), grid, 65_536, observe=observe)
    right, doubled, size = run.moments[0].estimates()
    assert_covers(right, 0.0)
    assert negligible(right, size).outcome is Outcome.HOLDS
    assert negligible(doubled, size).outcome is Outcome.VIOLATED


def test_executor_and_paths() -> None:
    """The same to the bit on threads; half as many paths agree within their errors."""
    system, diffusion, x0, _ = SYSTEMS["plane"]
    error = RepresentationError(diffusion=diffusion, correlation="independent")
    with ThreadPoolExecutor(2) as pool:
        one, other = (rollout_penalty(system, error, x0, TimeGrid(1.0, 4), 5000, executor=e) for e in (None, pool))
    assert one.value == other.value
    assert one.standard_error == other.standard_error


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        RepresentationError(diffusion=elementwise),
        RepresentationError(diffusion=elementwise, correlation=0.5),
        RepresentationError(diffusion=elementwise, correlation=0.5 * torch.eye(1, dtype=F64)),
        RepresentationError(elementwise, elementwise, correlation="independent"),
        RepresentationError(diffusion=elementwise, initial=0.1, correlation="independent"),
        RepresentationError(drift=elementwise, correlation="independent"),
        RepresentationError(initial=0.1, correlation="independent"),
    ],
    ids=["shared", "partly correlated", "matrix", "drift", "initial", "drift alone", "initial alone"],
)
def test_other_errors_are_refused(error: RepresentationError) -> None:
    """The covariance given the base's noise is that of a zero-drift error with independent noise only."""
    with pytest.raises(Refused, match="no drift, no initial part and correlation='independent'"):
        rollout_penalty(Geometric(), error, 1.0, TimeGrid(1.0, 4), 8)


def test_other_arguments_are_refused() -> None:
    """As everywhere; a correlation of zero, by number or by matrix, is independence."""
    with pytest.raises(InvalidArgument, match="error must be a RepresentationError"):
        rollout_penalty(Geometric(), 0.1, 1.0, TimeGrid(1.0, 4), 8)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="x0 must have"):
        rollout_penalty(Geometric(), INDEPENDENT, [1.0, 2.0], TimeGrid(1.0, 4), 8)
    values = set()
    for rho in ("independent", 0.0, torch.zeros(1, 1, dtype=F64)):
        error = RepresentationError(diffusion=elementwise, correlation=rho)
        values.add(rollout_penalty(Geometric(), error, 1.0, TimeGrid(1.0, 4), 8).value)
    assert len(values) == 1


def test_start_for_each_path_and_single_precision() -> None:
    """One row a path, and float32 states to their own digits."""
    system, diffusion, _, _ = SYSTEMS["plane"]
    error = RepresentationError(diffusion=diffusion, correlation="independent")
    starts = fixed(9, 2, seed=4)
    found = rollout_penalty(system, error, starts, TimeGrid(1.0, 6))
    each = [rollout_penalty(system, error, starts.roll(-k, 0), TimeGrid(1.0, 6)).value for k in range(2)]
    assert found.value == each[0] != each[1]
    single = rollout_penalty(system, error, starts.float(), TimeGrid(1.0, 6))
    assert single.value == pytest.approx(found.value, rel=1e-5)
    assert single.value != found.value
