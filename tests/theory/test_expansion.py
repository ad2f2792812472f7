"""P, Q, S of an expansion: against closed forms, against differences of the measured effect, and their intervals."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from alarm import FALSE_ALARM, assert_covers, assert_misses, spend
from closed_forms import cubic_counterexample, kolmogorov, minimal_counterexample, third_counterexample
from joint import assert_all_cover
from scipy.integrate import solve_ivp
from scipy.stats import binom, chi2
from systems import ETA, Contracting, Network, elementwise, fixed, full_error, sigma, sigma_bar
from torch import Tensor, nn

from sdewm.drifts import Cubic, DoubleWell, Geometric, Linear, TanhNetwork
from sdewm.dynamics import (
    BrownianMotion,
    LatentSDE,
    RepresentationError,
    StepMap,
    Terms,
    Variations,
    simulate,
    simulate_coupled,
)
from sdewm.estimate import Estimate
from sdewm.exceptions import InvalidArgument, NumericalFailure, Refused
from sdewm.grid import TimeGrid
from sdewm.theory import Expansion, expand

F32, F64 = torch.float32, torch.float64


def square(x: Tensor) -> Tensor:
    """|x|²."""
    return (x**2).sum(-1)


def total(x: Tensor) -> Tensor:
    """Sum of the coordinates."""
    return x.sum(-1)


def smooth(x: Tensor) -> Tensor:
    """A loss with derivatives of every order that mixes the coordinates."""
    return torch.sin(x.sum(-1)) + 0.3 * (x**2).sum(-1) * torch.cos(x[:, 0])


def constant(c: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A constant diffusion error, one noise a coordinate."""
    return lambda t, x: torch.full_like(x, c)


UNIT = RepresentationError(diffusion=constant(1.0))


# --- the minimal counterexample --------------------------------------------------------------------------------------

TRIPLES = {
    "as quoted": (-0.5, 0.6, 1.0, 1.0, 1.0),
    "a + b² = 0, negative c": (-0.16, 0.4, -1.2, 1.0, 1.0),
    "κ = 0": (-0.08, 0.4, 0.8, 1.0, 1.0),
    "a = 0, t = 0.5": (0.0, 0.4, 1.5, 0.5, 1.0),
    "growing, t = 2": (0.1, 0.25, -0.7, 2.0, 1.0),
    "negative b": (-0.8, -0.4, 0.9, 1.0, 1.0),
    "half correlated": (-0.5, 0.4, 1.0, 1.0, -0.5),
    "independent": (-0.5, 0.4, 1.0, 1.0, 0.0),
}
# The squares are nearly lognormal: with stronger noise the normal limit takes more paths.
PATHS = {"as quoted": 65_536}


@pytest.mark.parametrize("name", TRIPLES)
def test_minimal_counterexample(name: str) -> None:
    """Both forms have their closed values in their intervals, removable limits included."""
    a, b, c, t, rho = TRIPLES[name]
    paths = PATHS.get(name, 12_288)
    correlation: str | float = {1.0: "shared", 0.0: "independent"}.get(rho, rho)
    error = RepresentationError(diffusion=constant(c), correlation=correlation)
    pairs: list[tuple[Estimate, float]] = []
    expansions = {}
    for form in ("ito", "uncorrected"):
        e = expand(Linear(a, b), error, square, 0.8, TimeGrid(t, 32), paths=paths, form=form)
        want = minimal_counterexample(a, b, c, t, x0=0.8, rho=rho, form=form)
        pairs += [(e.P, want.p), (e.Q, want.q), (e.S, want.s), (e.predict(0.3), 0.3 * want.p + 0.09 * want.second())]
        expansions[form] = e
    # Extrapolated bias at h = t/32, far below the intervals' half width.
    assert_all_cover(pairs, slack=1e-3)
    right, wrong = (minimal_counterexample(a, b, c, t, 0.8, rho, form) for form in ("ito", "uncorrected"))
    if rho:
        assert_misses(expansions["uncorrected"].P, right.p)
        assert_misses(expansions["ito"].P, wrong.p)
    else:
        assert expansions["uncorrected"].P.value == expansions["ito"].P.value


def test_linear_loss_has_no_first_order_effect() -> None:
    """ℓ = x: P = 0, and P' = bc (e^{at} − 1)/a. Q and S vanish to the bit."""
    want = 0.6 * (math.exp(-0.5) - 1) / -0.5
    right, wrong = (
        expand(Linear(-0.5, 0.6), UNIT, total, 1.0, TimeGrid(1.0, 32), paths=8192, form=form)
        for form in ("ito", "uncorrected")
    )
    assert_all_cover([(right.P, 0.0), (wrong.P, want)], slack=1e-3)
    assert_misses(wrong.P, 0.0)
    assert right.Q.value == right.S.value == wrong.Q.value == 0.0


def test_two_forms_agree_where_the_correction_vanishes() -> None:
    """Additive base with shared noise: P and S of both forms are the same paths."""
    right, wrong = (
        expand(Linear(-0.5, diffusion_offset=0.6), UNIT, square, 1.0, TimeGrid(1.0, 16), paths=2048, form=form)
        for form in ("ito", "uncorrected")
    )
    assert abs(right.P.value - wrong.P.value) < 1e-14
    assert abs(right.S.value - wrong.S.value) < 1e-14


# --- the second and the third counterexample, and the mixed term -----------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("values", [(1.0, 1.0, 1.0, -1.0, 1.0), (0.6, 0.7, 1.4, 2.5, 1.5), (2.0, 1.3, -0.8, 0.5, 0.5)])
def test_second_counterexample(values: tuple[float, float, float, float, float]) -> None:
    """Cubic damping of a deterministic base, ℓ = (x − target)²/2, in all three readings."""
    rate, noise, x0, target, t = values

    def loss(x: Tensor) -> Tensor:
        return 0.5 * ((x - target) ** 2).sum(-1)

    forms = ("ito", "uncorrected", "uncorrected-drift-hessian")
    wanted = {form: cubic_counterexample(rate, noise, x0, target, t, form) for form in forms}
    error = RepresentationError(diffusion=constant(noise))
    pairs: list[tuple[Estimate, float]] = []
    sums = {}
    for form in forms:
        e = expand(Cubic(rate), error, loss, x0, TimeGrid(t, 64), paths=8192, form=form)
        want = wanted[form]
        sums[form] = e.Q + e.S / 2
        pairs += [(e.P, 0.0), (e.Q, want.q), (e.S, want.s), (sums[form], want.second())]
    assert_all_cover(pairs, slack=5e-4)
    for form in forms[1:]:
        assert_misses(sums[form], wanted["ito"].second())


@pytest.mark.slow
def test_third_counterexample() -> None:
    """dx = √(1+x²) dB + ε dW, ℓ = x: no effect at all, and Q' = .0272 where the correction of y2 is forgotten."""

    class Hyperbolic(LatentSDE):
        dim = 1

        def f(self, t: Tensor, x: Tensor) -> Tensor:
            return torch.zeros_like(x)

        def g(self, t: Tensor, x: Tensor) -> Tensor:
            return torch.sqrt(1 + x**2)

    error = RepresentationError(diffusion=constant(1.0), correlation="independent")
    grid, paths, missing = TimeGrid(1.0, 32), 24_576, "ito_correction"
    right = expand(Hyperbolic(), error, total, 1.0, grid, paths=paths)
    wrong = expand(Hyperbolic(), error, total, 1.0, grid, paths=paths, without=missing)
    assert_all_cover(
        [(right.P, 0.0), (right.Q, 0.0), (right.measure(0.5, seed=1), 0.0), (wrong.Q, third_counterexample())]
    )
    assert_misses(wrong.Q, 0.0)
    assert right.S.value == 0.0
    # The martingale of mean zero that both have in common cancels on the same paths, and the difference is sharp.
    members = {
        "right": Variations(Hyperbolic(), error, "formula"),
        "wrong": Variations(Hyperbolic(), error, terms=Terms.without(missing)),
    }
    run = simulate_coupled(
        members, 1.0, grid, paths=paths, seed=2, observe=lambda states: states["wrong"].y2 - states["right"].y2
    )
    (drop,) = run.moments[0].estimates()
    assert_covers(drop, third_counterexample(), slack=1e-3)  # the Euler scheme's bias at h = 1/32
    assert drop.standard_error < 5e-4


@pytest.mark.slow
def test_mixed_terms_of_the_double_well() -> None:
    """The sign: the true Q + S/2, from Kolmogorov's equation, minus that without Dσ̄ y1 is −.0754 ± .0008."""

    def loss(x: Tensor) -> Tensor:
        return (x**4 / 4 - 0.3 * x).sum(-1)

    error, grid = RepresentationError(diffusion=elementwise), TimeGrid(1.0, 64)
    _, p, second = kolmogorov(
        drift=lambda x: x - x**3,
        diffusion=lambda x: 0.5 + 0.3 * np.sin(x),
        error_drift=lambda x: 0.0 * x,
        error_diffusion=lambda x: 0.5 + 0.4 * np.sin(2 * x),
        rho=1.0,
        loss=lambda x: x**4 / 4 - 0.3 * x,
        x0=0.6,
        t=1.0,
        span=3.5,
    )
    full, reduced = (
        expand(DoubleWell(), error, loss, 0.6, grid, paths=40_960, without=without) for without in ((), ("mixed",))
    )
    assert_all_cover([(full.P, p), (full.Q + full.S / 2, second)], slack=5e-4)
    missed = second - (reduced.Q + reduced.S / 2)
    assert_covers(missed, -0.0754, slack=8e-4)
    assert_misses(missed, 0.0)
    assert full.P.value == reduced.P.value


@pytest.mark.slow
@pytest.mark.parametrize(("rho", "drift"), [(1.0, 0.5), (-0.6, 0.0), (0.0, -0.4)])
def test_against_kolmogorovs_equation(rho: float, drift: float) -> None:
    """A bounded nonlinear scalar system with drift and diffusion error: no variation enters the reference."""

    class Wave(LatentSDE):
        dim = 1

        def f(self, t: Tensor, x: Tensor) -> Tensor:
            return torch.sin(x) - x

        def g(self, t: Tensor, x: Tensor) -> Tensor:
            return 0.5 + 0.3 * torch.cos(2 * x)

    error = RepresentationError(
        drift=lambda t, x: drift * torch.cos(x), diffusion=lambda t, x: 0.6 + 0.4 * torch.sin(x), correlation=rho
    )
    _, p, second = kolmogorov(
        drift=lambda x: np.sin(x) - x,
        diffusion=lambda x: 0.5 + 0.3 * np.cos(2 * x),
        error_drift=lambda x: drift * np.cos(x),
        error_diffusion=lambda x: 0.6 + 0.4 * np.sin(x),
        rho=rho,
        loss=lambda x: np.cos(x) + x**2,
        x0=0.7,
        t=1.0,
        span=6.0,
    )
    e = expand(Wave(), error, lambda x: (torch.cos(x) + x**2).sum(-1), 0.7, TimeGrid(1.0, 32), paths=12_288)
    assert_all_cover([(e.P, p), (e.Q + e.S / 2, second)], slack=2e-3)


# --- every kind of noise, against differences of the measured effect on the same paths -------------------------------


def differences(make: Callable[[RepresentationError], Expansion], error: RepresentationError) -> tuple[float, float]:
    """P and Q + S/2 of the very sample, from effects measured at ±ε and ±2ε, up to ε⁴."""
    plus, minus = make(error), make(error.scaled(-1))
    results = []
    for eps in (0.002, 0.004):
        up, down = plus.measure(eps).value, minus.measure(eps).value
        results.append(((up - down) / (2 * eps), (up + down) / (2 * eps**2)))
    fine, coarse = results
    return (4 * fine[0] - coarse[0]) / 3, (4 * fine[1] - coarse[1]) / 3


class Steered(LatentSDE):
    """A system with actions."""

    dim = 2
    action_dim = 2

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return torch.tanh(x * a) - x

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return 0.3 + 0.2 * torch.sin(x + a)


def wide(columns: int) -> RepresentationError:
    """A diffusion error with some columns, together with drift and initial error, on shared noise."""
    mix = fixed(3, columns, seed=21)
    return RepresentationError(
        drift=lambda t, x: sigma(t, x),
        diffusion=lambda t, x: 0.3 * mix + 0.5 * torch.sin(x)[:, :, None] * mix.flip(0),
        initial=ETA,
    )


def step_map(scale: str) -> StepMap:
    """A hand-written map with noise on some coordinates only, or with a matrix scale."""
    weight, mix = 0.6 * fixed(3, 3, seed=22), 0.4 * fixed(3, 2, seed=23)

    def mean(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        return torch.tanh(x @ weight.T) + 0.1 * math.sin(n)

    def diagonal(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        return (0.2 + 0.1 * torch.cos(x)) * torch.tensor([1.0, 0.0, 1.0], dtype=x.dtype)

    def matrix(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        return mix * torch.cos(x)[:, :, None]

    return StepMap(mean, diagonal, 3, 3) if scale == "diagonal" else StepMap(mean, matrix, 3, 2)


INDEPENDENT = RepresentationError(diffusion=elementwise, correlation="independent")
MIXED = RepresentationError(drift=lambda t, x: 0.3 + torch.cos(x), diffusion=elementwise, initial=0.4, correlation=-0.7)
CASES: dict[str, tuple[Any, RepresentationError, float | Tensor]] = {
    "diagonal, 3": (Contracting("diagonal"), RepresentationError(diffusion=elementwise), 0.4),
    "diagonal, 3, partly correlated": (Contracting("diagonal"), MIXED, 0.4),
    "scalar, 3": (Contracting("scalar"), wide(1), 0.4),
    "additive, 3": (Contracting("additive"), wide(2), 0.4),
    "general, 3": (Contracting("general"), wide(2), 0.4),
    "general, 3, independent": (Contracting("general"), INDEPENDENT, 0.4),
    "general, 3, matrix of correlations": (Network(), full_error(), 0.4),
    "general, 3, rows for a start": (Network(), RepresentationError(sigma, sigma_bar), fixed(64, 3, seed=24)),
    "double well, 1": (DoubleWell(), MIXED, 0.6),
    "geometric, 1": (Geometric(), INDEPENDENT, 0.6),
    "cubic, 3, no noise": (Cubic(dim=3), RepresentationError(drift=sigma, initial=ETA), 0.6),
    "cubic, 1, error noise only": (Cubic(), RepresentationError(diffusion=elementwise), 0.9),
    "tanh network, 8": (TanhNetwork(dim=8), MIXED, 0.6),
    "linear, 1": (Linear(-0.5, 0.6), MIXED, 1.0),
    "step map, diagonal": (step_map("diagonal"), MIXED.scaled(0.1), torch.tensor([0.4, -0.2, 0.7], dtype=F64)),
    "step map, matrix": (step_map("matrix"), wide(2).scaled(0.05), torch.tensor([0.4, -0.2, 0.7], dtype=F64)),
    "step map, correlations": (
        step_map("matrix"),
        full_error().scaled(0.05),
        torch.tensor([0.4, -0.2, 0.7], dtype=F64),
    ),
    "step map, independent": (step_map("matrix"), INDEPENDENT.scaled(0.1), torch.tensor([0.4, -0.2, 0.7], dtype=F64)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_coefficients_are_derivatives_of_the_measured_effect(name: str) -> None:
    """To seven digits on 64 paths: no statistics, and no formula of the theory on the other side."""
    system, error, x0 = CASES[name]
    grid = TimeGrid(1.0, 12)

    def make(error: RepresentationError) -> Expansion:
        return expand(system, error, smooth, x0, grid, paths=64, seed=2)

    e = make(error)
    first, second = differences(make, error)
    assert abs(e.P.value - first) < 1e-7 * max(1.0, abs(first))
    assert abs((e.Q + e.S / 2).value - second) < 1e-7 * max(1.0, abs(second))
    assert len(e.corrections) == (0 if name.startswith("step map") else 3)


@pytest.mark.slow
@pytest.mark.parametrize("term", ["mixed", "drift_hessian", "diffusion_hessian", "half", "ito_correction"])
def test_a_missing_term_is_noticed(term: str) -> None:
    """The check above, with each term switched off."""
    e = expand(Network(), full_error(), smooth, 0.4, TimeGrid(1.0, 12), paths=64, seed=2, without=[term])
    _, second = differences(
        lambda error: expand(Network(), error, smooth, 0.4, TimeGrid(1.0, 12), paths=64, seed=2), full_error()
    )
    assert abs((e.Q + e.S / 2).value - second) > 1e-3


def test_actions() -> None:
    """Held over each step, (steps, action_dim) or with one sequence a path; then there is no extrapolation."""
    actions = fixed(12, 2, seed=25)

    def make(error: RepresentationError, actions: Tensor = actions) -> Expansion:
        return expand(Steered(), error, smooth, 0.4, TimeGrid(1.0, 12), paths=64, actions=actions)

    e = make(MIXED)
    first, second = differences(make, MIXED)
    assert abs(e.P.value - first) < 1e-7
    assert abs((e.Q + e.S / 2).value - second) < 1e-7
    assert not e.corrections
    assert make(MIXED, actions[:, None].expand(-1, 64, -1)).P.value == pytest.approx(e.P.value, rel=1e-12)
    assert abs(make(MIXED, -actions).P.value - e.P.value) > 1e-3


@pytest.mark.parametrize("correlation", ["shared", "independent", 0.6])
def test_measured_effect_of_a_step_map_by_hand(correlation: str | float) -> None:
    """x' = tanh(x Wᵀ) + s(x) ξ, in a loop over the very normals."""
    weight = 0.6 * fixed(3, 3, seed=22)
    system = StepMap(
        lambda n, x, a: torch.tanh(x @ weight.T), lambda n, x, a: 0.2 + 0.1 * torch.cos(x), dim=3, noise_dim=3
    )
    error = RepresentationError(
        lambda t, x: torch.sin(x) + t, lambda t, x: 0.5 * x, initial=0.3, correlation=correlation
    )
    paths, eps, grid = 100, 0.05, TimeGrid(6.0, 6)
    x0 = torch.tensor([0.4, -0.2, 0.7], dtype=F64)
    got = expand(system, error, square, x0, grid, paths=paths, seed=7).measure(eps)
    rho = {"shared": 1.0, "independent": 0.0}.get(correlation, correlation)  # type: ignore[arg-type]
    assert isinstance(rho, float)
    xi = BrownianMotion(7, grid, 3).normals(paths)
    zeta = BrownianMotion(7, grid, 3, "error-1").normals(paths)
    omega = rho * xi + math.sqrt(1 - rho**2) * zeta
    x = x0.expand(paths, -1)
    y = x + eps * 0.3
    for n in range(6):
        x = torch.tanh(x @ weight.T) + (0.2 + 0.1 * torch.cos(x)) * xi[n]
        move = eps * (torch.sin(y) + n) + eps * 0.5 * y * omega[n]
        y = torch.tanh(y @ weight.T) + (0.2 + 0.1 * torch.cos(y)) * xi[n] + move
    assert got.value == pytest.approx(float((square(y) - square(x)).mean()), rel=1e-10)


# --- deterministic base, zero noise ----------------------------------------------------------------------------------


def test_deterministic_error_of_a_deterministic_base() -> None:
    """No randomness anywhere: the coefficients solve ordinary equations and have intervals of width zero."""
    rate, x0, t, eta = 0.8, 1.2, 1.0, 0.5
    error = RepresentationError(drift=lambda t, x: torch.cos(x), initial=eta)
    e = expand(Cubic(rate), error, lambda x: (x**4).sum(-1), x0, TimeGrid(t, 512), paths=2)

    def equation(_: float, y: np.ndarray) -> list[float]:
        x, y1, y2 = y
        slope = -3 * rate * x**2
        return [-rate * x**3, slope * y1 + math.cos(x), slope * y2 - 3 * rate * x * y1**2 - math.sin(x) * y1]

    x, y1, y2 = solve_ivp(equation, (0.0, t), [x0, eta, 0.0], rtol=1e-11, atol=1e-12).y[:, -1]
    for estimate, want in ((e.P, 4 * x**3 * y1), (e.Q, 4 * x**3 * y2), (e.S, 12 * x**2 * y1**2)):
        assert abs(estimate.value - want) < 2e-5
        assert estimate.standard_error < 1e-15
    assert e.measure(0.01).standard_error < 1e-15


# --- somebody else's objects -----------------------------------------------------------------------------------------


class Plain:
    """A torchsde object that has never heard of this package."""

    noise_type = "diagonal"
    sde_type = "ito"

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return -0.5 * y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return 0.6 * y


class Both:
    """Another one, with the joint method only and a matrix of columns."""

    noise_type = "general"
    sde_type = "ito"

    def f_and_g(self, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return -0.5 * y, 0.6 * y[:, :, None]


class Module(nn.Module):
    """A third, with trainable float32 parameters."""

    noise_type = "diagonal"
    sde_type = "ito"

    def __init__(self) -> None:
        super().__init__()
        self.decay = nn.Parameter(torch.tensor(-0.5))
        self.noise = nn.Parameter(torch.tensor(0.6))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return self.decay * y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return self.noise * y


@pytest.mark.parametrize("kind", [Plain, Both, Module])
def test_somebody_elses_object(kind: type) -> None:
    """Simulated and expanded as it is, with the numbers of our own system on the same paths."""
    system, grid = kind(), TimeGrid(1.0, 16)
    dtype, digits = (F32, 2e-5) if kind is Module else (F64, 1e-12)
    start = [1.0] if kind is Module else torch.ones(1, dtype=F64)
    before = set(vars(system))
    ours = expand(Linear(-0.5, 0.6), UNIT, square, 1.0, grid, paths=2048)
    theirs = expand(system, UNIT, square, start, grid, paths=2048)
    for a, b in ((theirs.P, ours.P), (theirs.S, ours.S), (theirs.measure(0.2), ours.measure(0.2))):
        assert a.value == pytest.approx(b.value, rel=digits)
        assert a.standard_error == pytest.approx(b.standard_error, rel=digits)
    assert theirs.compare(0.2).remainder.value == pytest.approx(0.0, abs=2e-6)  # a linear system has none
    states = simulate(system, start, grid, paths=64).states
    assert states.dtype == dtype
    want = simulate(Linear(-0.5, 0.6), 1.0, grid, paths=64).states
    assert torch.allclose(states.double(), want, rtol=digits)
    assert set(vars(system)) == before


# --- intervals -------------------------------------------------------------------------------------------------------


def discrete_effect(a: float, b: float, c: float, t: float, steps: int, eps: float) -> float:
    """R(ε) of the extrapolated Euler scheme, exactly, from the moments of the linear system."""

    def effect(n: int) -> float:
        x0, grid = torch.ones(1, dtype=F64), TimeGrid(t, n)
        perturbed = Linear(a, b, diffusion_offset=eps * c).euler_moments(x0, grid)[1]
        return float(perturbed - Linear(a, b).euler_moments(x0, grid)[1])

    return 2 * effect(steps) - effect(steps // 2)


@pytest.mark.slow
def test_intervals_of_predictions_are_honest() -> None:
    """200 seeds: the 95 % interval covers a binomial number of times, and the errors in units of their standard
    errors have variance one. Without the covariance of P, Q and S they would not."""
    eps, runs = 0.5, 200
    truth = discrete_effect(-0.5, 0.3, 1.0, 1.0, 8, eps)
    covered, squares, careless = {"predict": 0, "measure": 0}, {"predict": 0.0, "measure": 0.0}, 0.0
    for seed in range(runs):
        e = expand(Linear(-0.5, 0.3), UNIT, square, 1.0, TimeGrid(1.0, 8), paths=512, seed=seed)
        predicted = e.predict(eps)
        for name, estimate in (("predict", predicted), ("measure", e.measure(eps))):
            low, high = estimate.interval()
            covered[name] += low < truth < high
            squares[name] += ((estimate.value - truth) / estimate.standard_error) ** 2
        naive = math.hypot(eps * e.P.standard_error, eps**2 * e.S.standard_error / 2)
        careless += ((predicted.value - truth) / naive) ** 2
    least, most = binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], runs, 0.95)
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], runs)
    for name in covered:
        spend()
        assert least <= covered[name] <= most
        spend()
        assert low < squares[name] < high
    assert not low < careless < high


def test_measured_and_predicted_from_one_seed_are_not_combined() -> None:
    """Their covariance is unknown; with another seed they are independent, and `compare` knows it."""
    e = expand(Linear(-0.5, 0.6), UNIT, square, 1.0, TimeGrid(1.0, 8), paths=256)
    with pytest.raises(InvalidArgument, match="same noise"):
        e.measure(0.1) - e.predict(0.1)
    with pytest.raises(InvalidArgument, match="same noise"):
        e.measure(0.1) + e.measure(0.2)
    apart = e.measure(0.1, seed=1) - e.predict(0.1)
    together = e.compare(0.1)
    squares = e.measure(0.1, seed=1).standard_error ** 2 + e.predict(0.1).standard_error ** 2
    assert apart.standard_error == pytest.approx(math.sqrt(squares), rel=1e-12)
    assert together.measured.value == pytest.approx(e.measure(0.1).value, rel=1e-12)
    assert together.predicted.value == pytest.approx(e.predict(0.1).value, rel=1e-12)
    assert together.remainder.standard_error < 1e-12  # a linear system has no remainder on any path


# --- the order of the remainder --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [MIXED, RepresentationError(diffusion=elementwise)])
def test_remainder_is_of_third_order(error: RepresentationError) -> None:
    """Halving ε on the same paths divides the mean remainder by eight."""
    e = expand(DoubleWell(), error, smooth, 0.6, TimeGrid(1.0, 32), paths=4096)
    first, second = (e.compare(eps).remainder for eps in (0.02, 0.01))
    assert min(abs(r.value) / r.standard_error for r in (first, second)) > 5  # not a zero divided by a zero
    assert 7.4 < first.value / second.value < 8.6


def test_remainder_is_of_fourth_order_by_symmetry() -> None:
    """Zero drift and independent noise: with the mirrored error odd orders cancel, and halving divides by sixteen."""
    both = [
        expand(DoubleWell(), error, smooth, 0.6, TimeGrid(1.0, 32), paths=4096)
        for error in (INDEPENDENT, INDEPENDENT.scaled(-1))
    ]
    sums = [sum(e.compare(eps).remainder.value for e in both) for eps in (0.04, 0.02)]
    assert 15.0 < sums[0] / sums[1] < 17.0
    # Independent noise has no first-order effect, and mirroring it only changes the sign of the sampled P.
    assert both[0].P.value == pytest.approx(-both[1].P.value, rel=1e-12)
    assert_covers(both[0].P, 0.0, slack=1e-3)


@pytest.mark.parametrize(("without", "power"), [(("mixed",), 2), (("half",), 2), (("ito_correction",), 1)])
def test_remainder_of_an_incomplete_form(without: tuple[str, ...], power: int) -> None:
    """The control: what is left out shows up at its own order."""
    e = expand(
        DoubleWell(),
        RepresentationError(diffusion=elementwise),
        smooth,
        0.6,
        TimeGrid(1.0, 32),
        paths=4096,
        without=without,
    )
    ratio = e.compare(0.02).remainder.value / e.compare(0.01).remainder.value
    assert ratio == pytest.approx(2**power, rel=0.1)


# --- extrapolation ---------------------------------------------------------------------------------------------------


def test_extrapolation_removes_the_first_order_in_the_step() -> None:
    """In exact moments: the bias of P falls by two without it and by four with it."""
    exact = minimal_counterexample(-0.5, 0.6, 1.0, 1.0)
    plain, extrapolated = [], []
    for steps in (64, 128):
        h = [euler_p(n) - exact.p for n in (steps, steps // 2)]
        plain.append(h[0])
        extrapolated.append(2 * h[0] - h[1])
    assert plain[0] / plain[1] == pytest.approx(2.0, rel=0.05)
    assert extrapolated[0] / extrapolated[1] == pytest.approx(4.0, rel=0.05)
    assert abs(extrapolated[0]) < abs(plain[0]) / 50


def euler_p(steps: int, a: float = -0.5, b: float = 0.6, t: float = 1.0) -> float:
    """P of the Euler scheme itself: its second moment is quadratic in ε."""
    x0, grid = torch.ones(1, dtype=F64), TimeGrid(t, steps)
    up, down = (float(Linear(a, b, diffusion_offset=s).euler_moments(x0, grid)[1]) for s in (1.0, -1.0))
    return (up - down) / 2


def test_expand_with_and_without_extrapolation() -> None:
    """On a grid so coarse that the bias shows: each estimates its own discrete value, exactly known."""
    a, b, t, steps = -1.5, 0.5, 2.0, 4
    plain, extrapolated = (
        expand(Linear(a, b), UNIT, square, 1.0, TimeGrid(t, steps), paths=32_768, extrapolate=flag)
        for flag in (False, True)
    )
    fine, coarse = euler_p(steps, a, b, t), euler_p(steps // 2, a, b, t)
    pairs = [(plain.P, fine), (extrapolated.P, 2 * fine - coarse), (extrapolated.corrections[0], fine - coarse)]
    assert_all_cover(pairs)
    assert_misses(plain.P, minimal_counterexample(a, b, 1.0, t).p)
    assert plain.corrections == ()
    # By default it is on wherever it can be.
    default = expand(Linear(a, b), UNIT, square, 1.0, TimeGrid(t, steps), paths=64)
    assert len(default.corrections) == 3
    assert default.flags == ()
    assert len(expand(Linear(a, b), UNIT, square, 1.0, TimeGrid(t, 15), paths=64).corrections) == 3
    # Where it cannot be, that is said.
    with pytest.warns(UserWarning, match="7 steps are not divisible by 2, 3 or 5"):
        stuck = expand(Linear(a, b), UNIT, square, 1.0, TimeGrid(t, 7), paths=64)
    assert stuck.corrections == ()
    assert "bias" in stuck.flags[0]
    assert plain.flags == stuck.flags


@pytest.mark.parametrize("factor", [3, 5])
def test_extrapolation_by_other_factors(factor: int) -> None:
    """(k X_h − X_kh)/(k − 1) estimates that combination of the exactly known discrete values."""
    a, b, t = -1.5, 0.5, 2.0
    e = expand(Linear(a, b), UNIT, square, 1.0, TimeGrid(t, factor**2), paths=32_768)
    fine, coarse = euler_p(factor**2, a, b, t), euler_p(factor, a, b, t)
    combined = (factor * fine - coarse) / (factor - 1)
    assert_all_cover([(e.P, combined), (e.corrections[0], combined - fine)])


@pytest.mark.parametrize("why", ["step map", "odd", "actions"])
def test_extrapolation_is_refused(why: str) -> None:
    """Where there is no equation of half the step."""
    system: Any = {"step map": step_map("matrix"), "actions": Steered()}.get(why, Geometric())
    steps, actions = (7 if why == "odd" else 4), (torch.zeros(4, 2, dtype=F64) if why == "actions" else None)
    with pytest.raises(InvalidArgument, match="2, 3 or 5"):
        expand(system, INDEPENDENT, square, 0.5, TimeGrid(1.0, steps), paths=8, actions=actions, extrapolate=True)


# --- what is equal to the bit ----------------------------------------------------------------------------------------


def test_workers_do_not_change_the_result() -> None:
    """Two blocks, in this thread or in others."""
    grid = TimeGrid(1.0, 4)
    alone = expand(Linear(-0.5, 0.6), UNIT, square, 1.0, grid, paths=5000)
    with ThreadPoolExecutor(2) as executor:
        helped = expand(Linear(-0.5, 0.6), UNIT, square, 1.0, grid, paths=5000, executor=executor)
        assert helped.measure(0.1).value == alone.measure(0.1).value
    assert (alone.P.value, alone.P.standard_error) == (helped.P.value, helped.P.standard_error)
    assert alone.P.n == 5000


# --- bad input -------------------------------------------------------------------------------------------------------


def attempt(**changes: Any) -> Expansion:
    """A small expansion with some arguments replaced."""
    arguments: dict[str, Any] = {
        "system": Linear(-0.5, 0.6),
        "error": UNIT,
        "loss": square,
        "x0": 1.0,
        "grid": TimeGrid(1.0, 4),
        "paths": 8,
    }
    return expand(**(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": "strato"}, "form must be one of 'ito', 'uncorrected', .* got 'strato'"),
        ({"without": ["hessian"]}, "without must be one of .* got 'hessian'"),
        ({"without": "hessian"}, "without must be one of .* got 'hessian'"),
        ({"loss": 3.0}, "loss must be a function of the states"),
        ({"loss": lambda x: x**2}, r"loss must return one number a path, a tensor \(8,\).* got \(8, 1\)"),
        ({"loss": lambda x: (x**2).sum()}, r"got \(\); sum over the last dimension"),
        ({"loss": lambda x: 1.0}, "got float"),
        ({"loss": lambda x: (x > 0).sum(-1)}, "loss must return floating point numbers, got torch.int64"),
        ({"loss": lambda x: square(x.detach())}, "loss does not depend on the states"),
        ({"loss": torch.no_grad()(square)}, "loss does not depend on the states"),
        ({"x0": torch.ones(3)}, "x0 must have shape"),
        ({"x0": torch.ones(7, 1)}, "x0 has 7 rows, but paths is 8"),
        ({"x0": torch.ones(2, 8, 1)}, "x0 must have shape"),
        ({"x0": math.nan}, "x0 must be finite"),
        ({"paths": None}, "paths is needed"),
        ({"paths": 0}, "paths must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"grid": 1.0}, "grid must be a TimeGrid, got float"),
        ({"error": elementwise}, "error must be a RepresentationError, got function"),
        ({"error": RepresentationError(diffusion=lambda t, x: x[:, 0])}, "error's diffusion must return shape"),
        ({"error": RepresentationError(diffusion=lambda t, x: x.repeat(1, 2))}, "error's diffusion must return shape"),
        ({"error": RepresentationError(drift=lambda t, x: 1.0)}, "error's drift must return shape"),
        ({"error": RepresentationError(diffusion=lambda t, x: x.float())}, "returned torch.float32"),
        ({"error": RepresentationError(diffusion=lambda t, x: x[:, :, None].expand(-1, -1, 2))}, "correlation"),
        ({"error": RepresentationError(initial=torch.ones(3))}, "initial must be a number or have shape"),
        ({"error": RepresentationError(initial=torch.ones(7, 1))}, "initial has 7 rows"),
        ({"system": step_map("matrix")}, "(x0|correlation)"),
        ({"system": object()}, "system must be an SDE with f and g"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    """One sentence that names the argument, what it was and what is allowed."""
    with pytest.raises(InvalidArgument, match=message):
        attempt(**changes)


def test_a_single_name_of_a_term_needs_no_list() -> None:
    """without="mixed" is not five letters."""
    assert attempt(without="mixed").P.value == attempt(without=["mixed"]).P.value


@pytest.mark.parametrize("path", [5, 4500])
def test_a_loss_that_is_not_finite_names_the_path(path: int) -> None:
    """In the first block and in the second."""
    x0 = torch.ones(path + 100, 1, dtype=F64)
    x0[path] = -1.0
    with pytest.raises(NumericalFailure, match=f"path {path} first") as info:
        attempt(loss=lambda x: torch.log(x).sum(-1), x0=x0, paths=None, grid=TimeGrid(0.1, 2))
    assert (info.value.path, info.value.time, info.value.count) == (path, 0.1, 1)


def test_a_kink_in_a_derivative_is_noticed() -> None:
    """√x at zero: the value is finite, its slope is not."""
    with pytest.raises(NumericalFailure, match="one of its derivatives is not finite"):
        attempt(loss=lambda x: x.sqrt().sum(-1), x0=0.0, error=RepresentationError(initial=1.0))


def test_an_explosion_names_path_and_time() -> None:
    """A cubic with a step far too large."""
    with pytest.raises(NumericalFailure, match="take smaller steps") as info:
        attempt(system=Cubic(), x0=30.0, grid=TimeGrid(10.0, 20), scheme="euler")
    assert info.value.path == 0


def test_a_stratonovich_base_is_refused() -> None:
    """Before anything is simulated: how the error is to be read is not determined."""
    system = Plain()
    system.sde_type = "stratonovich"
    with pytest.raises(Refused, match="Stratonovich"):
        attempt(system=system, x0=torch.ones(1, dtype=F64))


@pytest.mark.parametrize("eps", [0.0, -0.1, math.nan, math.inf, "0.1", True])
@pytest.mark.parametrize("method", ["predict", "measure", "compare"])
def test_sizes_that_are_not_positive_numbers(method: str, eps: Any) -> None:
    """All three methods say it."""
    with pytest.raises(InvalidArgument, match="eps must be"):
        getattr(attempt(), method)(eps)


@pytest.mark.parametrize("system", [Linear(-0.5, 0.6, dim=3), step_map("diagonal")])
def test_sizes_that_rounding_hides(system: Any) -> None:
    """The floor of float32 is far above that of float64, and the message says which way out there is."""
    if isinstance(system, StepMap):
        weight = 0.5 * torch.eye(3)
        system = StepMap(lambda n, x, a: torch.tanh(x @ weight.to(x)), lambda n, x, a: 0.1 * x, 3, 3)
    low = attempt(system=system, x0=torch.ones(3))
    high = attempt(system=system, x0=torch.ones(3, dtype=F64))
    with pytest.raises(InvalidArgument, match=r"below 0\.00035.*torch\.float32.*or float64"):
        low.measure(1e-4)
    with pytest.raises(InvalidArgument, match=r"below 0\.049.*torch\.float32.*eps\*\*3.*or float64"):
        low.compare(0.04)
    with pytest.raises(InvalidArgument, match=r"below 6\.1e-05.*torch\.float64.*use a larger eps\.$"):
        high.compare(1e-5)
    high.measure(1e-4)
    low.compare(0.06)


def test_a_step_map_and_an_error_in_float32() -> None:
    """Measured in the dtype in which it was expanded, though the map does not state one."""
    weight, size = 0.5 * torch.eye(2), torch.full((2,), 0.5)
    system = StepMap(lambda n, x, a: torch.tanh(x @ weight), lambda n, x, a: 0.1 + 0.1 * torch.sin(x), 2, 2)
    error = RepresentationError(diffusion=lambda t, x: size.expand(len(x), 2))
    e = expand(system, error, square, torch.ones(2), TimeGrid(4.0, 4), paths=256)
    gap = e.compare(0.1)
    assert gap.measured.value == pytest.approx(gap.predicted.value, rel=0.05)
