"""The reference values themselves: derived in symbols, and by two roads that share nothing."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
import sympy as sp
from closed_forms import (
    Coefficients,
    cubic_counterexample,
    exp_difference,
    kolmogorov,
    minimal_counterexample,
    third_counterexample,
)

a, b, c, rho, x0, eps, x = sp.symbols("a b c rho x0 epsilon x", real=True)
t = sp.symbols("t", positive=True)
KAPPA = 2 * a + b**2


def moment_equations(extra: sp.Expr) -> tuple[list[sp.Expr], list[sp.Expr], list[sp.Symbol], list[sp.Symbol]]:
    """Right sides of the equations of E x and E x² for dx = (a x + ε extra) dt + b x dB + ε c dW, order by order in ε.

    They come from the generator applied to x and x², with E x = m0 + ε m1 + ... and E x² = M0 + ε M1 + ε² M2.
    """
    means, seconds = list(sp.symbols("m0:3")), list(sp.symbols("M0:3"))
    drift = a * x + eps * extra
    square = (b * x) ** 2 + 2 * rho * (b * x) * (eps * c) + (eps * c) ** 2
    orders: list[list[sp.Expr]] = []
    for function in (x, x**2):
        generator = sp.expand(drift * sp.diff(function, x) + square * sp.diff(function, x, 2) / 2)
        polynomial = sp.Poly(generator, x)
        expected = sum(
            coefficient
            * {
                0: sp.Integer(1),
                1: sum(eps**k * means[k] for k in range(3)),
                2: sum(eps**k * seconds[k] for k in range(3)),
            }[power]
            for (power,), coefficient in polynomial.terms()
        )
        orders.append([sp.expand(expected).coeff(eps, k) for k in range(3)])
    return orders[0], orders[1], means, seconds


def is_solution(
    solution: Mapping[sp.Symbol, sp.Expr], equations: Mapping[sp.Symbol, sp.Expr], start: Mapping[sp.Symbol, sp.Expr]
) -> bool:
    """Whether the linear equations and the start hold identically in all symbols; such a solution is unique."""
    return all(
        sp.simplify(sp.diff(value, t) - equations[symbol].subs(solution)) == 0
        and sp.simplify(value.subs(t, 0) - start.get(symbol, 0)) == 0
        for symbol, value in solution.items()
    )


def symbolic(form: str) -> dict[str, sp.Expr]:
    """The closed forms as they are quoted: P, Q + S/2, and E x to first order."""
    p = 2 * rho * b * c * x0 * (sp.exp(KAPPA * t) - sp.exp(a * t)) / (a + b**2)
    half_s = c**2 * (sp.exp(KAPPA * t) - 1) / KAPPA
    if form == "ito":
        return {"p": p, "second": half_s, "mean": sp.Integer(0)}
    shift = rho * b * c * (sp.exp(a * t) - 1) / a
    bracket = (sp.exp(KAPPA * t) - sp.exp(a * t)) / (a + b**2) - (sp.exp(KAPPA * t) - 1) / KAPPA
    return {"p": 2 * p, "second": half_s + 4 * (rho * b * c) ** 2 / a * bracket, "mean": shift}


@pytest.mark.parametrize("form", ["ito", "uncorrected"])
def test_minimal_counterexample_solves_its_moment_equations(form: str) -> None:
    """For all a, b, c, ρ, x0, t at once. The uncorrected form is the model with the further drift ε ρ b c."""
    extra = sp.Integer(0) if form == "ito" else rho * b * c
    mean_rates, second_rates, means, seconds = moment_equations(extra)
    quoted = symbolic(form)
    solution = {
        means[0]: x0 * sp.exp(a * t),
        means[1]: quoted["mean"],
        means[2]: sp.Integer(0),
        seconds[0]: x0**2 * sp.exp(KAPPA * t),
        seconds[1]: quoted["p"],
        seconds[2]: quoted["second"],
    }
    equations = dict(zip([*means, *seconds], [*mean_rates, *second_rates], strict=True))
    start = {means[0]: x0, seconds[0]: x0**2}
    assert is_solution(solution, equations, start)
    # The check has power: the other form's P does not solve these equations.
    other = symbolic("uncorrected" if form == "ito" else "ito")
    assert not is_solution({**solution, seconds[1]: other["p"]}, equations, start)


def test_second_order_is_split_between_q_and_s() -> None:
    """Q = 2 E x y2 = 0, as nothing drives y2; S = 2 E y1² from the equations of (x, y1) alone."""
    y = sp.symbols("y", real=True)
    # d(y²) for dy = a y dt + b y dB + c dW; E y stays zero.
    rate = (
        sp.expand(2 * y * (a * y) + (b * y) ** 2 + 2 * rho * b * y * c + c**2).subs({y**2: sp.Symbol("V")}).subs(y, 0)
    )
    v = symbolic("ito")["second"]
    assert sp.simplify(sp.diff(v, t) - rate.subs(sp.Symbol("V"), v)) == 0
    got = minimal_counterexample(-0.5, 0.6, 1.3, 1.0)
    assert got.q == 0.0
    assert math.isclose(got.s / 2, float(v.subs({a: -0.5, b: 0.6, c: 1.3, t: 1})), rel_tol=1e-12)


@pytest.mark.parametrize("form", ["ito", "uncorrected"])
@pytest.mark.parametrize(
    "values", [(-0.5, 0.6, 1.0, 1.0, 1.0), (0.2, 0.4, -0.7, 2.0, -0.5), (-1.0, 0.3, 1.5, 0.5, 0.0)]
)
def test_functions_equal_the_symbols(form: str, values: tuple[float, ...]) -> None:
    """At generic parameters."""
    point = dict(zip((a, b, c, t, rho), values, strict=True)) | {x0: 0.8}
    got = minimal_counterexample(*values[:4], x0=0.8, rho=values[4], form=form)
    want = symbolic(form)
    assert math.isclose(got.p, float(want["p"].subs(point)), rel_tol=1e-11, abs_tol=1e-13)
    assert math.isclose(got.second(), float(want["second"].subs(point)), rel_tol=1e-11)


@pytest.mark.parametrize("form", ["ito", "uncorrected"])
@pytest.mark.parametrize("singular", ["a + b² = 0", "κ = 0", "a = 0"])
def test_removable_limits(form: str, singular: str) -> None:
    """Where the quoted fractions are 0/0, the functions give SymPy's limits."""
    numbers = {b: sp.Rational(3, 5), c: sp.Rational(-4, 5), t: sp.Integer(2), rho: sp.Integer(1), x0: sp.Integer(1)}
    at = {"a + b² = 0": -(numbers[b] ** 2), "κ = 0": -(numbers[b] ** 2) / 2, "a = 0": sp.Integer(0)}[singular]
    got = minimal_counterexample(float(at), 0.6, -0.8, 2.0, form=form)
    for key, value in (("p", got.p), ("second", got.second())):
        limit = sp.limit(symbolic(form)[key].subs(numbers), a, at)
        assert math.isclose(value, float(limit), rel_tol=1e-11), key


def test_quoted_numbers() -> None:
    """The numbers that a reader will compare with, at a = −.5, b = .6, c = x0 = t = 1."""
    right, wrong = (minimal_counterexample(-0.5, 0.6, 1.0, 1.0, form=form) for form in ("ito", "uncorrected"))
    quoted = (0.67918, 1.35837, 0.73861, 1.23575)
    for value, want in zip((right.p, wrong.p, right.s / 2, wrong.s / 2), quoted, strict=True):
        assert abs(value - want) < 6e-6
    forms = ("ito", "uncorrected", "uncorrected-drift-hessian")
    for form, want in zip(forms, (-0.2702, 0.1852, -0.7255), strict=True):
        assert abs(cubic_counterexample(1.0, 1.0, 1.0, -1.0, 1.0, form).second() - want) < 5e-5
    assert abs(third_counterexample() - 0.0269) < 3e-4


def test_divided_differences() -> None:
    """Distinct nodes by the definition, coinciding ones by derivatives."""
    assert math.isclose(exp_difference(0.7, 1.0, -0.5), (math.exp(0.7) - math.exp(-0.35)) / 1.5, rel_tol=1e-13)
    assert math.isclose(exp_difference(0.7, 0.3, 0.3), 0.7 * math.exp(0.21), rel_tol=1e-13)
    assert math.isclose(exp_difference(0.7, 0.0, 0.0, 0.0), 0.7**2 / 2, rel_tol=1e-13)


@pytest.mark.parametrize(("correlation", "scale"), [(1.0, 1.0), (-0.5, 0.7), (0.0, 1.0)])
def test_kolmogorov_equation_finds_the_closed_form(correlation: float, scale: float) -> None:
    """The second road to P and Q + S/2, on the system where both are open."""
    _, p, second = kolmogorov(
        drift=lambda z: -0.5 * z,
        diffusion=lambda z: 0.6 * z,
        error_drift=lambda z: 0.0 * z,
        error_diffusion=lambda z: scale + 0.0 * z,
        rho=correlation,
        loss=lambda z: z**2,
        x0=1.0,
        t=1.0,
        span=14.0,
    )
    want = minimal_counterexample(-0.5, 0.6, scale, 1.0, rho=correlation)
    assert abs(p - want.p) < 2e-4
    assert abs(second - want.second()) < 2e-4


def test_kolmogorov_equation_takes_a_drift_error() -> None:
    """dx = (a x + ε s) dt + noise, ℓ = x²: R = 2ε s m0 (e^{at} − 1)/a + ε² (s (e^{at} − 1)/a)² by hand."""
    _, p, second = kolmogorov(
        drift=lambda z: -0.5 * z,
        diffusion=lambda z: 0.4 + 0.0 * z,
        error_drift=lambda z: 0.7 + 0.0 * z,
        error_diffusion=lambda z: 0.0 * z,
        rho=1.0,
        loss=lambda z: z**2,
        x0=1.0,
        t=1.0,
        span=8.0,
    )
    shift = 0.7 * (math.exp(-0.5) - 1) / -0.5
    assert abs(p - 2 * shift * math.exp(-0.5)) < 1e-5
    assert abs(second - shift**2) < 1e-5


def test_third_reference_has_converged() -> None:
    """Halving both steps moves it by less than 1e-6."""
    assert abs(third_counterexample(cells=1000, steps=200) - third_counterexample()) < 1e-6


def test_coefficients_add_up() -> None:
    """Q + S/2."""
    assert Coefficients(0.0, 1.0, 4.0).second() == 3.0
    assert np.isclose(cubic_counterexample(1.0, 2.0, 1.0, -1.0, 1.0, "ito").s, 4 * 0.185185185 * 2, rtol=1e-6)
