"""Exact moments of the error of linear systems under Euler's steps, and constants of bounds for them."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.polynomial import polynomial as poly
from numpy.typing import NDArray

from sdewm import TimeGrid
from sdewm.theory.bounds import Bound, Setting, Weighted

Array = NDArray[np.float64]
WEIGHT = ((1.0, 0.2), (0.2, 3.0))
SOME = {
    "mu": -0.3,
    "spectral": 1.2,
    "frobenius": 1.5,
    "diffusion": 0.6,
    "drift_error": 0.8,
    "diffusion_error": 0.7,
    "diffusion_error_operator": 0.5,
    "weighted_rate": -0.2,
    "weighted_spectral": 1.1,
    "weighted_diffusion": 0.5,
    "weighted_drift_error": 0.9,
    "weighted_diffusion_error": 0.4,
}


def setting(grid: TimeGrid, initial: float = 0.3, **other: object) -> Setting:
    """A setting that every bound covers: the Gaussian one only without a start."""
    return Setting(grid, 0.1, initial, dim=2, initial_fourth=initial, **other)  # type: ignore[arg-type]


def setting_for(bound: Bound, grid: TimeGrid, initial: float = 0.3) -> Setting:
    """The same, with what the bound needs."""
    if bound.name == "Gaussian quantile":
        return setting(grid, 0.0, random_base=False, additive_error=True)
    return setting(grid, initial)


def is_below(truth: Array, curve: Array, slack: float = 1e-9) -> bool:
    """Whether a truth stays below a curve, up to rounding."""
    return bool(np.all(truth <= curve * (1.0 + slack)))


def scalar(
    grid: TimeGrid, a: float, b: float, s: float, s_bar: float, start: float, eps: float = 1.0, rho: float = 1.0
) -> Array:
    """E e^k for k = 0, ..., 4 of a scalar error from a fixed start, (steps + 1, 5).

    e' = e + h (a e + εs) + √h (b e + ρεs̄) ξ + √h (1 − ρ²)^½ εs̄ ζ.
    """
    h = grid.h
    mean = np.array([h * eps * s, 1.0 + h * a])
    variance = h * np.array([(eps * s_bar) ** 2, 2.0 * b * rho * eps * s_bar, b**2])
    squared = poly.polymul(mean, mean)
    # Moments of a normal number with this mean and variance, as polynomials in e.
    rows = [
        np.array([1.0]),
        mean,
        poly.polyadd(squared, variance),
        poly.polyadd(poly.polymul(squared, mean), 3.0 * poly.polymul(mean, variance)),
        poly.polyadd(
            poly.polyadd(poly.polymul(squared, squared), 6.0 * poly.polymul(squared, variance)),
            3.0 * poly.polymul(variance, variance),
        ),
    ]
    matrix = np.stack([np.pad(row, (0, 5 - len(row))) for row in rows])
    moments = [start ** np.arange(5.0)]
    for _ in range(grid.steps):
        moments.append(matrix @ moments[-1])
    return np.stack(moments)


def planar_moments(
    grid: TimeGrid, A: Array, G: Array, drift: Array, diffusion: Array, start: Array
) -> tuple[Array, Array]:
    """E|e|² and E|e|⁴ of e' = e + h (A e + drift) + √h Σ_k (G_k e + diffusion_k) ξ_k, (steps + 1,) each.

    The fourth tensor power of (1, e) has an exact linear recursion; its mean over ξ is taken by the three-point Gauss
    and Hermite rule, which is exact for polynomials of degree 5 in each ξ_k.
    """
    n, m = len(A), len(G)
    nodes, weights = np.array([-math.sqrt(3.0), 0.0, math.sqrt(3.0)]), np.array([1.0, 4.0, 1.0]) / 6.0
    one = np.zeros(((n + 1) ** 4,) * 2)
    for index in np.ndindex(*(3,) * m):
        step = np.eye(n + 1)
        step[1:, 0] += grid.h * drift
        step[1:, 1:] += grid.h * A
        for k, i in enumerate(index):
            step[1:, 0] += math.sqrt(grid.h) * nodes[i] * diffusion[k]
            step[1:, 1:] += math.sqrt(grid.h) * nodes[i] * G[k]
        square = np.kron(step, step)
        one += math.prod(weights[i] for i in index) * np.kron(square, square)
    state = np.concatenate(([1.0], start))
    tensor = np.kron(np.kron(state, state), np.kron(state, state))
    second, fourth = [], []
    for _ in range(grid.steps + 1):
        t = tensor.reshape((n + 1,) * 4)
        second.append(np.trace(t[1:, 1:, 0, 0]))
        fourth.append(np.einsum("iijj", t[1:, 1:, 1:, 1:]))
        tensor = one @ tensor
    return np.asarray(second), np.asarray(fourth)


def planar_constants(A: Array, G: Array, drift: Array, diffusion: Array, h: float) -> Mapping[str, float]:
    """The exact constants of that system."""
    bound = Weighted(WEIGHT)
    return {
        "mu": float(np.linalg.eigvalsh(0.5 * (A + A.T))[-1]),
        "spectral": float(np.linalg.norm(A, 2)),
        "frobenius": float(np.linalg.norm(A)),
        "diffusion": math.sqrt(float(np.linalg.eigvalsh(sum(g.T @ g for g in G))[-1])),
        "drift_error": float(np.linalg.norm(drift)),
        "diffusion_error": float(np.linalg.norm(diffusion)),
        "step_norm": float(np.linalg.norm(np.eye(len(A)) + h * A, 2)),
        **weighted_constants(bound, A, G, drift, diffusion, h),
    }


def weighted_constants(
    bound: Weighted, A: Array, G: Array, drift: Array, diffusion: Array, h: float
) -> dict[str, float]:
    """Those of a weight."""
    return {
        "weighted_rate": float(bound.rates(A[None], G[None])[0]),
        "weighted_spectral": float(bound.spectral(A[None])[0]),
        "weighted_diffusion": float(bound.lipschitz(G[None])[0]),
        "weighted_drift_error": float(bound.norms(drift[None])[0]),
        "weighted_diffusion_error": float(bound.norms(diffusion.T[None])[0]),
        "weighted_step": float(bound.step(A[None], G[None], h)[0]),
        "weighted_step_norm": float(bound.step_norms(A[None], h)[0]),
    }
