"""Exact coefficients of the expansion in symbols, for systems whose moment equations close."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

import numpy as np
import sympy as sp

from ..dynamics.variation import Terms
from ..exceptions import InvalidArgument, Refused

MOST = 400


@final
@dataclass(frozen=True)
class PolynomialSystem:
    """dx = g dt + Σ_k ḡ_k dB^k with an error σ dt + Σ_l σ̄_l dW^l, d⟨B^k, W^l⟩ = ρ_kl dt, all polynomial in x.

    Args:
        variables: the d state symbols.
        drift: g, d expressions.
        diffusion: ḡ, a d × m matrix of expressions.
        error_drift: σ, d expressions; zero by default.
        error_diffusion: σ̄, a d × m̄ matrix; none by default.
        correlation: ρ, an m × m̄ matrix; by default the identity (shared noise), for m = m̄.

    Raises:
        InvalidArgument: the sizes do not fit together.
    """

    variables: Sequence[sp.Symbol]
    drift: Sequence[Any]
    diffusion: Any
    error_drift: Sequence[Any] | None = None
    error_diffusion: Any = None
    correlation: Any = None
    columns: sp.Matrix = field(init=False, repr=False)

    def __post_init__(self) -> None:
        d = len(self.variables)
        g, columns = sp.Matrix(list(self.drift)), sp.Matrix(self.diffusion)
        sigma = sp.zeros(d, 1) if self.error_drift is None else sp.Matrix(list(self.error_drift))
        own = sp.zeros(d, columns.cols) if self.error_diffusion is None else sp.Matrix(self.error_diffusion)
        rho = sp.eye(columns.cols) if self.correlation is None else sp.Matrix(self.correlation)
        if g.shape != (d, 1) or columns.rows != d or sigma.shape != (d, 1) or own.rows != d:
            raise InvalidArgument(
                f"drift and error_drift must have {d} entries and diffusion and error_diffusion {d} rows, got "
                f"{g.rows}, {sigma.rows}, {columns.rows} and {own.rows}."
            )
        if rho.shape != (columns.cols, own.cols):
            raise InvalidArgument(f"correlation must be {columns.cols} × {own.cols}, got {rho.rows} × {rho.cols}.")
        for name, value in (("drift", g), ("columns", columns), ("error_drift", sigma)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "error_diffusion", own)
        object.__setattr__(self, "correlation", rho)


@final
@dataclass(frozen=True)
class MomentEquations:
    """d E m/dt = A E m for the monomials m that an observable needs, exact where the list is finite.

    Attributes:
        variables: the symbols of the extended state.
        monomials: the monomials, as expressions.
        matrix: A.
        weights: the observable as a combination of the monomials.
    """

    variables: tuple[sp.Symbol, ...]
    monomials: tuple[sp.Expr, ...]
    matrix: sp.Matrix
    weights: sp.Matrix

    @cached_property
    def time(self) -> sp.Symbol:
        """The symbol of the time in `solution`."""
        return sp.Symbol("t", positive=True)

    def solution(self, start: Mapping[sp.Symbol, Any]) -> sp.Expr:
        """E of the observable at time `self.time`, in symbols, from a fixed start.

        Where two growth rates coincide for particular numbers the expression is 0/0 there; its limit is right.

        Raises:
            Refused: the equations are coupled in a circle, so that their rates are roots of polynomials; use `number`.
        """
        t, size = self.time, len(self.monomials)
        begin = [m.subs(dict(start)) for m in self.monomials]
        solved: dict[int, dict[tuple[sp.Expr, int], sp.Expr]] = {}
        order: list[int] = []
        while len(order) < size:
            free = [
                i
                for i in range(size)
                if i not in solved and all(self.matrix[i, j] == 0 or j in solved or j == i for j in range(size))
            ]
            if not free:
                raise Refused("the moment equations are coupled in a circle: ask for numbers in place of symbols.")
            for i in free:
                solved[i] = _integrate(i, self.matrix, begin[i], solved)
                order.append(i)
        total = sp.Integer(0)
        for i, weight in enumerate(self.weights):
            if weight != 0:
                total += weight * sum(c * t**k * sp.exp(rate * t) for (rate, k), c in solved[i].items())
        return total

    def number(self, start: Mapping[sp.Symbol, Any], t: float, values: Mapping[sp.Symbol, Any] | None = None) -> float:
        """E of the observable at time t for given parameters, by a matrix exponential; removable limits included."""
        from scipy.linalg import expm

        values = dict(values or {})
        a = np.array(self.matrix.subs(values).tolist(), dtype=np.float64)
        w = np.array(self.weights.subs(values).tolist(), dtype=np.float64).ravel()
        m0 = np.array([m.subs(dict(start)).subs(values) for m in self.monomials], dtype=np.float64)
        return float(w @ expm(t * a) @ m0)


def _integrate(
    i: int, matrix: sp.Matrix, begin: sp.Expr, solved: Mapping[int, Mapping[tuple[sp.Expr, int], sp.Expr]]
) -> dict[tuple[sp.Expr, int], sp.Expr]:
    """The solution of m' = λ m + Σ_j A_ij m_j(t) as a sum of c t^k e^{rate t}."""
    own = sp.expand(matrix[i, i])
    result: dict[tuple[sp.Expr, int], sp.Expr] = {(own, 0): begin}

    def add(rate: sp.Expr, power: int, value: sp.Expr) -> None:
        result[rate, power] = result.get((rate, power), sp.Integer(0)) + value

    for j, terms in solved.items():
        if matrix[i, j] == 0:
            continue
        for (rate, power), c in terms.items():
            factor = matrix[i, j] * c
            gap = sp.expand(rate - own)
            if gap == 0:
                add(own, power + 1, factor / (power + 1))
                continue
            # ∫₀ᵗ e^{λ(t−s)} s^k e^{μs} ds = Σ_r (−1)^r k!/(k−r)! t^{k−r} e^{μt} / (μ−λ)^{r+1}, less its value at zero.
            for r in range(power + 1):
                size = (-1) ** r * sp.factorial(power) / sp.factorial(power - r)
                add(rate, power - r, factor * size / gap ** (r + 1))
            add(own, 0, -factor * (-1) ** power * sp.factorial(power) / gap ** (power + 1))
    return result


def moment_equations(
    variables: Sequence[sp.Symbol], drift: sp.Matrix, covariance: sp.Matrix, observable: Any
) -> MomentEquations:
    """The equations of all moments that E observable depends on, from the generator g·∇ + ½ Σ a_ij ∂_i∂_j.

    Args:
        variables: state symbols.
        drift: (d, 1), polynomial.
        covariance: a = Σ_k ḡ_k ḡ_kᵀ (d, d), polynomial.
        observable: a polynomial in the variables.

    Raises:
        Refused: the equations do not close: each moment asks for higher ones.
        InvalidArgument: something is not polynomial in the variables.
    """
    names = tuple(variables)
    try:
        wanted = sp.Poly(sp.expand(observable), *names)
        index: dict[tuple[int, ...], int] = {powers: i for i, powers in enumerate(wanted.monoms())}
        rows: list[dict[tuple[int, ...], sp.Expr]] = []
        queue = list(index)
        while queue:
            powers = queue.pop(0)
            monomial = sp.Mul(*(v**p for v, p in zip(names, powers, strict=True)))
            image = sum(drift[i] * sp.diff(monomial, names[i]) for i in range(len(names)))
            image += sum(
                covariance[i, j] * sp.diff(monomial, names[i], names[j]) / 2
                for i in range(len(names))
                for j in range(len(names))
            )
            terms = dict(sp.Poly(sp.expand(image), *names).terms()) if sp.expand(image) != 0 else {}
            rows.append(terms)
            for needed in terms:
                if needed not in index:
                    index[needed] = len(index)
                    queue.append(needed)
            if len(index) > MOST:
                raise Refused(
                    f"the moment equations do not close: more than {MOST} moments ask for each other; only affine "
                    "drift and diffusion, or polynomials that feed on such, have closed moments."
                )
    except sp.PolynomialError as error:
        raise InvalidArgument(f"drift, diffusion, error and loss must be polynomial in the state: {error}.") from error
    matrix = sp.zeros(len(index), len(index))
    for powers, terms in zip(list(index)[: len(rows)], rows, strict=True):
        for needed, value in terms.items():
            matrix[index[powers], index[needed]] = value
    weights = sp.zeros(len(index), 1)
    for powers, value in wanted.terms():
        weights[index[powers]] = value
    monomials = tuple(sp.Mul(*(v**p for v, p in zip(names, powers, strict=True))) for powers in index)
    return MomentEquations(names, monomials, matrix, weights)


def coefficient_equations(
    system: PolynomialSystem, loss: Any, terms: Terms = Terms()
) -> tuple[MomentEquations, MomentEquations, MomentEquations]:
    """The moment equations whose observables are ∇ℓᵀy₁, ∇ℓᵀy₂ and y₁ᵀ∇²ℓ y₁: solved, they are P, Q and S.

    They are those of (x, y₁, y₂) with every term of the variation equations written out, or with terms left out as in
    `Terms`. Start them at x = x₀, y₁ = η, y₂ = 0; the symbols are those of `extended_symbols`.

    Raises:
        Refused: the equations do not close.
        InvalidArgument: something is not polynomial in the variables.

    Example:
        >>> x, a, b, c = sp.symbols("x a b c")
        >>> linear = PolynomialSystem([x], [a * x], [[b * x]], error_diffusion=[[c]])
        >>> p, q, s = coefficient_equations(linear, x**2)
        >>> x0, y1, y2 = extended_symbols(linear)
        >>> value = p.number({x: 1, y1[0]: 0, y2[0]: 0}, 1.0, {a: -0.5, b: 0.6, c: 1.0})
        >>> round(value, 5)
        0.67918
    """
    x, y1, y2 = extended_symbols(system)
    first, second = sp.Matrix(y1), sp.Matrix(y2)
    g, columns, own, rho = system.drift, system.columns, system.error_diffusion, system.correlation
    none = sp.zeros(len(x), 1)
    half = sp.Rational(1, 2) if terms.half else sp.Integer(1)

    def slope(function: sp.Matrix, v: sp.Matrix) -> sp.Matrix:
        return sp.Matrix([sum(sp.diff(f, a) * b for a, b in zip(x, v, strict=True)) for f in function])

    def hessian(function: sp.Matrix) -> sp.Matrix:
        pairs = [(a, b, u, v) for a, u in zip(x, y1, strict=True) for b, v in zip(x, y1, strict=True)]
        return half * sp.Matrix([sum(sp.diff(f, a, b) * u * v for a, b, u, v in pairs) for f in function])

    k_all, l_all = range(columns.cols), range(own.cols)
    curved = [hessian(columns[:, k]) * int(terms.diffusion_hessian) for k in k_all]
    mixed = [slope(own[:, m], first) * int(terms.mixed) for m in l_all]
    drift_1 = slope(g, first) + sp.Matrix(system.error_drift)
    drift_2 = slope(g, second) + hessian(g) * int(terms.drift_hessian)
    drift_2 += slope(sp.Matrix(system.error_drift), first) * int(terms.mixed)
    if not terms.ito_correction:
        drift_1 += _sum(none, (rho[k, m] * slope(columns[:, k], own[:, m]) for k in k_all for m in l_all))
        drift_2 += _sum(none, (slope(columns[:, k], curved[k]) for k in k_all))
        drift_2 += _sum(none, (rho[k, m] * slope(columns[:, k], mixed[m]) for k in k_all for m in l_all))
    on_base = [
        sp.Matrix.vstack(columns[:, k], slope(columns[:, k], first), slope(columns[:, k], second) + curved[k])
        for k in k_all
    ]
    on_own = [sp.Matrix.vstack(sp.zeros(len(x), 1), own[:, m], mixed[m]) for m in l_all]
    square = sp.zeros(3 * len(x), 3 * len(x))
    covariance = _sum(square, (c * c.T for c in (*on_base, *on_own)))
    covariance += _sum(
        square, (rho[k, m] * (on_base[k] * on_own[m].T + on_own[m] * on_base[k].T) for k in k_all for m in l_all)
    )
    drift = sp.Matrix.vstack(sp.Matrix(g), drift_1, drift_2)
    value = sp.Matrix([loss])
    observables = (
        slope(value, first)[0],
        slope(value, second)[0],
        sum(sp.diff(loss, a, b) * u * v for a, u in zip(x, y1, strict=True) for b, v in zip(x, y1, strict=True)),
    )
    p, q, s = (moment_equations((*x, *y1, *y2), drift, covariance, o) for o in observables)
    return p, q, s


def effect_equations(system: PolynomialSystem, loss: Any, eps: Any) -> MomentEquations:
    """The moment equations of the perturbed system: solved, they are E ℓ(x^ε_t), exact at every size.

    Args:
        system: the base and its error.
        loss: a polynomial in the state.
        eps: the size, a number or a symbol. Start at x = x₀ + ε η.

    Raises:
        Refused: the equations do not close.
        InvalidArgument: something is not polynomial in the state.
    """
    columns, own, rho = system.columns, system.error_diffusion, system.correlation
    drift = sp.Matrix(system.drift) + eps * sp.Matrix(system.error_drift)
    cross = columns * rho * own.T
    covariance = columns * columns.T + eps * (cross + cross.T) + eps**2 * own * own.T
    return moment_equations(system.variables, drift, covariance, loss)


def extended_symbols(
    system: PolynomialSystem,
) -> tuple[tuple[sp.Symbol, ...], tuple[sp.Symbol, ...], tuple[sp.Symbol, ...]]:
    """The symbols of x, y₁ and y₂."""
    x = tuple(system.variables)
    return x, *(tuple(sp.Symbol(f"{v.name}__{k}", real=v.is_real) for v in x) for k in (1, 2))  # type: ignore[return-value]


def _sum(zero: sp.Matrix, parts: Any) -> sp.Matrix:
    """The sum of matrices, of which there may be none."""
    return sum(parts, start=zero)
