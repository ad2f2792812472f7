"""Reference values that owe nothing to the package: closed forms, moment equations and Kolmogorov's equation."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.sparse import bmat, csr_matrix, diags, identity
from scipy.sparse.linalg import splu

Array = NDArray[np.float64]
Function = Callable[[Array], Array]


class Coefficients(NamedTuple):
    """P, Q and S of one form of the expansion."""

    p: float
    q: float
    s: float

    def second(self) -> float:
        """Q + S/2."""
        return self.q + self.s / 2


def exp_difference(t: float, *nodes: float) -> float:
    """The divided difference of z -> exp(t z) on these nodes, which may coincide (Opitz).

    Two nodes: (exp(t x) − exp(t y)) / (x − y), and t exp(t x) where they are equal.
    """
    matrix = np.diag(np.asarray(nodes, dtype=float)) + np.diag(np.ones(len(nodes) - 1), 1)
    return float(expm(t * matrix)[0, -1])


def minimal_counterexample(
    a: float, b: float, c: float, t: float, x0: float = 1.0, rho: float = 1.0, form: str = "ito"
) -> Coefficients:
    """dx = a x dt + b x dB + ε c dW with correlation rho, ℓ = x².

    With κ = 2a + b²: P = 2ρbc x0 (e^{κt} − e^{at}) / (a + b²), Q = 0, S/2 = c² (e^{κt} − 1) / κ. The uncorrected form
    is that of the model with the further drift ε ρ b c, with P' = 2P and
    S'/2 = S/2 + 4ρ²b²c² times the second divided difference of exp(t ·) on κ, a, 0.
    """
    kappa = 2 * a + b**2
    p = 2 * rho * b * c * x0 * exp_difference(t, kappa, a)
    s = 2 * c**2 * exp_difference(t, kappa, 0.0)
    if form == "ito":
        return Coefficients(p, 0.0, s)
    return Coefficients(2 * p, 0.0, s + 8 * (rho * b * c) ** 2 * exp_difference(t, kappa, a, 0.0))


def cubic_counterexample(rate: float, noise: float, x0: float, target: float, t: float, form: str) -> Coefficients:
    """dx = −rate x³ dt + ε noise dB, ℓ = (x − target)² / 2, from the moment equations: the base is deterministic.

    V = E y1² and m = E y2 solve V' = −6 rate x² V + noise² and m' = −3 rate x² m − 3 rate x V.
    """
    weight = {"ito": 1.0, "uncorrected": 0.0, "uncorrected-drift-hessian": 2.0}[form]

    def equation(_: float, y: Array) -> list[float]:
        x, variance, mean = y
        return [
            -rate * x**3,
            -6 * rate * x**2 * variance + noise**2,
            -3 * rate * x**2 * mean - weight * 3 * rate * x * variance,
        ]

    x, variance, mean = solve_ivp(equation, (0.0, t), [x0, 0.0, 0.0], rtol=1e-11, atol=1e-13).y[:, -1]
    return Coefficients(0.0, float((x - target) * mean), float(variance))


def _differences(x: Array) -> tuple[csr_matrix, csr_matrix]:
    """First and second difference matrices of second order on an equidistant grid.

    At the ends the first difference is one-sided and the second is left out: nothing must depend on them.
    """
    h, n = float(x[1] - x[0]), len(x)
    first = diags([-0.5, 0.5], [-1, 1], shape=(n, n)).tolil() / h
    second = diags([1.0, -2.0, 1.0], [-1, 0, 1], shape=(n, n)).tolil() / h**2
    second[0], second[-1] = 0.0, 0.0
    first[0, 0], first[0, 1], first[-1, -2], first[-1, -1] = -1 / h, 1 / h, -1 / h, 1 / h
    return first.tocsr(), second.tocsr()


def _solve(generator: csr_matrix, start: Array, t: float, steps: int) -> Array:
    """u(t) of u' = generator u by the trapezoidal rule."""
    half = 0.5 * t / steps * generator
    one = identity(len(start), format="csr")
    solver, right = splu((one - half).tocsc()), one + half
    u = start
    for _ in range(steps):
        u = solver.solve(right @ u)
    return u


def kolmogorov(
    drift: Function,
    diffusion: Function,
    error_drift: Function,
    error_diffusion: Function,
    rho: float,
    loss: Function,
    x0: float,
    t: float,
    span: float,
    cells: int = 1000,
    steps: int = 250,
) -> tuple[float, float, float]:
    """E ℓ(x⁰_t), P and Q + S/2 of a scalar equation, from the backward equation differentiated in ε.

    u_t = (L0 + ε L1 + ε² L2) u with L0 = g ∂ + ½ ḡ² ∂², L1 = σ ∂ + ρ ḡ σ̄ ∂² and L2 = ½ σ̄² ∂². No variation, Itô
    correction or Hessian appears. The grid spans x0 ± span, far beyond what is reached.
    """
    x = np.linspace(x0 - span, x0 + span, 2 * cells + 1)
    first, second = _differences(x)

    def operator(slope: Array, curvature: Array) -> csr_matrix:
        return diags(slope) @ first + diags(curvature) @ second

    l0 = operator(drift(x), 0.5 * diffusion(x) ** 2)
    l1 = operator(error_drift(x), rho * diffusion(x) * error_diffusion(x))
    l2 = operator(0.0 * x, 0.5 * error_diffusion(x) ** 2)
    generator = bmat([[l0, None, None], [l1, l0, None], [l2, l1, l0]], format="csr")
    end = _solve(generator, np.concatenate((loss(x), 0.0 * x, 0.0 * x)), t, steps)
    value, p, second_order = (float(part[cells]) for part in np.split(end, 3))
    return value, p, second_order


def third_counterexample(t: float = 1.0, x0: float = 1.0, cells: int = 2000, steps: int = 400) -> float:
    """Q' of dx = √(1+x²) dB + ε dW, ℓ = x, with the Itô correction of y2 forgotten; the true Q is zero.

    Q' = E ∫ φ(x) y1² ds with φ = G ½ḡ'' = ½ x (1+x²)⁻² and dy1 = G y1 dB + dW, G = x / √(1+x²). The expectation is
    α(x) y1² + γ(x) with two linear equations, in z = asinh x, where dz = −½ tanh z dt + dB.
    """
    z0 = float(np.arcsinh(x0))
    z = np.linspace(z0 - 8.0, z0 + 8.0, 2 * cells + 1)
    first, second = _differences(z)
    g = np.tanh(z)
    base = 0.5 * second - diags(0.5 * g) @ first
    alpha = base + diags(2.0 * g) @ first + diags(g**2)
    one = identity(len(z), format="csr")
    # The source φ is carried along as a third, constant function.
    generator = bmat([[alpha, None, one], [one, base, None], [None, None, csr_matrix(one.shape)]], format="csr")
    phi = 0.5 * np.sinh(z) / np.cosh(z) ** 4
    return float(_solve(generator, np.concatenate((0.0 * z, 0.0 * z, phi)), t, steps)[len(z) + cells])
