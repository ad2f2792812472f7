"""dR/dθ: closed forms, backpropagation, and differences of the measured effect; and where its sign changes."""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sympy as sp
import torch
from alarm import assert_misses
from joint import assert_all_cover
from systems import ETA, F64, Contracting, Geometric, elementwise, fixed, sigma
from torch import Tensor, nn

from sdewm.drifts import Linear
from sdewm.dynamics import LatentSDE, RepresentationError, StepMap, perturb, simulate
from sdewm.exceptions import InvalidArgument, NumericalFailure, Refused
from sdewm.grid import TimeGrid
from sdewm.hypothesis import Facts
from sdewm.stats.one_sided import at_least
from sdewm.theory import effect_gradient, expand
from sdewm.verdict import Outcome

A, B, C, EPS = -0.5, 0.6, -1.0, 0.2


def square(x: Tensor) -> Tensor:
    """|x|²."""
    return (x**2).sum(-1)


def smooth(x: Tensor) -> Tensor:
    """A loss with derivatives of every order that mixes the coordinates."""
    return torch.sin(x.sum(-1)) + 0.3 * (x**2).sum(-1) * torch.cos(x[:, 0])


def minimal(rho: Any, c: float = C) -> RepresentationError:
    """The error c dW with a correlation ρ."""
    return RepresentationError(diffusion=lambda t, x: torch.full_like(x, c), correlation=rho)


# --- closed forms ----------------------------------------------------------------------------------------------------

a_, b_, rho_ = sp.symbols("a b rho", real=True)


def effect(c: float = C) -> sp.Expr:
    """R of dx = ax dt + bx dB + ε c dW, ℓ = x², x₀ = t = 1, as it is quoted."""
    kappa, size, way = 2 * a_ + b_**2, sp.Rational(1, 5), sp.Rational(c)
    p = 2 * rho_ * b_ * way * (sp.exp(kappa) - sp.exp(a_)) / (a_ + b_**2)
    return size * p + size**2 * way**2 * (sp.exp(kappa) - 1) / kappa


POINT = {a_: sp.Rational(-1, 2), b_: sp.Rational(3, 5)}


def discrete(a: complex, b: complex, rho: float, c: float, steps: int) -> complex:
    """R of the Euler scheme, from its exact moments."""
    h, m, moved, base = 1.0 / steps, 1.0 + 0.0j, 1.0 + 0.0j, 1.0 + 0.0j
    for _ in range(steps):
        q = 1.0 + a * h
        moved = (q * q + b * b * h) * moved + h * (2 * rho * b * EPS * c * m + (EPS * c) ** 2)
        base, m = (q * q + b * b * h) * base, q * m
    return moved - base


def discrete_slopes(rho: float, c: float, steps: int) -> tuple[float, float]:
    """Its derivatives in a and b, to rounding, by an imaginary step."""
    tiny = 1e-30
    return discrete(A + tiny * 1j, B, rho, c, steps).imag / tiny, discrete(A, B + tiny * 1j, rho, c, steps).imag / tiny


def test_quoted_slope_and_its_change_of_sign() -> None:
    """dR/da = −.176 for c = −1 and shared noise; in ρ it is a line, and changes its sign at ρ = .131 for c = −1.

    The sign that counts is that of ρ c: with ρ the correlation of B and W the zero is at +.131 for c = −1 and at −.131
    for c = 1, so that −.131 is the correlation of the base's noise with the error itself.
    """
    zeros = {}
    for c in (-1, 1):
        slope = sp.diff(effect(c), a_).subs(POINT)
        assert sp.diff(slope, rho_, 2) == 0
        zeros[c] = float(sp.solve(slope, rho_)[0])
        at = [float(slope.subs(rho_, value)) for value in (-c, 0, c)]
        assert at == pytest.approx([-0.17576, 0.02641, 0.22859], abs=6e-6)
    assert zeros[-1] == pytest.approx(0.13065, abs=6e-6)
    assert zeros[1] == pytest.approx(-0.13065, abs=6e-6)
    # The Euler scheme's own slopes tend to these.
    for rho, want in ((1.0, -0.175757), (0.0, 0.026414), (zeros[-1], 0.0)):
        fine, coarse = (discrete_slopes(rho, C, n)[0] for n in (4000, 2000))
        assert 2 * fine - coarse == pytest.approx(want, abs=2e-6)


@pytest.mark.slow
def test_slopes_of_the_minimal_counterexample() -> None:
    """In a and b, of the discrete simulation and extrapolated, all known exactly; the wrong sign of ρ is excluded."""
    steps, pairs = 16, []
    for seed, (rho, c) in enumerate([(1.0, -1.0), (0.0, -1.0), (-0.4, 1.3), (0.7, 0.8)]):
        fine, coarse = discrete_slopes(rho, c, steps), discrete_slopes(rho, c, steps // 2)
        for extrapolate in (False, None):
            found = effect_gradient(
                Geometric(A, B),
                minimal(rho, c),
                square,
                1.0,
                TimeGrid(1.0, steps),
                32_768,
                2 * seed + (extrapolate is None),
                eps=EPS,
                extrapolate=extrapolate,
            )
            wanted = fine if extrapolate is False else [2 * f - g for f, g in zip(fine, coarse, strict=True)]
            pairs += [(found["a"], wanted[0]), (found["b"], wanted[1])]
            assert list(found) == ["a", "b"]
            if rho:
                assert_misses(found["a"], discrete_slopes(-rho, c, steps)[0])
    assert_all_cover(pairs)


@pytest.mark.parametrize(("rho", "outcome"), [("shared", Outcome.VIOLATED), ("independent", Outcome.HOLDS)])
def test_an_effect_above_zero_does_not_push_the_gain_down(rho: str, outcome: Outcome) -> None:
    """c = −1: with shared noise training pushes a up, with independent noise down."""
    found = effect_gradient(Geometric(A, B), minimal(rho), square, 1.0, TimeGrid(1.0, 16), 32_768, eps=EPS)
    assert at_least(found["a"], what="dR/da").outcome is outcome


@pytest.mark.slow
def test_the_sign_changes_where_the_closed_form_says() -> None:
    """On common paths the slope is below zero at ρ = .4 and above zero at ρ = −.15, for c = −1."""
    for rho, outcome in ((0.4, Outcome.VIOLATED), (-0.15, Outcome.HOLDS)):
        found = effect_gradient(Geometric(A, B), minimal(rho), square, 1.0, TimeGrid(1.0, 16), 65_536, eps=EPS)
        assert at_least(found["a"]).outcome is outcome


# --- backpropagation -------------------------------------------------------------------------------------------------

FULL = RepresentationError(
    lambda t, x: 0.3 * sigma(t, x),
    lambda t, x: 0.4 + 0.3 * torch.sin(x)[:, :, None] * torch.tensor([1.0, -0.5], dtype=x.dtype),
    ETA,
    torch.tensor([[0.5, 0.3], [-0.2, 0.6]], dtype=F64),
)


class Steered(LatentSDE):
    """A system with actions and two parameters."""

    dim, action_dim = 2, 2

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.7, dtype=F64))
        self.W = nn.Parameter(fixed(2, 2, seed=3))

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return torch.tanh(x @ self.W + a) - self.gain * x

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return 0.3 + 0.2 * torch.sin(self.gain * x + a)


def backpropagated(
    system: nn.Module,
    error: RepresentationError,
    loss: Any,
    x0: Tensor,
    grid: TimeGrid,
    paths: int,
    eps: float,
    actions: Tensor | None = None,
) -> dict[str, Tensor]:
    """The gradient of the simulated R in every parameter, through the whole of both simulations."""  # fmt: skip
    base = simulate(system, x0, grid, paths, actions=actions).final
    moved = simulate(perturb(system, error, eps, x0=x0.expand(2, -1)), x0, grid, paths, actions=actions).final
    value = (loss(moved) - loss(base)).mean()
    parameters = dict(system.named_parameters())
    found = torch.autograd.grad(value, list(parameters.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(parameters, found, strict=True))


BASES: dict[str, tuple[nn.Module, RepresentationError, Any, int, Tensor | None]] = {
    "geometric, shared": (Geometric(A, B), RepresentationError(diffusion=elementwise), square, 1, None),
    "geometric, independent": (Geometric(A, B), minimal("independent"), square, 1, None),
    "general, everything": (Contracting("general"), FULL, smooth, 3, None),
    "diagonal, partly": (Contracting("diagonal"), RepresentationError(sigma, elementwise, 0.2, -0.7), smooth, 3, None),
    "additive, independent": (
        Contracting("additive"), RepresentationError(diffusion=elementwise, correlation="independent"), square, 3, None,
    ),
    "drift error": (Contracting("scalar"), RepresentationError(sigma), smooth, 3, None),
    "initial error": (Contracting("general"), RepresentationError(initial=torch.cos), square, 3, None),
    "actions": (Steered(), RepresentationError(sigma_2 := lambda t, x: torch.cos(x), sigma_2, 0.1), smooth, 2,
                fixed(6, 2, seed=5)),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_against_backpropagation_through_both_simulations(name: str) -> None:
    """Matrix parameters along random directions, single ones, and two at once: to 1e-10, on the same noise."""
    system, error, loss, dim, actions = BASES[name]
    grid, paths, x0 = TimeGrid(1.0, 6), 20, torch.full((dim,), 0.5, dtype=F64)
    gradients = backpropagated(system, error, loss, x0, grid, paths, 0.3, actions)
    directions: dict[str, dict[str, Any]] = {
        key: {key: fixed(*p.shape, seed=9 + k) if p.ndim else 1.0}
        for k, (key, p) in enumerate(system.named_parameters())
    }
    together: dict[str, Any] = {}
    for way in directions.values():
        together |= way
    directions["all at once"] = together
    found = effect_gradient(
        system,
        error,
        loss,
        x0,
        grid,
        paths,
        eps=0.3,
        directions=directions,
        actions=actions,
        extrapolate=False,
        antithetic=False,
    )
    assert list(found) == list(directions)
    largest = 0.0
    for key, way in directions.items():
        want = sum(float((gradients[p] * torch.as_tensor(v)).sum()) for p, v in way.items())
        assert found[key].value == pytest.approx(want, rel=1e-9, abs=1e-12)
        largest = max(largest, abs(want))
    assert largest > 1e-3  # something depends on the parameters
    singles = [found[key].value for key in directions if key != "all at once"]
    assert found["all at once"].value == pytest.approx(sum(singles), rel=1e-9, abs=1e-12)


def test_pairs_are_the_mean_over_both_signs() -> None:
    """For independent noise W and −W are averaged by default, which is exact; elsewhere pairs are refused."""
    system, error, _, dim, _ = BASES["geometric, independent"]
    grid, paths, x0 = TimeGrid(1.0, 6), 20, torch.full((dim,), 0.5, dtype=F64)
    sides = [backpropagated(system, e, square, x0, grid, paths, 0.3) for e in (error, error.mirrored())]
    default, paired, single = (
        effect_gradient(system, error, square, x0, grid, paths, eps=0.3, extrapolate=False, antithetic=pairs)
        for pairs in (None, True, False)
    )
    for name in ("a", "b"):
        assert default[name].value == paired[name].value
        assert paired[name].value == pytest.approx(float(sides[0][name] + sides[1][name]) / 2, rel=1e-9)
        assert single[name].value == pytest.approx(float(sides[0][name]), rel=1e-9)
    # What is of first order in ε cancels path by path: at a small size the spread is another.
    small = [
        effect_gradient(system, error, square, x0, grid, 500, eps=0.02, antithetic=pairs) for pairs in (True, False)
    ]
    assert small[0]["a"].standard_error < 0.2 * small[1]["a"].standard_error
    with pytest.raises(InvalidArgument, match="antithetic pairs mirror the error's noise"):
        effect_gradient(system, minimal("shared"), square, x0, grid, paths, eps=0.3, antithetic=True)


def test_directions_by_default() -> None:
    """One for each parameter that is a single number, of whatever shape; matrices are left to the caller."""

    class Several(LatentSDE):
        dim = 2

        def __init__(self) -> None:
            super().__init__()
            self.scalar = nn.Parameter(torch.tensor(-0.5, dtype=F64))
            self.single = nn.Parameter(torch.tensor([[0.4]], dtype=F64))
            self.matrix = nn.Parameter(0.1 * fixed(2, 2))

        def f(self, t: Tensor, x: Tensor) -> Tensor:
            return self.scalar * x + x @ self.matrix

        def g(self, t: Tensor, x: Tensor) -> Tensor:
            return self.single[0, 0] * torch.cos(x)

    system, error, grid = Several(), RepresentationError(diffusion=elementwise), TimeGrid(1.0, 6)
    found = effect_gradient(system, error, square, 0.5, grid, 12, eps=0.3, extrapolate=False)
    assert set(found) == {"scalar", "single"}
    x0 = torch.full((2,), 0.5, dtype=F64)
    gradients = backpropagated(system, error, square, x0, grid, 12, 0.3)
    for key, value in found.items():
        assert value.value == pytest.approx(float(gradients[key].sum()), rel=1e-9)


# --- differences of the measured effect ------------------------------------------------------------------------------


class Well(LatentSDE):
    """dx = (gain x − x³) dt + noise cos x dB, whose drift is to be tamed."""

    dim = 1
    drift_facts = Facts("one-sided")

    def __init__(self, gain: float = 1.0, noise: float = 0.4) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain, dtype=F64))
        self.noise = nn.Parameter(torch.tensor(noise, dtype=F64))

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return self.gain * x - x**3

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return self.noise * torch.cos(x)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "extrapolate", "scheme"),
    [
        (Geometric, None, "auto"),
        (Geometric, False, "tamed"),
        (Well, None, "auto"),
        (Well, False, "auto"),
        (Well, None, "euler"),
        (Well, False, "tamed"),
    ],
)
def test_against_differences_of_the_measured_effect(
    make: Callable[..., nn.Module], extrapolate: bool | None, scheme: str
) -> None:
    """On common paths at θ ± δ, with the same scheme and the same extrapolation: to 1e-7."""
    error = RepresentationError(elementwise, lambda t, x: 0.5 * torch.cos(x), 0.3, -0.6)
    start, grid, paths, eps, delta = (1.4, 0.5), TimeGrid(1.0, 8), 64, 0.4, 1e-4
    first = (0.3, 0.5) if make is Geometric else (1.0, 0.4)
    options: dict[str, Any] = {"extrapolate": extrapolate, "scheme": scheme}
    found = effect_gradient(make(*first), error, square, start[0], grid, paths, 3, eps=eps, **options)
    for k, name in enumerate(found):
        values = []
        for side in (1.0, -1.0):
            moved = [v + side * delta * (i == k) for i, v in enumerate(first)]
            values.append(expand(make(*moved), error, square, start[0], grid, paths, 3, **options).measure(eps).value)
        assert found[name].value == pytest.approx((values[0] - values[1]) / (2 * delta), rel=1e-6, abs=1e-8)
    if make is Well and scheme == "auto":
        euler = effect_gradient(
            make(*first), error, square, start[0], grid, paths, 3, eps=eps, extrapolate=extrapolate, scheme="euler"
        )
        assert abs(found["gain"].value - euler["gain"].value) > 1e-5  # tamed steps are other steps


class Slow(Geometric):
    """A geometric motion that lets other threads go first."""

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        time.sleep(2e-4)
        return super().f(t, x)


def test_result_is_independent_of_the_executor() -> None:
    """Two blocks at once on threads, to the bit, though both use one module."""
    system, error, grid = Slow(A, B), minimal("shared"), TimeGrid(1.0, 4)
    with ThreadPoolExecutor(2) as pool:
        one, other = (
            effect_gradient(system, error, square, 1.0, grid, 5000, eps=EPS, executor=executor)
            for executor in (None, pool)
        )
    assert [e.value for e in one.values()] == [e.value for e in other.values()]


def test_directions_of_one_run_are_joint() -> None:
    """Their estimates know their covariance, as the sum of two directions shows."""
    ways: dict[str, dict[str, float]] = {"a": {"a": 1.0}, "b": {"b": 1.0}, "sum": {"a": 1.0, "b": 1.0}}
    found = effect_gradient(
        Geometric(A, B), minimal("shared"), square, 1.0, TimeGrid(1.0, 4), 5000, eps=EPS, directions=ways
    )
    rest = found["a"] + found["b"] - found["sum"]
    assert rest.value == pytest.approx(0.0, abs=1e-13)
    assert rest.standard_error < 1e-10
    assert found["sum"].standard_error > 1e-3


def test_parameters_are_left_as_they_were() -> None:
    """No gradient is left behind, no value moved, and nothing is recorded."""
    system = Geometric(A, B)
    before = [p.detach().clone() for p in system.parameters()]
    effect_gradient(system, minimal("shared"), square, 1.0, TimeGrid(1.0, 4), 8, eps=EPS)
    assert all(p.grad is None and p.requires_grad for p in system.parameters())
    assert [float(p.detach()) for p in system.parameters()] == [float(p) for p in before]


def test_frozen_and_single_precision_parameters() -> None:
    """A parameter that is not trained has its derivative too; one in float32 under float64 states as well."""
    frozen = Geometric(A, B)
    frozen.a.requires_grad_(False)
    want = effect_gradient(Geometric(A, B), minimal("shared"), square, 1.0, TimeGrid(1.0, 4), 16, eps=EPS)
    assert effect_gradient(frozen, minimal("shared"), square, 1.0, TimeGrid(1.0, 4), 16, eps=EPS)["a"].value == want[
        "a"].value  # fmt: skip
    single = Geometric(A, B, dtype=torch.float32)
    found = effect_gradient(single, minimal("shared"), square, 1.0, TimeGrid(1.0, 4), 16, eps=EPS)
    assert found["a"].value == pytest.approx(want["a"].value, rel=1e-4)


# --- refusals --------------------------------------------------------------------------------------------------------


class NoModule:
    """An SDE as torchsde allows it, without parameters."""

    noise_type, sde_type, dim = "diagonal", "ito", 1

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return -x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return 0.5 * x


@pytest.mark.parametrize(
    ("system", "options", "message"),
    [
        (NoModule(), {}, "system must be a torch.nn.Module with parameters, got NoModule"),
        (StepMap(lambda n, x, a: x / 2, lambda n, x, a: 0 * x, 1, 1), {}, "must be a torch.nn.Module"),
        (Linear(-0.5, 0.6), {}, "directions is needed: no parameter of Linear is a single number"),
        (Geometric(), {"directions": {}}, "directions is needed"),
        (Geometric(), {"directions": {"x": {}}}, "direction is empty: name at least one parameter"),
        (Geometric(), {"directions": {"x": {"c": 1.0}}}, "direction names 'c', which is no parameter of the system; it "
                                                         "has a, b"),
        (Geometric(), {"directions": {"x": {"a": torch.ones(2)}}}, r"direction of 'a' must have shape \(\), got \(2"),
        (Geometric(), {"eps": 0.0}, "eps must be above zero"),
        (Geometric(), {"eps": -0.1}, "eps must be above zero"),
        (Geometric(), {"eps": math.inf}, "eps must be a finite number"),
    ],
)  # fmt: skip
def test_bad_arguments(system: Any, options: dict[str, Any], message: str) -> None:
    """Each named with its value."""
    with pytest.raises(InvalidArgument, match=message):
        effect_gradient(system, minimal("shared"), square, 1.0, TimeGrid(1.0, 4), 8, **{"eps": EPS, **options})


def test_what_every_expansion_refuses() -> None:
    """A Stratonovich base, a wrong shape, a loss that is not finite."""
    error, grid = minimal("shared"), TimeGrid(1.0, 4)
    with pytest.raises(Refused, match="Stratonovich"):
        effect_gradient(Geometric(sde_type="stratonovich"), error, square, 1.0, grid, 8, eps=EPS)
    with pytest.raises(InvalidArgument, match="x0 must have"):
        effect_gradient(Geometric(), error, square, [1.0, 2.0], grid, 8, eps=EPS)
    with pytest.raises(InvalidArgument, match="loss must return one number a path"):
        effect_gradient(Geometric(), error, lambda x: x, 1.0, grid, 8, eps=EPS)
    with pytest.raises(NumericalFailure, match="not finite"):
        effect_gradient(
            Geometric(), error, lambda x: torch.log(x).sum(-1), -1.0, grid, 8, eps=EPS,
            assume=("loss growth", "loss smoothness"),
        )  # fmt: skip
