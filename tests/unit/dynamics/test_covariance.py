"""The covariance of an error given the base's noise, against explicit products of Jacobians."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from systems import (
    ETA,
    F64,
    RHO,
    Contracting,
    CoupledDiagonal,
    Hidden,
    Network,
    NetworkByHand,
    elementwise,
    fixed,
    sigma,
    sigma_bar,
)
from torch import Tensor

from sdewm.drifts import DoubleWell, Linear
from sdewm.dynamics import (
    BrownianMotion,
    ErrorCovariance,
    LatentSDE,
    RepresentationError,
    StepMap,
    Variations,
    euler_map,
    perturb,
    simulate_coupled,
    tame,
)
from sdewm.exceptions import InvalidArgument, Refused
from sdewm.grid import TimeGrid

GRID = TimeGrid(1.0, 5)
PATHS = 6
WIDE = RepresentationError(diffusion=sigma_bar, correlation="independent")
PLAIN = RepresentationError(diffusion=elementwise, correlation="independent")


class Driven(LatentSDE):
    """A drift and a diffusion that an action reaches."""

    dim, action_dim = 3, 3

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return torch.sin(x.flip(-1)) * a - x

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return 0.4 * torch.cos(x) * a


MAP = StepMap(
    lambda n, x, a: torch.tanh(x.flip(-1)) + 0.3 * torch.sin(x) * n,
    lambda n, x, a: 0.3 + 0.2 * torch.sin(x)[:, :, None] * torch.tensor([1.0, -0.5], dtype=F64),
    dim=3,
    noise_dim=2,
)

# base, error, actions: general, diagonal, scalar and additive noise, derivatives by hand and automatic, maps.
CASES: dict[str, tuple[Any, RepresentationError, Tensor | None]] = {
    "general": (Network(), WIDE, None),
    "general, by hand": (NetworkByHand(), WIDE, None),
    "general, one noise a coordinate": (Network(), PLAIN, None),
    "by hand, one noise a coordinate": (NetworkByHand(), PLAIN, None),
    "diagonal": (Contracting("diagonal"), WIDE, None),
    "diagonal, entries of all coordinates": (CoupledDiagonal(), PLAIN, None),
    "diagonal, by hand": (DoubleWell(dim=3), PLAIN, None),
    "scalar": (Contracting("scalar"), WIDE, None),
    "additive": (Contracting("additive"), WIDE, None),
    "Stratonovich": (CoupledDiagonal("stratonovich"), PLAIN, None),
    "tamed": (tame(DoubleWell(dim=3), GRID), PLAIN, None),
    "map": (MAP, PLAIN, None),
    "map of an equation": (euler_map(NetworkByHand(), GRID), WIDE, None),
    "driven": (Driven(), WIDE, fixed(5, 3, seed=3)),
    "perturbed base": (
        perturb(Contracting("diagonal"), RepresentationError(sigma, elementwise, ETA), 0.3),
        PLAIN,
        None,
    ),
    "zero as a number": (Network(), RepresentationError(diffusion=sigma_bar, correlation=0.0), None),
    "zero as a matrix": (Network(), RepresentationError(diffusion=sigma_bar, correlation=0 * RHO), None),
}


def products(base: Any, error: RepresentationError, actions: Tensor | None, noise: bool = True) -> Tensor:
    """J_{N−1} … J_{n+1} σ̄_n for every path and n: (paths, dim, steps · error noises), the Jacobians path by path.

    Without `noise` the Jacobians are those of the mean alone, which is wrong.
    """
    step = base if isinstance(base, StepMap) else euler_map(base, GRID)
    scale = 1.0 if isinstance(base, StepMap) else math.sqrt(GRID.h)
    # The groups of normals: the base's own, and those of an error that it already has.
    xi = torch.cat([BrownianMotion(0, GRID, width, purpose).normals(PATHS) for purpose, width in step.noise_groups], 2)
    assert error.diffusion is not None
    result = []
    for path in range(PATHS):
        x = torch.full((1, 3), 0.5, dtype=F64)
        x = x if step.start is None else step.start(x, path)
        x, columns = x[0], torch.zeros(3, 0, dtype=F64)
        for n in range(GRID.steps):
            a = None if actions is None else actions[n][None]
            mean, spread = step.mean(n, x[None], a)[0].detach(), step.scale(n, x[None], a)[0].detach()
            jacobian = torch.autograd.functional.jacobian(lambda y: step.mean(n, y[None], a)[0], x)  # noqa: B023
            slopes = torch.autograd.functional.jacobian(lambda y: step.scale(n, y[None], a)[0], x)  # noqa: B023
            if noise:
                ones = (
                    slopes * xi[n, path][:, None]
                    if spread.ndim == 1
                    else torch.einsum("dmj,m->dj", slopes, xi[n, path])
                )
                jacobian = jacobian + ones
            t = torch.tensor(float(n) if isinstance(base, StepMap) else GRID.time(n), dtype=F64)
            fresh = scale * error.diffusion(t, x[None])[0]
            fresh = torch.diag(fresh) if fresh.ndim == 1 else fresh
            columns = torch.cat((jacobian @ columns, fresh), dim=1)
            x = mean + (spread * xi[n, path] if spread.ndim == 1 else spread @ xi[n, path])
        result.append(columns)
    return torch.stack(result)


@pytest.mark.parametrize("name", CASES)
def test_covariance_is_the_sum_over_products_of_jacobians(name: str) -> None:
    """C_N = Σ_n (J … J σ̄_n)(J … J σ̄_n)ᵀ for every path, its trace the sum of squares; without noise in J it is not."""
    base, error, actions = CASES[name]
    members = {"c": ErrorCovariance(base, error), "x": base}
    run = simulate_coupled(members, 0.5, GRID, PATHS, actions=actions)
    x, flat = run["c"]
    # A perturbed system adds up its columns of noise in another order.
    digits = 1e-13 if name == "perturbed base" else 0.0
    torch.testing.assert_close(x.final, run["x"].final.detach(), rtol=digits, atol=digits)
    found = flat.final.reshape(PATHS, 3, 3)
    columns = products(base, error, actions)
    torch.testing.assert_close(found, columns @ columns.mT, rtol=1e-12, atol=1e-13)
    traces = simulate_coupled(
        {"c": members["c"]}, 0.5, GRID, PATHS, actions=actions, observe=lambda states: states["c"].trace
    )
    assert float(traces.moments[0].mean[0]) == pytest.approx(float(columns.square().sum((1, 2)).mean()), rel=1e-12)
    assert float((found - found.mT).abs().max()) < 1e-14
    assert float(torch.linalg.eigvalsh(found).min()) > -1e-14
    if name != "additive":  # there the noise has no derivative
        wrong = products(base, error, actions, noise=False)
        assert not torch.allclose(found, wrong @ wrong.mT, rtol=1e-2)


@pytest.mark.parametrize("name", CASES)
def test_first_variation_is_linear_in_the_errors_normals_with_this_covariance(name: str) -> None:
    """y₁ = Σ_n J … J σ̄_n ζ_n with the error's own standard normals ζ: so that E[y₁ y₁ᵀ | B] is C, without sampling."""
    base, error, actions = CASES[name]
    run = simulate_coupled({"v": Variations(base, error)}, 0.5, GRID, PATHS, actions=actions)
    groups = base.noise_groups if hasattr(base, "noise_groups") else (("paths", 0),)
    columns = products(base, error, actions)
    width = columns.shape[2] // GRID.steps
    zeta = BrownianMotion(0, GRID, width, f"error-{len(groups)}").normals(PATHS)
    expected = torch.einsum("pik,pk->pi", columns, zeta.transpose(0, 1).reshape(PATHS, -1))
    torch.testing.assert_close(run["v"][1].final, expected, rtol=1e-11, atol=1e-12)


def test_a_scalar_in_closed_form() -> None:
    """dx = a x dt + c dW: the variance of the Euler scheme is c²h Σ (1 + ah)^2k."""
    a, c, grid = -1.5, 0.7, TimeGrid(2.0, 16)
    error = RepresentationError(diffusion=lambda t, x: torch.full_like(x, c), correlation="independent")
    run = simulate_coupled([ErrorCovariance(Linear(a), error)], 0.3, grid, paths=2, save="all")
    q = (1.0 + a * grid.h) ** 2
    for n in (0, 1, 5, 16):
        expected = c**2 * grid.h * (1.0 - q**n) / (1.0 - q)
        assert run[0][1].at(grid.time(n)).flatten().tolist() == pytest.approx([expected] * 2, rel=1e-13, abs=1e-300)


def test_the_covariance_at_the_start_is_zero_and_of_one_step_is_that_of_its_noise() -> None:
    """C₀ = 0 and C₁ = h σ̄σ̄ᵀ, from whatever start."""
    x0 = fixed(4, 3)
    run = simulate_coupled([ErrorCovariance(Network(), WIDE)], x0, GRID, save="all")
    flat = run[0][1].states
    assert not flat[0].any()
    spread = sigma_bar(torch.tensor(0.0, dtype=F64), x0)
    torch.testing.assert_close(flat[1].reshape(4, 3, 3), GRID.h * spread @ spread.mT, rtol=1e-14, atol=0)


def test_blocks_and_dtypes() -> None:
    """To the bit the same for any number of paths; in float32 the same to its digits."""
    member = ErrorCovariance(Contracting("diagonal"), PLAIN)
    few, many = (simulate_coupled([member], 0.5, TimeGrid(0.4, 2), paths=n)[0][1].final for n in (7, 4100))
    assert torch.equal(few, many[:7])
    single = ErrorCovariance(Contracting("diagonal", torch.float32), PLAIN)
    found = simulate_coupled([single], 0.5, TimeGrid(0.4, 2), paths=7)[0][1].final
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), few, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("error", "correlation"),
    [
        (RepresentationError(sigma, elementwise, correlation="independent"), "'independent'"),
        (RepresentationError(None, elementwise, ETA, "independent"), "'independent'"),
        (RepresentationError(drift=sigma), "'shared'"),
        (RepresentationError(initial=ETA, correlation="independent"), "'independent'"),
        (RepresentationError(diffusion=elementwise), "'shared'"),
        (RepresentationError(diffusion=elementwise, correlation=0.1), r"0\.1"),
        (RepresentationError(diffusion=sigma_bar, correlation=RHO), "tensor"),
    ],
    ids=["drift", "start", "drift alone", "start alone", "shared", "partly", "matrix"],
)
def test_errors_of_which_it_is_not_the_covariance(error: RepresentationError, correlation: str) -> None:
    """A drift, a start, or noise that is the base's."""
    with pytest.raises(Refused, match=r"no drift, no initial part and correlation='independent'.*; got") as caught:
        ErrorCovariance(Network(), error)
    assert correlation.replace("\\", "") in str(caught.value)


def test_what_is_no_error_is_refused() -> None:
    """By its type."""
    with pytest.raises(InvalidArgument, match="error must be a RepresentationError, got float"):
        ErrorCovariance(Network(), 0.1)  # type: ignore[arg-type]


def test_a_hidden_derivative_is_noticed() -> None:
    """As by `Variations`: the Jacobian of this drift would silently be that of a constant."""
    with pytest.raises(Refused, match=r"derivative of Hidden\.f"):
        simulate_coupled([ErrorCovariance(Hidden(), PLAIN)], 0.5, GRID, PATHS)


@pytest.mark.parametrize(
    ("base", "error", "says"),
    [
        (
            Network(),
            RepresentationError(diffusion=lambda t, x: x[:, :2], correlation="independent"),
            "the error's diff",
        ),
        (Driven(), PLAIN, "Driven takes actions of dimension 3"),
    ],
    ids=["shape", "actions"],
)
def test_shapes(base: Any, error: RepresentationError, says: str) -> None:
    """Checked before anything runs, in the same words as elsewhere."""
    run: Callable[[], Any] = lambda: simulate_coupled([ErrorCovariance(base, error)], 0.5, GRID, PATHS)  # noqa: E731
    with pytest.raises(InvalidArgument, match=says):
        run()
