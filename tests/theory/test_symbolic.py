"""Coefficients in symbols: against closed forms, and against equations that are derived without Itô's formula."""

import math
from dataclasses import fields
from functools import cache
from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
import torch
from alarm import assert_misses
from joint import assert_all_cover
from symbolic_series import EPS, TIME, Averages, Equation, follow, moved, taylor, varied_step
from systems import F64, CoupledDiagonal, D, E, M, N, Network, NetworkByHand, elementwise, fixed, full_error
from torch import Tensor

from sdewm.drifts import DoubleWell, Linear, TanhNetwork
from sdewm.dynamics import (
    DifferentiableSDE,
    LatentSDE,
    RepresentationError,
    StepMap,
    Terms,
    Variations,
    simulate_coupled,
)
from sdewm.dynamics.tamed import tame
from sdewm.estimate import Estimate
from sdewm.exceptions import InvalidArgument, Refused
from sdewm.grid import TimeGrid
from sdewm.theory.effect import effect_problem
from sdewm.theory.symbolic import (
    MomentEquations,
    PolynomialSystem,
    coefficient_equations,
    effect_equations,
    extended_symbols,
    moment_equations,
)

SWITCHES = [f.name for f in fields(Terms)]
a, b, c, rho, x0, eta, x, z = sp.symbols("a b c rho x0 eta x z", real=True)
t = sp.Symbol("t", positive=True)
KAPPA = 2 * a + b**2
HALF = sp.Rational(1, 2)
MINIMAL = PolynomialSystem([x], [a * x], [[b * x]], error_diffusion=[[c]], correlation=[[rho]])


# --- the minimal counterexample --------------------------------------------------------------------------------------


def closed_forms(form: str) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """P, Q and S/2 as they are quoted, for a start at x0."""
    p = 2 * rho * b * c * x0 * (sp.exp(KAPPA * t) - sp.exp(a * t)) / (a + b**2)
    half_s = c**2 * (sp.exp(KAPPA * t) - 1) / KAPPA
    if form == "ito":
        return p, sp.Integer(0), half_s
    bracket = (sp.exp(KAPPA * t) - sp.exp(a * t)) / (a + b**2) - (sp.exp(KAPPA * t) - 1) / KAPPA
    return 2 * p, sp.Integer(0), half_s + 4 * (rho * b * c) ** 2 / a * bracket


def begin(system: PolynomialSystem, start: list[Any], initial: list[Any] | None = None) -> dict[sp.Symbol, Any]:
    """Where the extended equations start."""
    states, y1, y2 = extended_symbols(system)
    way = [0] * len(start) if initial is None else initial
    return dict(zip((*states, *y1, *y2), (*start, *way, *([0] * len(start))), strict=True))


@pytest.mark.parametrize("form", ["ito", "uncorrected"])
def test_minimal_counterexample_identically(form: str) -> None:
    """For all a, b, c, ρ, x0 and t at once, with and without Itô correction; each form's P is not the other's."""
    equations = coefficient_equations(MINIMAL, x**2, Terms(ito_correction=form == "ito"))
    solutions = [e.solution(begin(MINIMAL, [x0])).subs(e.time, t) for e in equations]
    wanted = closed_forms(form)
    for got, want in zip(solutions, (wanted[0], wanted[1], 2 * wanted[2]), strict=True):
        assert sp.simplify(got - want) == 0
    other = closed_forms("uncorrected" if form == "ito" else "ito")
    assert sp.simplify(solutions[0] - other[0]) != 0
    assert sp.simplify(solutions[2] - 2 * other[2]) != 0


def test_minimal_counterexample_with_an_initial_error() -> None:
    """From E x y₁ and E y₁² by hand: m' = κm + ρbc E x, v' = κv + 2ρbc η e^{at} + c², begun at x0 η and η²."""
    p, q, s = (e.solution(begin(MINIMAL, [x0], [eta])).subs(e.time, t) for e in coefficient_equations(MINIMAL, x**2))
    grown = (sp.exp(KAPPA * t) - sp.exp(a * t)) / (a + b**2)
    assert sp.simplify(p - 2 * x0 * (eta * sp.exp(KAPPA * t) + rho * b * c * grown)) == 0
    assert q == 0
    v = eta**2 * sp.exp(KAPPA * t) + 2 * rho * b * c * eta * grown + c**2 * (sp.exp(KAPPA * t) - 1) / KAPPA
    assert sp.simplify(s - 2 * v) == 0
    assert sp.simplify(p - 2 * x0 * rho * b * c * grown) != 0


def test_effect_is_a_polynomial_with_these_coefficients() -> None:
    """E (x^ε)² in symbols has no term beyond ε², and its coefficients are P and Q + S/2, identically."""
    effect = effect_equations(MINIMAL, x**2, EPS)
    value = sp.expand(effect.solution({x: x0 + EPS * eta}).subs(effect.time, t))
    p, q, s = (e.solution(begin(MINIMAL, [x0], [eta])).subs(e.time, t) for e in coefficient_equations(MINIMAL, x**2))
    parts = [value.coeff(EPS, k) for k in range(4)]
    assert sp.degree(sp.Poly(value, EPS)) == 2
    assert sp.simplify(parts[0] - x0**2 * sp.exp(KAPPA * t)) == 0
    assert sp.simplify(parts[1] - p) == 0
    assert sp.simplify(parts[2] - q - s / 2) == 0
    assert sp.simplify(parts[2] - q - s) != 0


@pytest.mark.parametrize("form", ["ito", pytest.param("uncorrected", marks=pytest.mark.slow)])
@pytest.mark.parametrize("singular", ["a + b² = 0", "κ = 0", "a = 0"])
def test_removable_limits(form: str, singular: str) -> None:
    """Where the solution is 0/0, its limit, the number by a matrix exponential, and the limit of the quoted form agree.

    Solved anew at these very parameters the equations have coinciding rates, and give the limit without any quotient.
    """
    numbers = {b: sp.Rational(3, 5), c: sp.Rational(-4, 5), rho: HALF, x0: sp.Integer(1)}
    at = {"a + b² = 0": sp.Rational(-9, 25), "κ = 0": sp.Rational(-9, 50), "a = 0": sp.Integer(0)}[singular]
    terms = Terms(ito_correction=form == "ito")
    equations = coefficient_equations(MINIMAL, x**2, terms)
    special = PolynomialSystem([x], [at * x], [[numbers[b] * x]], error_diffusion=[[c]], correlation=[[rho]])
    quoted = closed_forms(form)
    for k, (own, anew) in enumerate(zip(equations, coefficient_equations(special, x**2, terms), strict=True)):
        solved = own.solution(begin(MINIMAL, [x0])).subs(own.time, 2).subs(numbers)
        limit = sp.limit(solved, a, at) if solved != 0 else sp.Integer(0)
        want = sp.limit((2 if k == 2 else 1) * quoted[k].subs(t, 2).subs(numbers), a, at)
        direct = anew.solution(begin(special, [x0])).subs(anew.time, 2).subs(numbers)
        assert sp.simplify(limit - want) == 0
        assert sp.simplify(direct - want) == 0
        number = own.number(begin(MINIMAL, [x0]), 2.0, {a: at, **numbers})
        assert number == pytest.approx(float(want), rel=1e-12, abs=1e-15)
    # At another point the same check fails: it can.
    p = equations[0]
    assert p.number(begin(MINIMAL, [x0]), 2.0, {**numbers, a: at + sp.Rational(1, 100)}) != pytest.approx(
        float(sp.limit(quoted[0].subs(t, 2).subs(numbers), a, at)), rel=1e-4
    )


# --- larger systems whose moments close ------------------------------------------------------------------------------

x1, x2, x3 = sp.symbols("x1 x2 x3", real=True)
R = sp.Rational
# 3/5 of a rotation: ρᵀρ = 9/25, so that the error's own noise has the rational weight 4/5.
ROTATED = [[R(12, 25), R(-9, 25)], [R(9, 25), R(12, 25)]]
AFFINE = PolynomialSystem(
    [x1, x2],
    [R(-1, 2) * x1 + R(3, 10) * x2 + R(1, 5), R(1, 5) * x1 - R(4, 5) * x2],
    [[R(3, 10) * x1 + R(1, 5), R(2, 5) * x2], [R(1, 5) * x2 - R(1, 10) * x1, R(1, 10) + R(3, 10) * x1]],
    [R(3, 10) * x2 - R(1, 5), R(1, 2) + R(1, 10) * x1],
    [[R(1, 2) + R(1, 5) * x2, R(-3, 10) * x1], [R(2, 5) * x1, R(3, 5) - R(1, 5) * x2]],
    ROTATED,
)
# x₂ feeds on x₁², so that second derivatives matter; with the weights 1 and 2 no moment asks for a heavier one.
TRIANGULAR = PolynomialSystem(
    [x1, x2],
    [R(-1, 2) * x1 + R(1, 5), R(3, 10) * x1**2 - R(3, 5) * x2 + R(1, 10) * x1],
    [[R(3, 10) * x1 + R(1, 5)], [R(2, 5) * x1**2 + R(3, 10) * x2]],
    [R(1, 5) * x1, R(1, 5) * x1**2 - R(1, 10) * x2],
    [[R(1, 2) + R(1, 5) * x1], [R(3, 10) * x1**2 + R(1, 5) * x2 + R(1, 10)]],
    [[R(3, 5)]],
)
# Deterministic base: nothing but the error's noise moves it.
QUIET = PolynomialSystem(
    [x1, x2], [-x1, x1**2 - x2], [[0, 0], [0, 0]], None, [[HALF, R(1, 3)], [x1, R(1, 5) * x1]], [[0, 0], [0, 0]]
)
SYSTEMS = {"affine": AFFINE, "triangular": TRIANGULAR, "quiet": QUIET}
LOSSES = {
    "affine": x1**2 + x1 * x2 - HALF * x2**2 + x2,
    "triangular": x1**2 + x2 + HALF * x1 * x2,
    "quiet": x2 + x1**2,
}
STARTS = {
    "affine": ([R(4, 5), R(-1, 2)], [R(3, 10), R(-2, 5)]),
    "triangular": ([R(4, 5), R(1, 2)], [R(3, 10), R(1, 5)]),
    "quiet": ([R(4, 5), R(1, 2)], [R(3, 10), R(1, 5)]),
}


def written(name: str) -> Equation:
    """The system as an equation in symbols."""
    system = SYSTEMS[name]
    return Equation(
        tuple(system.variables),
        list(system.drift),
        system.columns.tolist(),
        list(system.error_drift or []),
        system.error_diffusion.tolist(),
    )


@cache
def averages(name: str, terms: Terms | None = None) -> Averages:
    """One Euler step of (x, y₁, y₂), as Taylor coefficients, multiplied out and averaged."""
    equation, root = written(name), sp.Symbol("s", positive=True)
    m, own = equation.widths
    xi, zeta = list(sp.symbols(f"n1:{m + 1}")), list(sp.symbols(f"o1:{own + 1}"))
    weight = sp.Matrix(SYSTEMS[name].correlation)
    rest = sp.sqrt(1 - (weight.T * weight)[0, 0])
    omega = list(weight.T * sp.Matrix(xi) + rest * sp.Matrix(zeta))
    names, values = varied_step(equation, root**2, root, xi, omega, weight, terms)
    ours = [v for part in extended_symbols(SYSTEMS[name]) for v in part]
    values = [sp.expand(v).subs(dict(zip(names, ours, strict=True)), simultaneous=True) for v in values]
    return Averages.of(ours, values, root, [*xi, *zeta])


def rates_agree(equations: MomentEquations, step: Averages) -> bool:
    """Whether every row of the moment equations is the rate of its monomial, exactly."""
    return all(
        sp.expand(sum(equations.matrix[i, j] * m for j, m in enumerate(equations.monomials)) - step.rate(monomial)) == 0
        for i, monomial in enumerate(equations.monomials)
    )


def observables(name: str) -> tuple[sp.Expr, ...]:
    """∇ℓᵀy₁, ∇ℓᵀy₂ and y₁ᵀ∇²ℓ y₁ as Taylor coefficients of the loss."""
    states, y1, y2 = extended_symbols(SYSTEMS[name])

    def along(way: tuple[sp.Symbol, ...], order: int) -> sp.Expr:
        point = dict(zip(states, moved(states, way), strict=True))
        return taylor(LOSSES[name].subs(point, simultaneous=True), order)

    return along(y1, 1), along(y2, 1), 2 * along(y1, 2)


VARIANTS: list[tuple[str, ...]] = [(), *((s,) for s in SWITCHES), ("ito_correction", "half"), tuple(SWITCHES)]


@pytest.mark.slow
@pytest.mark.parametrize("without", VARIANTS, ids="+".join)
@pytest.mark.parametrize("name", [pytest.param("affine", marks=pytest.mark.slow), "triangular"])
def test_moment_equations_are_the_rates_of_the_euler_step(name: str, without: tuple[str, ...]) -> None:
    """Exactly, for each switch: two non-commuting columns, a full matrix ρ, drift and diffusion errors of the state.

    On the other side there is an Euler step whose Taylor coefficients are multiplied out and averaged over its normals.
    """
    terms = Terms.without(*without)
    equations = coefficient_equations(SYSTEMS[name], LOSSES[name], terms)
    step = averages(name, terms if without else None)
    for one, observable in zip(equations, observables(name), strict=True):
        assert sp.expand(sum(w * m for w, m in zip(one.weights, one.monomials, strict=True)) - observable) == 0
        assert rates_agree(one, step)
    # The equations with a correction too many are seen to differ.
    other = Terms.without(*({"ito_correction"} ^ set(without)))
    assert not rates_agree(coefficient_equations(SYSTEMS[name], LOSSES[name], other)[2], step)


def precise(equations: MomentEquations, start: dict[sp.Symbol, Any], time: Any) -> Any:
    """E of the observable to sixty digits, by mpmath's matrix exponential."""
    size = len(equations.monomials)
    matrix = mp.matrix(size, size)
    for (i, j), entry in sp.SparseMatrix(equations.matrix).todok().items():
        matrix[i, j] = exact(entry)
    begin_at = mp.matrix([exact(m.subs(start)) for m in equations.monomials])
    row = mp.matrix([exact(w) for w in equations.weights]).T
    return (row * mp.expm(matrix * time) * begin_at)[0]


def exact(value: Any) -> Any:
    rational = sp.Rational(value)
    return mp.mpf(int(rational.p)) / int(rational.q)


@pytest.mark.parametrize("name", [pytest.param("affine", marks=pytest.mark.slow), "triangular", "quiet"])
def test_taylor_coefficients_of_the_exact_effect(name: str) -> None:
    """E ℓ(x^ε) at ±10⁻¹², to sixty digits: its first and second coefficient are P and Q + S/2 to 10⁻²⁰.

    The sum with S in place of S/2, and that without Q, is not.
    """
    system, loss, (start, initial) = SYSTEMS[name], LOSSES[name], STARTS[name]
    with mp.workdps(60):
        time, small = mp.mpf(1), sp.Rational(1, 10**12)

        def effect(eps: sp.Rational) -> Any:
            begin_at = {v: s + eps * e for v, s, e in zip(system.variables, start, initial, strict=True)}
            return precise(effect_equations(system, loss, eps), begin_at, time)

        up, middle, down = effect(small), effect(sp.Integer(0)), effect(-small)
        first = (up - down) / (2 * exact(small))
        second = (up + down - 2 * middle) / (2 * exact(small) ** 2)
        p, q, s = (precise(e, begin(system, start, initial), time) for e in coefficient_equations(system, loss))
        assert abs(first - p) < mp.mpf(10) ** -20
        assert abs(second - q - s / 2) < mp.mpf(10) ** -20
        assert abs(s) > 0.01
        assert name == "affine" or abs(q) > 0.01  # y₂ matters
        numbers = [e.number(begin(system, start, initial), 1.0) for e in coefficient_equations(system, loss)]
        assert numbers == pytest.approx([float(p), float(q), float(s)], rel=1e-11)
        wrong = coefficient_equations(system, loss, Terms.without("half"))[1]
        if name != "affine":
            assert abs(second - precise(wrong, begin(system, start, initial), time) - s / 2) > 1e-3


def test_exact_effect_against_another_implementation() -> None:
    """E of quadratics of the perturbed affine system, at sizes that are not small, from `Linear`'s own moments.

    Its noise has four columns: ḡ + ε σ̄ ρᵀ over B and ε σ̄ (I − ρᵀρ)^½ over the error's own.
    """
    start, initial = STARTS["affine"]
    for eps in (R(1, 5), R(1), R(-3, 2)):
        drift = AFFINE.drift + eps * sp.Matrix(list(AFFINE.error_drift or []))
        own = AFFINE.error_diffusion
        columns = sp.Matrix.hstack(AFFINE.columns + eps * own * sp.Matrix(ROTATED).T, eps * R(4, 5) * own)
        jacobian, zero = drift.jacobian([x1, x2]), {x1: 0, x2: 0}
        system = Linear(
            tensor(jacobian),
            torch.stack([tensor(columns[:, k].jacobian([x1, x2])) for k in range(4)]),
            drift_offset=tensor(drift.subs(zero))[:, 0],
            diffusion_offset=tensor(columns.subs(zero)).T,
        )
        begin_at = [s + eps * e for s, e in zip(start, initial, strict=True)]
        mean, second = system.moments(torch.tensor([float(v) for v in begin_at], dtype=F64), 1.5)
        want = second[0, 0] + second[0, 1] - 0.5 * second[1, 1] + mean[1]
        got = effect_equations(AFFINE, LOSSES["affine"], eps).number(dict(zip((x1, x2), begin_at, strict=True)), 1.5)
        assert got == pytest.approx(float(want), rel=1e-11)


def tensor(matrix: sp.Matrix) -> Tensor:
    """A matrix of numbers."""
    return torch.tensor([[float(v) for v in row] for row in matrix.tolist()], dtype=F64)


@cache
def triangular_numbers(without: tuple[str, ...] = ()) -> tuple[float, float, float]:
    """P, Q and S of the triangular system."""
    equations = coefficient_equations(TRIANGULAR, LOSSES["triangular"], Terms.without(*without))
    p, q, s = (e.number(begin(TRIANGULAR, *STARTS["triangular"]), 1.0) for e in equations)
    return p, q, s


@pytest.mark.parametrize("name", SWITCHES)
def test_each_switch_changes_what_it_should(name: str) -> None:
    """Only the Itô correction touches y₁; it and every other switch change y₂."""
    right, wrong = triangular_numbers(), triangular_numbers((name,))
    assert abs(wrong[1] - right[1]) > 1e-3
    for k in (0, 2):
        assert (abs(wrong[k] - right[k]) > 1e-3) == (name == "ito_correction")


def test_switches_that_cannot_matter() -> None:
    """Affine coefficients have no Hessian, so that neither it nor its half is there to leave out."""
    equations = coefficient_equations(AFFINE, LOSSES["affine"])
    for name in ("half", "drift_hessian", "diffusion_hessian"):
        for one, other in zip(
            equations, coefficient_equations(AFFINE, LOSSES["affine"], Terms.without(name)), strict=True
        ):
            assert one.matrix == other.matrix
    assert coefficient_equations(AFFINE, LOSSES["affine"], Terms.without("mixed"))[1].matrix != equations[1].matrix


# --- against simulation ----------------------------------------------------------------------------------------------


class Triangular(LatentSDE):
    """The triangular system in torch."""

    dim = 2
    noise_type = "scalar"

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        u, v = x[:, 0], x[:, 1]
        return torch.stack((0.2 - 0.5 * u, 0.3 * u**2 - 0.6 * v + 0.1 * u), 1)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        u, v = x[:, 0], x[:, 1]
        return torch.stack((0.3 * u + 0.2, 0.4 * u**2 + 0.3 * v), 1)[:, :, None]


TRIANGULAR_ERROR = RepresentationError(
    drift=lambda t, x: torch.stack((0.2 * x[:, 0], 0.2 * x[:, 0] ** 2 - 0.1 * x[:, 1]), 1),
    diffusion=lambda t, x: torch.stack((0.5 + 0.2 * x[:, 0], 0.3 * x[:, 0] ** 2 + 0.2 * x[:, 1] + 0.1), 1)[:, :, None],
    initial=torch.tensor([0.3, 0.2], dtype=F64),
    correlation=0.6,
)


def triangular_loss(x: Tensor) -> Tensor:
    """x₁² + x₂ + ½ x₁ x₂."""
    return x[:, 0] ** 2 + x[:, 1] + 0.5 * x[:, 0] * x[:, 1]


def euler(name: str, h: float, terms: Terms | None = None) -> list[float]:
    """E of the three observables under the Euler scheme, exactly."""
    start, initial = STARTS[name]
    begin_at = [*start, *initial, *([0] * len(start))]
    step = averages(name, terms)
    return [step.expectation(observable, begin_at, h, round(1 / h)) for observable in observables(name)]


@pytest.mark.slow
@pytest.mark.parametrize("without", [(), ("ito_correction",), ("half", "mixed")], ids="+".join)
@pytest.mark.parametrize("name", ["affine", "triangular"])
def test_euler_moments_tend_to_the_numbers(name: str, without: tuple[str, ...]) -> None:
    """The exact moments of the Euler scheme at h = 1/32, …, 1/256, extrapolated three times, to eight digits."""
    terms = Terms.without(*without)
    table = [euler(name, 1 / 2**k, terms if without else None) for k in (5, 6, 7, 8)]
    for k in (2, 4, 8):
        table = [[(k * f - g) / (k - 1) for f, g in zip(fine, coarse, strict=True)] for coarse, fine in pairwise(table)]
    equations = coefficient_equations(SYSTEMS[name], LOSSES[name], terms)
    numbers = [e.number(begin(SYSTEMS[name], *STARTS[name]), 1.0) for e in equations]
    assert table[0] == pytest.approx(numbers, rel=1e-8, abs=1e-9)
    assert euler(name, 1 / 256, terms if without else None) != pytest.approx(numbers, rel=1e-5)


@pytest.mark.slow
def test_simulated_coefficients_cover_the_exact_ones() -> None:
    """The triangular system in all forms on the same paths: P and Q + S/2, and how far each form is off the right one.

    What is estimated from 16 and 8 steps is known exactly from the Euler scheme's own moments: no bias is allowed for.
    """
    growth = ("drift growth", "diffusion growth", "error growth")
    start = torch.tensor([0.8, 0.5], dtype=F64)
    variants: list[tuple[str, ...]] = [(), *((name,) for name in SWITCHES)]
    problem = effect_problem(
        Triangular(), TRIANGULAR_ERROR, triangular_loss, start, TimeGrid(1.0, 16), 8192, scheme="euler", assume=growth
    )
    forms = {"+".join(without): problem.variations(Terms.without(*without)) for without in variants}
    estimates = problem.moments(
        forms, lambda states: [column for name in forms for column in problem.coefficients(states[name])]
    ).estimates()
    pairs: list[tuple[Estimate, float]] = []
    for k, without in enumerate(variants):
        terms = Terms.without(*without) if without else None
        fine, coarse = (euler("triangular", h, terms) for h in (1 / 16, 1 / 8))
        p, q, s = (2 * f - g for f, g in zip(fine, coarse, strict=True))
        found, wanted = estimates[3 * k + 1] + estimates[3 * k + 2] / 2, q + s / 2
        pairs.append((estimates[3 * k], p))
        if not k:
            right, truth = found, wanted
            pairs.append((right, truth))
            continue
        pairs.append((found - right, wanted - truth))
        if without != ("diffusion_hessian",):  # whose effect, −.02, is a martingale's but for a correction
            assert_misses(found - right, 0.0)
    assert_all_cover(pairs)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("drift", "diffusion"),
    [(x - x**3, HALF), (-x, 1 + x**2), (x**2, x)],
    ids=["cubic", "quadratic noise", "explosive"],
)
def test_moments_that_do_not_close(drift: sp.Expr, diffusion: sp.Expr, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each moment asks for a higher one; that is said in place of an endless search."""
    system = PolynomialSystem([x], [drift], [[diffusion]], error_diffusion=[[1]])
    if drift == x - x**3:
        with pytest.raises(Refused, match="the moment equations do not close: more than 400 moments"):
            effect_equations(system, x**2, HALF)
    monkeypatch.setattr("sdewm.theory.symbolic.MOST", 40)
    for act in (lambda: coefficient_equations(system, x**2), lambda: effect_equations(system, x**2, HALF)):
        with pytest.raises(Refused, match="the moment equations do not close: more than 40 moments"):
            act()


def test_closing_is_a_matter_of_the_whole_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same square closes where it feeds on what is affine, and does not where two squares feed on each other."""
    monkeypatch.setattr("sdewm.theory.symbolic.MOST", 40)
    closed = PolynomialSystem([x1, x2], [-x1, x1**2 - x2], [[1], [x1**2]])
    assert len(effect_equations(closed, x2**2, HALF).monomials) < 20
    circle = PolynomialSystem([x1, x2], [x2**2 - x1, x1 - x2], [[1], [1]])
    with pytest.raises(Refused, match="do not close"):
        effect_equations(circle, x2, HALF)


def test_a_base_without_columns() -> None:
    """No noise at all is the same as a column of zeros."""
    found = []
    for columns in (sp.zeros(1, 0), sp.zeros(1, 1)):
        rho = sp.zeros(columns.cols, 1)
        system = PolynomialSystem([x], [-x], columns, [x / 2], [[HALF * x]], rho)
        found.append([e.number(begin(system, [R(1)], [HALF]), 1.0) for e in coefficient_equations(system, x**2)])
    assert found[0] == pytest.approx(found[1], rel=1e-14)


def test_no_solution_in_symbols_for_equations_in_a_circle() -> None:
    """Coupled coordinates: the rates are roots of polynomials, while numbers are to be had."""
    p = coefficient_equations(AFFINE, LOSSES["affine"])[0]
    with pytest.raises(Refused, match=r"coupled in a circle: ask for numbers"):
        p.solution(begin(AFFINE, *STARTS["affine"]))
    assert math.isfinite(p.number(begin(AFFINE, *STARTS["affine"]), 1.0))


@pytest.mark.parametrize("bad", [sp.sin(x), 1 / x, sp.sqrt(x), sp.Abs(x)])
def test_what_is_not_polynomial(bad: sp.Expr) -> None:
    """As drift, diffusion, error or loss."""
    good = {"drift": [-x], "diffusion": [[x]], "error_drift": [x], "error_diffusion": [[x]]}
    for name, value in good.items():
        parts = {**good, name: [bad] if isinstance(value[0], sp.Expr) else [[bad]]}
        with pytest.raises(InvalidArgument, match="must be polynomial in the state"):
            coefficient_equations(PolynomialSystem([x], **parts), x**2)
    with pytest.raises(InvalidArgument, match="must be polynomial in the state"):
        coefficient_equations(PolynomialSystem([x], **good), bad)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([x1], [x1, x2], [[x1]]), "must have 1 entries"),
        (([x1, x2], [x1, x2], [[x1]]), "2 rows"),
        (([x1], [x1], [[x1]], [x1, x1]), "must have 1 entries"),
        (([x1], [x1], [[x1]], None, [[x1], [x1]]), "1 rows"),
        (([x1], [x1], [[x1, 1]], None, [[x1]]), "correlation must be 2 × 1, got 2 × 2"),
        (([x1], [x1], [[x1]], None, [[x1]], [[1, 0]]), "correlation must be 1 × 1, got 1 × 2"),
    ],
)
def test_sizes_that_do_not_fit(arguments: tuple[Any, ...], message: str) -> None:
    """Each is named with what was given."""
    with pytest.raises(InvalidArgument, match=message):
        PolynomialSystem(*arguments)


def test_solution_in_symbols_equals_the_number() -> None:
    """Of chains with coinciding rates, where powers of t up to the third appear, with and without noise."""
    chain = sp.Matrix([-x1, x1 - x2, x2 - x3, 2 * x3 - z + x1])
    noisy = sp.Matrix([[x1, 0], [0, HALF * x2]])
    for names, drift, covariance, observable in (
        ([x1, x2, x3, z], chain, sp.zeros(4, 4), z + x2 * x3),
        ([x1, x2], sp.Matrix([-x1, x1 - x2]), noisy * noisy.T, x1 * x2 + x2**2 + 3),
        ([x1, x2], sp.Matrix([-x1, x1 - x2]), sp.zeros(2, 2), x2**3),
    ):
        equations = moment_equations(names, drift, covariance, observable)
        begin_at = dict(zip(names, (HALF, R(-3, 4), R(2, 3), R(1, 5)), strict=False))
        symbolic = equations.solution(begin_at)
        assert symbolic.has(equations.time)
        for instant in (0.3, 1.0, 2.5):
            want = equations.number(begin_at, instant)
            assert float(symbolic.subs(equations.time, instant)) == pytest.approx(want, rel=1e-12)
    assert symbolic.coeff(equations.time**3) != 0 or sp.expand(symbolic).has(equations.time**3)


# --- other systems: series in ε, path by path -------------------------------------------------------------------------


GRID, PATHS = TimeGrid(0.5, 4), 7
STATE = sp.symbols("q1:4", real=True)


def floats(matrix: Tensor) -> list[Any]:
    """Entries as SymPy's floats, to the bit."""
    return [sp.Float(v, 17) for v in matrix.tolist()] if matrix.ndim == 1 else [floats(row) for row in matrix]


def network_equation() -> Equation:
    """`Network` with `full_error`: sin and tanh, two columns that do not commute, everything of time and state."""
    q, (W, C, E1, E2) = list(STATE), (sp.Matrix(floats(m)) for m in (Network().W, Network().C, D, E))
    B = [sp.Matrix(floats(m)) for m in Network().B]
    sines = sp.Matrix([sp.sin(v) for v in q])
    drift = (
        W * sp.Matrix([sp.tanh(v) for v in q]) - sp.Matrix(q) + sp.ones(3, 1) * sp.Rational(3, 10) * sp.sin(5 * TIME)
    )
    columns = C + sp.Matrix.hstack(*(b * sines for b in B)) * sp.cos(TIME)
    bend = (sp.Matrix([q]) * sp.Matrix(floats(N))).applyfunc(sp.sin)
    own = E1 * sp.exp(-TIME) + sp.Matrix(3, 2, lambda i, j: E2[i, j] * bend[i])
    off = (sp.Matrix([[sp.cos(v) for v in q]]) * sp.Matrix(floats(M))).applyfunc(lambda v: v + HALF + TIME)
    return Equation(STATE, list(drift), columns.tolist(), list(off), own.tolist())


def each(function: Any, dim: int) -> list[Any]:
    """function(q_i) for each coordinate."""
    return [function(v) for v in STATE[:dim]]


def diagonal(function: Any, dim: int) -> list[list[Any]]:
    """A diagonal matrix of function(q_i)."""
    return sp.diag(*each(function, dim)).tolist()


def bent(v: Any) -> Any:
    """½ + ⅖ sin 2v, the error of `elementwise`."""
    return HALF + R(2, 5) * sp.sin(2 * v)


class Mixing(LatentSDE):
    """Two coordinates, three columns, without derivatives of its own; a cubic drift and noise of the state."""

    dim, noise_type, noise_dim = 2, "general", 3

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        u, v = x[:, 0], x[:, 1]
        return torch.stack((u - u**3 + 0.5 * v, torch.tanh(u * v) - v + torch.cos(t)), 1)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        u, v = x[:, 0], x[:, 1]
        first = torch.stack((0.3 + 0.2 * torch.sin(v), 0.1 * u * v, torch.full_like(u, 0.2)), 1)
        second = torch.stack((0.4 * torch.tanh(u), 0.2 + 0.0 * u, 0.3 * torch.exp(-(v**2))), 1)
        return torch.stack((first, second), 1)


def mixing_equation(scheme: str = "euler", error: bool = True) -> Equation:
    """`Mixing`, with an error of one column that is correlated with all three."""
    u, v = STATE[:2]
    return Equation(
        (u, v),
        [u - u**3 + v / 2, sp.tanh(u * v) - v + sp.cos(TIME)],
        [
            [R(3, 10) + R(1, 5) * sp.sin(v), u * v / 10, R(1, 5)],
            [R(2, 5) * sp.tanh(u), R(1, 5), R(3, 10) * sp.exp(-(v**2))],
        ],
        [sp.sin(u) * v, u**2 / 4] if error else None,
        [[HALF + v**2 / 5], [R(3, 10) * sp.cos(u * v)]],
        scheme,
    )


MIXING_ERROR = RepresentationError(
    drift=lambda t, x: torch.stack((torch.sin(x[:, 0]) * x[:, 1], x[:, 0] ** 2 / 4), 1),
    diffusion=lambda t, x: torch.stack((0.5 + x[:, 1] ** 2 / 5, 0.3 * torch.cos(x[:, 0] * x[:, 1])), 1)[:, :, None],
    initial=torch.tensor([0.4, -0.3], dtype=F64),
    correlation=torch.tensor([[0.5], [-0.4], [0.3]], dtype=F64),
)


def recurrent() -> StepMap:
    """A map of two coordinates and three normals that depends on the step, as a recurrent model does."""

    def mean(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        u, v = x[:, 0], x[:, 1]
        return torch.stack((torch.tanh(0.8 * u - 0.5 * v + 0.1 * n), torch.sigmoid(u) * v + 0.2 * u), 1)

    def scale(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        u, v = x[:, 0], x[:, 1]
        zero = torch.zeros_like(u)
        first = torch.stack((0.2 + 0.1 * torch.cos(v), zero, 0.1 * u), 1)
        return torch.stack((first, torch.stack((zero, 0.3 * torch.exp(-0.1 * n * v**2), zero), 1)), 1)

    return StepMap(mean, scale, 2, 3)


def recurrent_equation() -> Equation:
    """The same in symbols; the error is `MIXING_ERROR`, now per step."""
    u, v = STATE[:2]
    error = mixing_equation()
    return Equation(
        (u, v),
        [sp.tanh(R(4, 5) * u - v / 2 + TIME / 10), v / (1 + sp.exp(-u)) + u / 5],
        [[R(1, 5) + sp.cos(v) / 10, 0, u / 10], [0, R(3, 10) * sp.exp(-TIME * v**2 / 10), 0]],
        error.error_drift,
        error.error_columns,
        "map",
    )


def stratonovich_equation() -> Equation:
    """`CoupledDiagonal` read as Stratonovich: its Itô drift is −x + ½ Σ_k (∂_k ḡ_k) ḡ_k on each coordinate."""
    q, mix = list(STATE), sp.Matrix(floats(CoupledDiagonal().M.detach()))
    g = [HALF + R(2, 5) * sp.sin(w) for w in sp.Matrix([q]) * mix]
    drift = [-v + HALF * taylor(f.subs(v, v + EPS), 1) * f for v, f in zip(q, g, strict=True)]
    return Equation(STATE, drift, sp.diag(*g).tolist(), None, diagonal(bent, 3))


def well(error: Any, drift: Any = None, scheme: str = "euler", dim: int = 1) -> Equation:
    """The double well."""
    return Equation(
        STATE[:dim],
        each(lambda v: v - v**3, dim),
        diagonal(lambda v: HALF + R(3, 10) * sp.sin(v), dim),
        None if drift is None else each(drift, dim),
        diagonal(error, dim),
        scheme,
    )


def cosine(t: Tensor, x: Tensor) -> Tensor:
    """A drift error."""
    return 0.3 + torch.cos(x)


WEIGHT = 0.7 * fixed(3, 3, seed=20)
SERIES: dict[str, tuple[Any, RepresentationError, Equation, list[float]]] = {
    "network, 3": (NetworkByHand(), full_error(by_hand=True), network_equation(), [0.5, 0.5, 0.5]),
    "double well, shared": (DoubleWell(), RepresentationError(diffusion=elementwise), well(bent), [0.6]),
    "double well, everything": (
        DoubleWell(),
        RepresentationError(cosine, elementwise, 0.7, -0.6),
        well(bent, lambda v: R(3, 10) + sp.cos(v)),
        [0.6],
    ),
    "tamed double well, 2": (
        tame(DoubleWell(dim=2), GRID),
        RepresentationError(cosine, elementwise, torch.tensor([0.7, -0.2], dtype=F64), "independent"),
        well(bent, lambda v: R(3, 10) + sp.cos(v), "tamed", 2),
        [2.0, -1.5],
    ),
    "tamed, without derivatives": (tame(Mixing(), GRID), MIXING_ERROR, mixing_equation("tamed"), [1.5, -0.8]),
    "tanh network, 3, independent": (
        TanhNetwork(3, weight=WEIGHT),
        RepresentationError(diffusion=elementwise, correlation="independent"),
        Equation(
            STATE,
            list(sp.Matrix(floats(WEIGHT)) * sp.Matrix(each(sp.tanh, 3)) - sp.Matrix(STATE)),
            diagonal(lambda v: R(3, 10) + R(1, 5) * sp.tanh(v), 3),
            None,
            diagonal(bent, 3),
        ),
        [0.6, -0.2, 0.1],
    ),
    "three columns, matrix ρ": (Mixing(), MIXING_ERROR, mixing_equation(), [0.5, -0.4]),
    "step map, matrix ρ": (recurrent(), MIXING_ERROR, recurrent_equation(), [0.5, -0.4]),
    "stratonovich, 3": (
        CoupledDiagonal("stratonovich"),
        RepresentationError(diffusion=elementwise, correlation=0.4),
        stratonovich_equation(),
        [0.3, -0.2, 0.4],
    ),
}


LONG = ("network, 3", "tamed, without derivatives")
CHOSEN = [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in SERIES]


@cache
def series(name: str) -> list[Tensor]:
    """x⁰, y₁ and y₂ of a case from SymPy's Taylor coefficients."""
    _, error, equation, start = SERIES[name]
    eta = np.broadcast_to(np.asarray(0.0 if error.initial is None else error.initial), (PATHS, equation.dim))
    begin_at = np.broadcast_to(np.array(start), eta.shape)
    return [torch.tensor(part) for part in follow(equation, GRID, PATHS, begin_at, eta, error.correlation)]


def simulated(name: str, system: Any = None, **options: Any) -> list[Tensor]:
    """The same from the engine."""
    given, error, _, start = SERIES[name]
    member = Variations(given if system is None else system, error, **options)
    run = simulate_coupled({"v": member}, torch.tensor(start, dtype=F64), GRID, PATHS)
    return [part.final for part in run["v"]]


def apart(ours: list[Tensor], theirs: list[Tensor]) -> list[float]:
    """Largest relative distance of each part."""
    return [float((a - b).abs().max() / b.abs().max().clamp(min=1e-300)) for a, b in zip(ours, theirs, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("derivatives", ["formula", "autodiff"])
@pytest.mark.parametrize("name", CHOSEN)
def test_variations_are_the_series_of_the_step(name: str, derivatives: str) -> None:
    """By the formulas (hand-written where the system brings them) and by automatic differentiation, to 1e-12."""
    assert max(apart(simulated(name, derivatives=derivatives), series(name))) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOSEN)
def test_a_missing_term_is_seen_in_the_series(name: str) -> None:
    """Leaving out either Hessian, its half or the mixed terms changes y₂ alone, and by far more than rounding."""
    for left_out in ("drift_hessian", "diffusion_hessian", "half", "mixed"):
        x, y1, y2 = apart(simulated(name, terms=Terms.without(left_out)), series(name))
        assert max(x, y1) < 1e-12
        assert y2 > 1e-3


class Faulty(DifferentiableSDE):
    """A double well with one of its hand-written derivatives too small by a fifth."""

    dim = 1

    def __init__(self, fault: str, factor: float) -> None:
        super().__init__()
        self.right, self.factors = DoubleWell(), {fault: factor}

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return self.right.f(t, x)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return self.right.g(t, x)

    def f_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        return self.right.f_jvp(t, x, v)

    def g_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        return self.right.g_jvp(t, x, v)

    def f_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        return self.factors.get("f_second", 1.0) * self.right.f_second(t, x, v, w)

    def g_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        return self.factors.get("g_second", 1.0) * self.right.g_second(t, x, v, w)


@pytest.mark.parametrize("fault", ["f_second", "g_second"])
def test_a_wrong_derivative_is_seen_in_the_series(fault: str) -> None:
    """A second derivative that is off by a fifth; with the factor one the same class passes."""
    name = "double well, everything"
    assert max(apart(simulated(name, Faulty(fault, 1.0), derivatives="formula"), series(name))) < 1e-12
    assert apart(simulated(name, Faulty(fault, 0.8), derivatives="formula"), series(name))[2] > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    "without", [("ito_correction",), ("mixed",), ("half",), ("drift_hessian", "half")], ids="+".join
)
@pytest.mark.parametrize("name", ["network, 3", "double well, everything", "three columns, matrix ρ"])
def test_forms_are_the_series_taken_apart(name: str, without: tuple[str, ...]) -> None:
    """With terms left out, against the same Taylor coefficients summed part by part, corrections included."""
    terms = Terms.without(*without)
    _, error, equation, start = SERIES[name]
    eta = np.broadcast_to(np.asarray(error.initial), (PATHS, equation.dim))
    want = follow(equation, GRID, PATHS, np.broadcast_to(np.array(start), eta.shape), eta, error.correlation, terms)
    assert max(apart(simulated(name, terms=terms), [torch.tensor(part) for part in want])) < 1e-12
