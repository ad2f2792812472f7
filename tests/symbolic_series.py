"""Series in the size ε of an error by SymPy: a step is written as an expression in ε, and its coefficients are taken.

Nothing of the package's derivatives is used: the only calculus here is that of a Taylor coefficient in one variable.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from torch import Tensor

from sdewm.dynamics import BrownianMotion, Terms
from sdewm.grid import TimeGrid

Array = NDArray[np.float64]
Column = list[sp.Expr]

EPS, TIME = sp.Symbol("epsilon"), sp.Symbol("time")


def taylor(expression: Any, order: int, variable: sp.Symbol = EPS) -> sp.Expr:
    """The coefficient of variable^order at zero."""
    return sp.diff(expression, variable, order).subs(variable, 0) / sp.factorial(order)


@dataclass(frozen=True)
class Equation:
    """dx = g dt + ḡ dB + ε (σ dt + σ̄ dW) in symbols, or a step map x' = g + ḡ ξ + ε (σ + σ̄ ω).

    All expressions may depend on the state and on `TIME`, the time of the step or its number.
    """

    state: tuple[sp.Symbol, ...]
    drift: Sequence[Any]
    columns: Sequence[Sequence[Any]]
    error_drift: Sequence[Any] | None = None
    error_columns: Sequence[Sequence[Any]] | None = None
    scheme: str = "euler"

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.state)

    @property
    def widths(self) -> tuple[int, int]:
        """Numbers of noise columns of base and error."""
        return len(self.columns[0]), 0 if self.error_columns is None else len(self.error_columns[0])

    def symbols(self, name: str, count: int | None = None) -> Column:
        """Symbols for a vector."""
        return list(sp.symbols(f"{name}_1:{(self.dim if count is None else count) + 1}", real=True))

    def at(self, functions: Any, point: Sequence[Any]) -> Any:
        """Expressions (a vector or a matrix) at another point."""
        return sp.Matrix(functions).subs(dict(zip(self.state, point, strict=True)), simultaneous=True)

    def increment(self, point: Sequence[Any], h: Any, root: Any, xi: Sequence[Any]) -> sp.Matrix:
        """The base's step from a point, less the point itself for an equation."""
        drift = self.at(list(self.drift), point)
        if self.scheme == "tamed":
            drift = drift / sp.sqrt(1 + h**2 * sum(f**2 for f in drift))
        return h * drift + root * self.at(self.columns, point) * sp.Matrix(xi)

    def error(self, point: Sequence[Any], h: Any, root: Any, omega: Sequence[Any]) -> sp.Matrix:
        """σ h + σ̄ ω √h at a point."""
        total = sp.zeros(self.dim, 1)
        if self.error_drift is not None:
            total += h * self.at(list(self.error_drift), point)
        if self.error_columns is not None:
            total += root * self.at(self.error_columns, point) * sp.Matrix(omega)
        return total


def moved(x: Sequence[Any], *ways: Sequence[Any]) -> Column:
    """x + ε way_1 + ε² way_2 + …"""
    return [sum((EPS**k * way[i] for k, way in enumerate(ways, 1)), start=x[i]) for i in range(len(x))]


def varied_step(
    equation: Equation,
    h: Any,
    root: Any,
    xi: Sequence[Any],
    omega: Sequence[Any],
    rho: Any = None,
    terms: Terms | None = None,
) -> tuple[list[sp.Symbol], Column]:
    """Symbols of (x, y₁, y₂) and their values after one step.

    With `terms` None they are the coefficients of the step from x + ε y₁ + ε² y₂, without any formula. Else the same
    coefficients are taken part by part, so that parts can be left out, and corrections put in, as `Terms` describes.
    """
    x, y1, y2 = list(equation.state), equation.symbols("u"), equation.symbols("v")
    carried = 0 if equation.scheme == "map" else 1

    def base(point: Sequence[Any]) -> sp.Matrix:
        return carried * sp.Matrix(list(point)) + equation.increment(point, h, root, xi)

    def coefficients(vector: sp.Matrix, order: int) -> sp.Matrix:
        return vector.applyfunc(lambda entry: taylor(entry, order))

    if terms is None:
        point = moved(x, y1, y2)
        whole = base(point) + EPS * equation.error(point, h, root, omega)
        return [*x, *y1, *y2], [entry for k in range(3) for entry in coefficients(whole, k)]
    assert equation.scheme != "tamed"
    along = moved(x, y1)
    first = coefficients(base(along), 1) + equation.error(x, h, root, omega)
    second = coefficients(base(moved(x, y2)), 1)
    factor = 1 if terms.half else 2
    drift = h * coefficients(equation.at(list(equation.drift), along), 2)
    bent = factor * int(terms.diffusion_hessian) * coefficients(equation.at(equation.columns, along), 2)
    second += factor * int(terms.drift_hessian) * drift + root * bent * sp.Matrix(xi)
    if terms.mixed:
        second += coefficients(equation.error(along, h, root, omega), 1)
    if not terms.ito_correction:
        zero = sp.zeros(equation.dim, max(equation.widths[1], 1))
        own = zero if equation.error_columns is None else sp.Matrix(equation.error_columns)
        mixed = zero if equation.error_columns is None else coefficients(equation.at(equation.error_columns, along), 1)
        weight = sp.zeros(equation.widths[0], own.cols) if rho is None else sp.Matrix(rho)
        first += h * corrections(equation, own * weight.T)
        second += h * corrections(equation, bent + int(terms.mixed) * mixed * weight.T)
    return [*x, *y1, *y2], [*base(x), *first, *second]


def corrections(equation: Equation, vectors: sp.Matrix) -> sp.Matrix:
    """Σ_k Dḡ_k v_k for columns v_k."""
    total = sp.zeros(equation.dim, 1)
    for k in range(equation.widths[0]):
        column = equation.at(equation.columns, moved(equation.state, list(vectors[:, k])))[:, k]
        total += column.applyfunc(lambda entry: taylor(entry, 1))
    return total


def error_normals(correlation: Any, xi: Array, zeta: Array) -> Array:
    """ω of the error, by a matrix square root that is not the package's."""
    if isinstance(correlation, Tensor):
        rho = correlation.double().numpy()
        return np.asarray(xi @ rho + zeta @ np.real(sqrtm(np.eye(rho.shape[1]) - rho.T @ rho)))
    c = {"shared": 1.0, "independent": 0.0}[correlation] if isinstance(correlation, str) else float(correlation)
    return c * xi + math.sqrt(1 - c * c) * zeta if c != 1.0 else xi


def follow(
    equation: Equation,
    grid: TimeGrid,
    paths: int,
    start: Array,
    eta: Array,
    correlation: Any,
    terms: Terms | None = None,
) -> list[Array]:
    """x⁰, y₁ and y₂ at the end, (paths, dim) each, on the normals that the engine uses for seed 0."""
    m, own = equation.widths
    xi = BrownianMotion(0, grid, m).normals(paths).numpy()
    zeta = BrownianMotion(0, grid, own, "error-1").normals(paths).numpy() if own else np.zeros((grid.steps, paths, 0))
    omega = error_normals(correlation, xi, zeta) if own else zeta
    discrete = equation.scheme == "map"
    h, root = (1, 1) if discrete else (sp.Float(grid.h), sp.Float(math.sqrt(grid.h)))
    noises, errors = equation.symbols("xi", m), equation.symbols("omega", own)
    rho = None
    if isinstance(correlation, Tensor):
        rho = correlation.tolist()
    elif own and correlation != "independent":
        rho = (1.0 if correlation == "shared" else float(correlation)) * np.eye(m, own)
    names, values = varied_step(equation, h, root, noises, errors, rho, terms)
    step = sp.lambdify([TIME, *names, *noises, *errors], values, modules="numpy", cse=True)
    state = [np.broadcast_to(part, (paths, equation.dim)) for part in (start, eta, 0.0 * eta)]
    for n in range(grid.steps):
        entries = [part[:, i] for part in state for i in range(equation.dim)]
        normals = [*(xi[n, :, k] for k in range(m)), *(omega[n, :, k] for k in range(own))]
        moved_on = step(float(n) if discrete else grid.time(n), *entries, *normals)
        rows = [np.broadcast_to(value, (paths,)) for value in moved_on]
        state = [np.stack(rows[k * equation.dim : (k + 1) * equation.dim], axis=1) for k in range(3)]
    return state


@dataclass(frozen=True)
class Averages:
    """Expected monomials after one step, by multiplying out and averaging over the normals: no formula of Itô's."""

    ring: Any
    names: tuple[sp.Symbol, ...]
    values: tuple[Any, ...]

    @staticmethod
    def of(
        names: Sequence[sp.Symbol], values: Sequence[Any], root: sp.Symbol, normals: Sequence[sp.Symbol]
    ) -> "Averages":
        """Of a step whose values are polynomials with rational coefficients; √h is `root`."""
        ring = sp.polys.rings.ring([*names, root, *normals], sp.QQ)[0]
        return Averages(ring, tuple(names), tuple(ring.from_expr(sp.expand(value)) for value in values))

    def rate(self, monomial: sp.Expr) -> sp.Expr:
        """lim (E m(x_h) − m(x)) / h, as an expression in the state."""
        (powers,) = sp.Poly(monomial, *self.names).monoms()
        total = sp.Integer(0)
        for state, order, c in self._terms(powers, most=2):
            if order == 2:
                total += sp.Rational(int(c.numerator), int(c.denominator)) * self._monomial(state)
        return sp.expand(total)

    def expectation(self, observable: Any, start: Sequence[Any], h: float, steps: int) -> float:
        """E of the observable after some steps, exactly but for the rounding of a power of a matrix."""
        wanted = sp.Poly(observable, *self.names).terms()
        index = {powers: i for i, (powers, _) in enumerate(wanted)}
        queue, entries = list(index), []
        while queue:
            powers = queue.pop(0)
            for state, order, c in self._terms(powers, most=None):
                if state not in index:
                    index[state] = len(index)
                    queue.append(state)
                entries.append((index[powers], index[state], order, float(c)))
        matrix = np.zeros((len(index), len(index)))
        for i, j, order, c in entries:
            matrix[i, j] += c * h ** (order / 2)
        at = dict(zip(self.names, start, strict=True))
        begin = np.array([float(self._monomial(powers).subs(at)) for powers in index])
        end = np.linalg.matrix_power(matrix, steps) @ begin
        return float(sum(float(c) * end[index[powers]] for powers, c in wanted))

    def _monomial(self, powers: Sequence[int]) -> sp.Expr:
        return sp.Mul(*(v**p for v, p in zip(self.names, powers, strict=True)))

    def _terms(self, powers: Sequence[int], most: int | None) -> Iterator[tuple[tuple[int, ...], int, Any]]:
        """(powers of the state, of √h, coefficient) of one expected monomial."""
        d, product = len(self.names), self.ring.one
        for value, power in zip(self.values, powers, strict=True):
            for _ in range(power):
                product = product * value
                if most is not None:
                    product = self.ring.from_dict({p: c for p, c in product.terms() if p[d] <= most})
        for found, c in product.terms():
            if not any(p % 2 for p in found[d + 1 :]):
                # E z^p of a standard normal: 1 · 3 · 5 ⋯ (p − 1).
                moment = math.prod(k for p in found[d + 1 :] for k in range(1, p, 2))
                yield found[:d], found[d], c * moment
