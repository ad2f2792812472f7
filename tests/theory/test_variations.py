"""The variations y₁, y₂: four independent ways to them agree, and every term of the formula is needed."""

import math
from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from alarm import assert_covers, assert_misses
from scipy.linalg import sqrtm
from systems import (
    ETA,
    F64,
    RHO,
    CoupledDiagonal,
    Network,
    NetworkByHand,
    elementwise,
    fixed,
    full_error,
    sigma,
    sigma_bar,
    sigma_bar_jvp,
    sigma_jvp,
)
from torch import Tensor
from torch.func import jvp

from sdewm.dynamics import (
    BrownianMotion,
    LatentSDE,
    RepresentationError,
    Terms,
    Variations,
    euler_map,
    perturb,
    simulate_coupled,
)
from sdewm.dynamics.ensemble import prepare
from sdewm.estimate import Moments
from sdewm.grid import TimeGrid

PATHS, GRID = 40, TimeGrid(1.0, 12)
SWITCHES = [f.name for f in fields(Terms)]


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-300))


def run(member: Any, x0: Any = 0.5, grid: TimeGrid = GRID, paths: int = PATHS) -> list[Tensor]:
    """x⁰, y₁ and y₂ at the end."""
    return [part.final for part in simulate_coupled({"v": member}, x0, grid, paths)["v"]]


@cache
def network_noise() -> tuple[Tensor, Tensor]:
    """ξ of the base and ω of the error, ω correlated with ξ by a matrix square root that is not the package's."""
    xi = BrownianMotion(0, GRID, 2).normals(PATHS)
    zeta = BrownianMotion(0, GRID, 2, "error-1").normals(PATHS)
    return xi, xi @ RHO + zeta @ torch.tensor(np.real(sqrtm((torch.eye(2, dtype=F64) - RHO.T @ RHO).numpy())))


# --- four ways to the variations ---------------------------------------------------------------------------------


def test_autodiff_and_both_formulas_agree() -> None:
    """d = 3, two columns of noise that do not commute, σ and σ̄ of time and state, correlated noise, initial error."""
    ways = [
        run(Variations(Network(), full_error(), "autodiff")),
        run(Variations(Network(), full_error(), "formula")),
        run(Variations(NetworkByHand(), full_error(by_hand=True), "formula")),
        run(Variations(NetworkByHand(), full_error(by_hand=True))),
        run(Variations(euler_map(Network(), GRID), per_step(full_error()), "autodiff")),
        run(Variations(euler_map(NetworkByHand(), GRID), per_step(full_error(True)), "formula")),
    ]
    for way in ways[1:]:
        for part, expected in zip(way, ways[0], strict=True):
            assert relative(part, expected) < 1e-12
    system, x, t = Network(), fixed(5, 3), torch.tensor(0.0, dtype=F64)
    g, slope = system.g(t, x), torch.func.vmap(torch.func.jacrev(lambda y: system.g(t, y[None])[0]))(x)
    a, b = (torch.einsum("pij,pj->pi", slope[:, :, k], g[:, :, 1 - k]) for k in (0, 1))
    assert float((a - b).abs().max()) > 0.1  # the columns do not commute


def per_step(error: RepresentationError) -> RepresentationError:
    """The same error in the units of one step of `GRID`."""
    h, root = GRID.h, math.sqrt(GRID.h)

    def scaled(function: Any, factor: float) -> Any:
        if function is None:
            return None
        return lambda n, *args: factor * function(torch.tensor(GRID.time(float(n)), dtype=F64), *args)

    return RepresentationError(
        scaled(error.drift, h),
        scaled(error.diffusion, root),
        error.initial,
        error.correlation,
        scaled(error.drift_jvp, h),
        scaled(error.diffusion_jvp, root),
    )


def test_nested_forward_mode_through_the_whole_trajectory() -> None:
    """The second opinion: x^ε as one function of ε, written out, and differentiated twice at zero."""
    system, h, (xi, omega) = Network(), GRID.h, network_noise()

    def trajectory(eps: Tensor) -> Tensor:
        x = 0.5 + eps * ETA.expand(PATHS, 3)
        for n in range(GRID.steps):
            t = torch.tensor(GRID.time(n), dtype=F64)
            kick = torch.einsum("pdk,pk->pd", system.g(t, x), xi[n])
            error = torch.einsum("pdk,pk->pd", sigma_bar(t, x), omega[n])
            x = x + h * (system.f(t, x) + eps * sigma(t, x)) + math.sqrt(h) * (kick + eps * error)
        return x

    zero, one = torch.zeros((), dtype=F64), torch.ones((), dtype=F64)

    def slope(eps: Tensor) -> Tensor:
        return jvp(trajectory, (eps,), (one,))[1]

    first, second = jvp(slope, (zero,), (one,))
    x, y1, y2 = run(Variations(Network(), full_error()))
    assert relative(x, trajectory(zero)) < 1e-12
    assert relative(y1, first) < 1e-12
    assert relative(y2, second / 2) < 1e-12


def equations(terms: Terms) -> list[Tensor]:
    """The equations of y₁ and y₂, discretised by hand with full tensors of derivatives and their Itô corrections."""
    system, h, (xi, omega) = Network(), GRID.h, network_noise()
    x, y1, y2 = torch.full((PATHS, 3), 0.5, dtype=F64), ETA.expand(PATHS, 3), torch.zeros(PATHS, 3, dtype=F64)
    half = 0.5 if terms.half else 1.0
    extra = 0.0 if terms.ito_correction else 1.0
    for n in range(GRID.steps):
        t = torch.tensor(GRID.time(n), dtype=F64)
        sech = 1 / torch.cosh(x) ** 2
        A = torch.einsum("ij,pj->pij", system.W, sech) - torch.eye(3, dtype=F64)
        A2 = torch.einsum("ij,pj->pij", system.W, -2 * torch.tanh(x) * sech)
        G = torch.einsum("kij,pj->pkij", system.B, torch.cos(x)) * torch.cos(t)
        G2 = torch.einsum("kij,pj->pkij", system.B, -torch.sin(x)) * torch.cos(t)
        s = sigma_bar(t, x)
        drift_hessian = half * torch.einsum("pij,pj->pi", A2, y1**2) * terms.drift_hessian
        hessian = half * torch.einsum("pkij,pj->pki", G2, y1**2) * terms.diffusion_hessian
        mixed = sigma_bar_jvp(t, x, y1) * float(terms.mixed)
        correction = torch.einsum("pkij,pkj->pi", G, hessian) + torch.einsum("kl,pkij,pjl->pi", RHO, G, mixed)
        y2_next = (
            y2
            + h
            * (
                torch.einsum("pij,pj->pi", A, y2)
                + drift_hessian
                + sigma_jvp(t, x, y1) * terms.mixed
                + extra * correction
            )
            + math.sqrt(h) * torch.einsum("pki,pk->pi", torch.einsum("pkij,pj->pki", G, y2) + hessian, xi[n])
            + math.sqrt(h) * torch.einsum("pil,pl->pi", mixed, omega[n])
        )
        y1 = (
            y1
            + h * (torch.einsum("pij,pj->pi", A, y1) + sigma(t, x) + extra * torch.einsum("kl,pkij,pjl->pi", RHO, G, s))
            + math.sqrt(h) * torch.einsum("pkij,pj,pk->pi", G, y1, xi[n])
            + math.sqrt(h) * torch.einsum("pil,pl->pi", s, omega[n])
        )
        y2 = y2_next
        x = x + h * system.f(t, x) + math.sqrt(h) * torch.einsum("pik,pk->pi", system.g(t, x), xi[n])
    return [x, y1, y2]


@pytest.mark.parametrize(
    "without", [(), *((name,) for name in SWITCHES), ("ito_correction", "half"), tuple(SWITCHES)], ids="+".join
)
@pytest.mark.parametrize("by_hand", [False, True])
def test_every_switch_against_the_equations_written_out(without: tuple[str, ...], by_hand: bool) -> None:
    terms = Terms.without(*without)
    member = Variations(NetworkByHand() if by_hand else Network(), full_error(by_hand), "formula", terms)
    for part, expected in zip(run(member), equations(terms), strict=True):
        assert relative(part, expected) < 1e-12


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_changes_the_result(name: str) -> None:
    _, y1, y2 = run(Variations(Network(), full_error()))
    _, z1, z2 = run(Variations(Network(), full_error(), terms=Terms.without(name)))
    assert relative(z2, y2) > 1e-3
    assert (relative(z1, y1) > 1e-3) == (name == "ito_correction")


@pytest.mark.parametrize(
    ("base", "error"),
    [
        (CoupledDiagonal(), RepresentationError(sigma, elementwise, ETA)),
        (CoupledDiagonal(), RepresentationError(sigma, elementwise, ETA, 0.4)),
        (CoupledDiagonal(), RepresentationError(sigma, elementwise, torch.sin, "independent")),
        (CoupledDiagonal(), RepresentationError(sigma, sigma_bar, ETA, fixed(3, 2, seed=12) / 4)),
        (CoupledDiagonal("stratonovich"), RepresentationError(sigma, elementwise, ETA)),
        (perturb(Network(), full_error(), 0.3), RepresentationError(sigma, elementwise, ETA, "independent")),
    ],
    ids=["shared", "partly", "independent", "matrix", "stratonovich", "perturbed"],
)
def test_other_kinds_of_base_and_error(base: Any, error: RepresentationError) -> None:
    auto, formula = run(Variations(base, error, "autodiff")), run(Variations(base, error, "formula"))
    for one, other in zip(auto, formula, strict=True):
        assert relative(one, other) < 1e-12
    uncorrected = run(Variations(base, error, terms=Terms.without("ito_correction")))
    if error.correlation != "independent":
        assert relative(uncorrected[1], auto[1]) > 1e-4
    else:
        assert relative(uncorrected[1], auto[1]) < 1e-12  # nothing to correct in y₁


# --- third: differences in ε ---------------------------------------------------------------------------------------


def measured_order(base: Any, error: RepresentationError, terms: Terms = Terms()) -> float:
    """log₂ of how the RMS of x^ε - x⁰ - εy₁ - ε²y₂ falls when ε is halved."""
    eps = [0.02, 0.01]
    derivatives = "autodiff" if terms.complete else "formula"
    members: dict[Any, Any] = {e: perturb(base, error, e) for e in eps}
    members |= {"x": base, "v": Variations(base, error, derivatives, terms)}
    result = simulate_coupled(members, 0.5, GRID, PATHS)
    _, y1, y2 = (part.final for part in result["v"])
    rest = [(result[e].final - result["x"].final - e * y1 - e**2 * y2).square().mean().sqrt() for e in eps]
    return float(torch.log2(rest[0] / rest[1]))


@pytest.mark.parametrize(
    ("base", "error"),
    [
        (Network(), full_error()),
        (CoupledDiagonal(), RepresentationError(sigma, elementwise, ETA)),
        (CoupledDiagonal(), RepresentationError(diffusion=elementwise, correlation="independent")),
        (Network(), RepresentationError(initial=torch.cos)),
    ],
    ids=["full", "diagonal", "zero drift", "initial"],
)
def test_remainder_of_perturbed_trajectories_is_of_third_order(base: Any, error: RepresentationError) -> None:
    assert 2.9 < measured_order(base, error) < 3.1


@pytest.mark.parametrize(("name", "order"), [(s, 1.0 if s == "ito_correction" else 2.0) for s in SWITCHES])
def test_without_a_term_the_order_is_lost(name: str, order: float) -> None:
    assert measured_order(Network(), full_error(), Terms.without(name)) == pytest.approx(order, abs=0.2)


# --- what the uncorrected form describes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "correlation", ["shared", "independent", RHO, 0.4], ids=["shared", "independent", "matrix", "0.4"]
)
def test_uncorrected_first_variation_is_the_correct_one_of_another_model(correlation: Any) -> None:
    """The model with the extra drift error Σ_kl ρ_kl Dḡ_k σ̄_l, written down from the Jacobians of ḡ."""
    eye = torch.eye(2, dtype=F64)
    named = {"shared": eye, "independent": 0 * eye, 0.4: 0.4 * eye}
    rho = correlation if isinstance(correlation, Tensor) else named[correlation]
    system = Network()

    def other_drift(t: Tensor, x: Tensor) -> Tensor:
        G = torch.einsum("kij,pj->pkij", system.B, torch.cos(x)) * torch.cos(t)
        return sigma(t, x) + torch.einsum("kl,pkij,pjl->pi", rho, G, sigma_bar(t, x))

    error = RepresentationError(sigma, sigma_bar, ETA, correlation)
    other = RepresentationError(other_drift, sigma_bar, ETA, correlation)
    uncorrected = run(Variations(system, error, terms=Terms.without("ito_correction")))[1]
    assert relative(uncorrected, run(Variations(system, other, "autodiff"))[1]) < 1e-12
    correct = run(Variations(system, error))[1]
    assert (relative(uncorrected, correct) > 0.01) == (
        correlation != "independent" if isinstance(correlation, str) else True
    )


# --- closed forms, at the step size that is simulated --------------------------------------------------------------


class Linear(LatentSDE):
    """dx = a x dt + b x dB."""

    dim = 1
    a, b = -0.5, 0.6

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return self.a * x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return self.b * x


def linear_moments(steps: int, ito_correction: bool) -> tuple[float, float]:
    """E x y₁ and E y₁² of the Euler scheme for dx = ax dt + (bx + εc) dB, c = x₀ = t = 1, exactly.

    One step is x' = qx + bxs, y' = qy + d + (by + c)s with q = 1 + ah, s = √h ξ, and d = bch in the uncorrected form.
    """
    a, b, c, h = Linear.a, Linear.b, 1.0, 1.0 / steps
    q, d = 1 + a * h, 0.0 if ito_correction else b * c * h
    x, y, xy, yy = 1.0, 0.0, 0.0, 0.0
    for _ in range(steps):
        yy = q * q * yy + 2 * q * d * y + d * d + h * (b * b * yy + 2 * b * c * y + c * c)
        xy = q * q * xy + q * d * x + h * b * (b * xy + c * x)
        x, y = q * x, q * y + d
    return xy, yy


@pytest.mark.parametrize(("ito_correction", "p", "half_s"), [(True, 0.67918, 0.73861), (False, 1.35837, 1.23575)])
def test_minimal_counterexample(ito_correction: bool, p: float, half_s: float) -> None:
    """ℓ = x²: P = 2 E x y₁, S/2 = E y₁², Q = 0; the form without Itô correction doubles P."""
    fine = [linear_moments(n, ito_correction) for n in (20_000, 40_000)]
    limit = [2 * f[1] - f[0] for f in zip(*fine, strict=True)]
    assert (2 * limit[0], limit[1]) == pytest.approx((p, half_s), abs=6e-6)  # the recursion tends to the closed form

    error = RepresentationError(diffusion=lambda t, x: torch.ones_like(x))
    member = Variations(Linear(), error, terms=Terms(ito_correction=ito_correction))

    def observe(states: Any) -> Tensor:
        x, y1, y2 = states["v"]
        return torch.cat((2 * x * y1, y1**2, y2.abs()), dim=1)

    grid = TimeGrid(1.0, 32)
    found = simulate_coupled({"v": member}, 1.0, grid, 40_000, observe=observe).moments[0].estimates()
    xy, yy = linear_moments(32, ito_correction)
    assert_covers(found[0], 2 * xy)
    assert_covers(found[1], yy)
    assert found[2].value == 0.0
    wrong = linear_moments(32, not ito_correction)
    assert_misses(found[0], 2 * wrong[0])
    assert_misses(found[1], wrong[1])


class Cubic(LatentSDE):
    """dx = -x³ dt, no noise of its own."""

    dim = 1

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return -(x**3)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def cubic_coefficient(steps: int, hessian: float) -> float:
    """Q + S/2 of the Euler scheme for dx = -x³dt + ε dB, ℓ = ½(x+1)², x₀ = t = 1; `hessian` multiplies D²g[y₁,y₁]."""
    h, x, variance, second = 1.0 / steps, 1.0, 0.0, 0.0
    for _ in range(steps):
        q = 1 - 3 * x * x * h
        second = q * second - 6 * x * hessian * h * variance
        variance = q * q * variance + h
        x = x - h * x**3
    return (x + 1) * second + 0.5 * variance


@pytest.mark.parametrize(
    ("without", "hessian", "value"), [((), 0.5, -0.2702), (("drift_hessian",), 0.0, 0.1852), (("half",), 1.0, -0.7255)]
)
def test_second_counterexample(without: tuple[str, ...], hessian: float, value: float) -> None:
    limit = 2 * cubic_coefficient(40_000, hessian) - cubic_coefficient(20_000, hessian)
    assert limit == pytest.approx(value, abs=6e-5)
    member = Variations(
        Cubic(), RepresentationError(diffusion=lambda t, x: torch.ones_like(x)), terms=Terms.without(*without)
    )

    def observe(states: Any) -> Tensor:
        x, y1, y2 = states["v"]
        return torch.cat(((x + 1) * y2 + 0.5 * y1**2, y1), dim=1)

    found = simulate_coupled({"v": member}, 1.0, TimeGrid(1.0, 32), 20_000, observe=observe).moments[0].estimates()
    assert_covers(found[0], cubic_coefficient(32, hessian))
    for other in {0.0, 0.5, 1.0} - {hessian}:
        assert_misses(found[0], cubic_coefficient(32, other))


class Root(LatentSDE):
    """dx = √(1 + x²) dB."""

    dim = 1

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.sqrt(1 + x**2)


@pytest.mark.slow
def test_third_counterexample() -> None:
    """Independent noise, ℓ = x: R = 0 at every ε, so Q = 0; without -G_k½D²ḡ_k it is .0269 ± .0003.

    Extrapolated to step size zero from 64 and 32 steps on the same paths; the two forms are compared path by path.
    """
    error = RepresentationError(diffusion=lambda t, x: torch.ones_like(x), correlation="independent")
    forms = {
        "right": Variations(Root(), error),
        "wrong": Variations(Root(), error, terms=Terms.without("ito_correction")),
    }
    runs = [prepare(forms, 1.0, TimeGrid(1.0, 64), 20_000, coarsen=k) for k in (1, 2)]
    moments: Moments | None = None
    for block in runs[0].blocks:
        (fine,), (coarse,) = (list(ensemble.run(block)) for ensemble in runs)
        right, wrong = (2 * fine[name].y2 - coarse[name].y2 for name in ("right", "wrong"))
        part = Moments.of(torch.cat((right, wrong - right), dim=1).numpy())
        moments = part if moments is None else moments.merge(part)
    assert moments is not None
    right_mean, difference = moments.estimates()
    assert_covers(right_mean, 0.0)
    assert_covers(difference, 0.0269, slack=0.0006)
    assert_misses(difference, 0.0)
