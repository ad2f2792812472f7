"""The search for a weight: candidates from Lyapunov equations, then descent on the largest eigenvalue."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...jacobian.hull import Hull
from ...validation import integer, positive
from .weight import Weight, certify_weight

Array = NDArray[np.float64]

# The descent sees so many vertices at once: the worst ones, chosen anew in each round.
_VERTICES = 64


def search_weight(hull: Hull, *, horizon: float | None = None, iterations: int = 150, condition: float = 1e8) -> Weight:
    """A weight M with a small ν in M A + AᵀM + Σ G_kᵀ M G_k ⪯ 2ν M over the hull, never worse than M = I.

    What is made small is ν, the rate for long times; or, for a horizon t, ν t + ½ log(λ_max(M) / λ_min(M)), the
    logarithm of what |e_0| may have grown by then: a weight of large condition pays only in the long run.

    Candidates are I and the solutions of (A − s)ᵀM + M(A − s) + Σ G_kᵀ M G_k = −I at the mean vertex and at the worst
    ones, for several shifts s. The best is improved by a quasi-Newton method on a smooth maximum of the eigenvalues,
    over a Cholesky factor of M. The condition on M is quasi-convex, but nothing is claimed of the search: what it
    returns is proved by `certify_weight`.

    Args:
        hull: the Jacobians, as from `hull_of`.
        horizon: t above, or None for long times.
        iterations: of each of the descent's rounds; 0 leaves it out.
        condition: largest condition number of M that is tried; it costs √condition in |e| <= |e|_M / √λ_min(M).

    Raises:
        InvalidArgument: an argument is not as above.

    Source: the weighted log-norm as in Söderlind, The logarithmic norm, BIT 2006; the search is our own.

    Example:
        >>> hull = Hull(np.array([[[-1.0, 10.0], [0.0, -1.5]]]))
        >>> certify_weight(np.eye(2), hull).nu.value > 0.0, search_weight(hull).nu.value < -0.9
        (True, True)
    """
    integer("iterations", iterations, least=0)
    positive("condition", condition)
    t = None if horizon is None else positive("horizon", horizon)
    best = certify_weight(np.eye(hull.dim), hull)
    starts = [m for m in _candidates(hull) if _usable(m, condition)]
    starts.sort(key=lambda m: _cost(hull, m, t))
    # Different starts end in different places where the maximum has a kink.
    starts = [*starts[:2], np.eye(hull.dim)] if t is not None else [*starts[:2], np.eye(hull.dim)][:2]
    for start in starts:
        found = start
        for sharpness in (20.0, 200.0, 2000.0) if iterations else ():
            moved = _descend(hull, found, sharpness, iterations, t)
            if _usable(moved, condition) and _cost(hull, moved, t) < _cost(hull, found, t):
                found = moved
        for matrix in (start, found):
            weight = certify_weight(matrix, hull)
            if _price(weight, t) < _price(best, t):
                best = weight
    return best


def _price(weight: Weight, horizon: float | None) -> float:
    nu = weight.nu.value
    return 2.0 * nu if horizon is None else 2.0 * nu * horizon + math.log(weight.condition)


def _cost(hull: Hull, m: Array, horizon: float | None) -> float:
    """The price in plain floating point."""
    rate = float(_rates(hull, m).max())
    if horizon is None:
        return rate
    values = np.linalg.eigvalsh(m)
    return rate * horizon + math.log(values[-1] / values[0])


def _usable(m: Array, condition: float) -> bool:
    if not np.isfinite(m).all():
        return False
    values = np.linalg.eigvalsh(m)
    return bool(values[0] > 0.0 and values[-1] <= condition * values[0])


def _rates(hull: Hull, m: Array) -> Array:
    """2ν at each vertex, in plain floating point."""
    inverse = np.linalg.inv(np.linalg.cholesky(m))
    rates = []
    for a, g in zip(hull.drift, hull.diffusion, strict=True):
        value = m @ a
        value = value + value.T + (g.mT @ (m @ g)).sum(0)
        rates.append(np.linalg.eigvalsh(inverse @ value @ inverse.T)[-1])
    return np.array(rates)


def _candidates(hull: Hull) -> list[Array]:
    worst = np.argsort(-_rates(hull, np.eye(hull.dim)))[:3]
    pairs = [(hull.drift.mean(0), hull.diffusion.mean(0)), *((hull.drift[v], hull.diffusion[v]) for v in worst)]
    found = []
    for a, g in pairs:
        size = float(np.linalg.norm(a, 2)) + float((g**2).sum())
        for part in (0.001, 0.01, 0.1, 1.0):
            solved = _lyapunov(a, g, part * size + 1e-12)
            if solved is not None:
                found.append(solved)
    return found


def _lyapunov(a: Array, g: Array, room: float) -> Array | None:
    """M with (A − s)ᵀM + M(A − s) + Σ GᵀMG = −I, s by `room` above the least one without the columns."""
    from scipy.linalg import LinAlgError, solve_continuous_lyapunov  # here: importing the package stays quick

    eye = np.eye(len(a))
    noise = 0.5 * float(np.linalg.norm(g, axis=(1, 2)).max(initial=0.0)) ** 2
    shift = float(np.linalg.eigvals(a).real.max()) + room + noise
    moved = a - shift * eye
    try:
        m = solve_continuous_lyapunov(moved.T, -eye)
        for _ in range(20):  # the columns' part by fixed point iteration; where it diverges, the last finite M serves
            renewed = solve_continuous_lyapunov(moved.T, -eye - (g.mT @ (m @ g)).sum(0))
            if not np.isfinite(renewed).all() or np.abs(renewed).max() > 1e12:
                break
            m = renewed
    except (LinAlgError, ValueError):
        return None
    m = 0.5 * (m + m.T)
    return np.asarray(m * (len(a) / np.trace(m)))


def _descend(hull: Hull, start: Array, sharpness: float, iterations: int, horizon: float | None) -> Array:
    from scipy.optimize import minimize

    rates = _rates(hull, start)
    rows = np.argsort(-rates)[:_VERTICES]
    a, g = torch.from_numpy(hull.drift[rows]), torch.from_numpy(hull.diffusion[rows])
    n = hull.dim
    lower = np.tril_indices(n)
    places = (torch.from_numpy(lower[0]), torch.from_numpy(lower[1]))
    diagonal = lower[0] == lower[1]
    factor = np.linalg.cholesky(start)[lower]
    first = np.where(diagonal, np.log(np.abs(factor) + 1e-300), factor)
    size = abs(float(rates.max())) + float(np.ptp(rates)) + 1e-3 * float(np.abs(hull.drift).max())
    scale = sharpness / (size + 1e-300)
    eye = torch.eye(n, dtype=torch.float64)

    def smooth(parameters: Array) -> tuple[float, Array]:
        p = torch.from_numpy(parameters).clone().requires_grad_()
        entries = torch.where(torch.from_numpy(diagonal), p.exp(), p)
        root = torch.zeros(n, n, dtype=torch.float64).index_put(places, entries)
        value = _smooth_rate(root, a, g, eye, scale)
        if horizon is not None:
            value = horizon * value + _smooth_condition(root, sharpness)
        (slope,) = torch.autograd.grad(value, p)
        # Where an eigenvalue routine's derivative breaks down there is no direction, and the search ends.
        if not (bool(torch.isfinite(value)) and bool(torch.isfinite(slope).all())):
            return math.inf, np.zeros_like(parameters)
        return float(value.detach()), slope.numpy()

    found = minimize(smooth, first, jac=True, method="L-BFGS-B", options={"maxiter": iterations}).x
    root = np.zeros((n, n))
    root[lower] = np.where(diagonal, np.exp(np.clip(found, -300.0, 300.0)), found)
    m = root @ root.T
    trace = float(np.trace(m))
    return np.asarray(m * (n / trace)) if 0.0 < trace < math.inf else start


def _smooth_rate(root: Tensor, a: Tensor, g: Tensor, eye: Tensor, scale: float) -> Tensor:
    """log Σ exp(scale λ) / scale over all eigenvalues λ in the metric M = L Lᵀ, at all vertices."""
    # In the coordinates y = Lᵀx the metric is Euclidean: A becomes LᵀA L⁻ᵀ.
    inverse = torch.linalg.solve_triangular(root.mT, eye, upper=True)
    moved = root.mT @ a @ inverse
    columns = root.mT @ g @ inverse
    value = moved + moved.mT + (columns.mT @ columns).sum(1)
    return torch.logsumexp(scale * torch.linalg.eigvalsh(0.5 * (value + value.mT)).flatten(), 0) / scale


def _smooth_condition(root: Tensor, sharpness: float) -> Tensor:
    """log(λ_max / λ_min) of M = L Lᵀ, smoothed from above."""
    logs = torch.linalg.eigvalsh(root @ root.mT).log()
    return (torch.logsumexp(sharpness * logs, 0) + torch.logsumexp(-sharpness * logs, 0)) / sharpness
