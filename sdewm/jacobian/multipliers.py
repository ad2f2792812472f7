"""Bounds over free slopes by multipliers: a linear matrix inequality, searched for in floats and then proved."""

import math
from dataclasses import dataclass
from typing import cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .rounding import UNIT, gamma, largest_eigenvalue, spectral_bounds
from .slopes import SlopeChain

Array = NDArray[np.float64]

# Beyond so many rows the search takes minutes; products of norms stay available.
ROWS = 800


@final
@dataclass(frozen=True)
class _Form:
    """The quadratic form of a chain in z = (ends, b), with b = D a for the neurons whose slopes are free.

    For all slopes (b − lower a)(upper a − b) >= 0 in each coordinate. If multipliers t >= 0 and λ have
    base + Σ t (b − lower a)(upper a − b) ⪯ λ · unit as forms in z, then what the base stands for is at most λ. Neurons
    with a fixed slope are no unknowns. `inputs` has the rows a; `base_size` and `inputs_size` are what was summed up in
    moduli.
    """

    base: Array
    base_size: Array
    inputs: Array
    inputs_size: Array
    lower: Array
    upper: Array
    ends: int
    unit: float
    depth: int


def multiplier_bound(chain: SlopeChain, kind: str = "mu", iterations: int = 200) -> float:
    """A number that the log-norm ("mu") or the spectral norm ("spectral") of no matrix of the chain exceeds.

    With b_k = D_k a_k, a_1 = W_1 v, a_k = W_k b_{k−1}, the log-norm is the maximum of vᵀ(C v + W_L b_{L−1}) over
    |v| = 1, and ‖J‖₂ that of uᵀ(C v + W_L b_{L−1}) over |u| = |v| = 1. The slopes enter by their sector inequalities
    with multipliers t. For one hidden layer, with middle m and radius r of the slopes, that is the log-norm of
    C + W_2 m W_1 + ½ W_2 r τ W_2ᵀ + ½ W_1ᵀ r τ⁻¹ W_1, minimised over τ > 0. Any t gives a bound; they are searched for
    by a quasi-Newton method, and the found ones are proved: with base + Σ t_k(…) − λ unit ⪯ δ, certified by
    `largest_eigenvalue`, and Σ_k |b_k|² <= β² |v|², the bound is λ + δ⁺ (ends + β²), ends = 1 or 2.

    Args:
        chain: the matrices.
        kind: "mu" or "spectral".
        iterations: of the search.

    Returns:
        The bound, or infinity where the chain has more than `ROWS` rows or no multipliers were found.

    Source: Fazlyab, Robey, Hassani, Morari, Pappas, Efficient and accurate estimation of Lipschitz constants for deep
    neural networks, NeurIPS 2019, for the spectral norm (with one multiplier a neuron, without couplings); the same
    with a symmetric part for the log-norm.

    Example:
        >>> chain = SlopeChain((np.eye(1), np.array([[3.0]])), (np.zeros(1),), (np.ones(1),), shift=-1.0)
        >>> 2.0 <= multiplier_bound(chain) < 2.0 + 1e-6  # sup of −1 + 3 d
        True
    """
    if sum(len(w) for w in chain.weights) + chain.weights[0].shape[1] > ROWS:
        return math.inf
    form = _form(chain, kind)
    found = _search(form, _start(chain), iterations)
    return math.inf if found is None else _proved(form, chain, *found)


def _form(chain: SlopeChain, kind: str) -> _Form:
    n_out, n_in = chain.constant.shape
    ends = n_in if kind == "mu" else n_in + n_out
    total = ends + chain.free
    # Each layer's output as rows over z: unit rows for free neurons, multiples of their input for fixed ones.
    rows, size = np.eye(n_in, total), np.eye(n_in, total)
    inputs, sizes, own = [np.zeros((0, total))], [np.zeros((0, total))], ends
    free_ranges = [np.zeros((2, 0))]
    for weight, low, high in zip(chain.weights[:-1], chain.lower, chain.upper, strict=True):
        a, a_size, free = weight @ rows, np.abs(weight) @ size, low < high
        inputs.append(a[free])
        sizes.append(a_size[free])
        free_ranges.append(np.stack((low[free], high[free])))
        rows, size = low[:, None] * a, np.abs(low)[:, None] * a_size
        count = int(free.sum())
        rows[free] = size[free] = np.eye(count, total, own)
        own += count
    product, product_size = np.zeros((total, total)), np.zeros((total, total))
    out = slice(ends - n_out, ends)
    product[out] = chain.weights[-1] @ rows
    product_size[out] = np.abs(chain.weights[-1]) @ size
    product[out, :n_in] += chain.constant
    product_size[out, :n_in] += np.abs(chain.constant)
    low, high = np.concatenate(free_ranges, axis=1)
    return _Form(
        0.5 * (product + product.T),
        0.5 * (product_size + product_size.T),
        np.concatenate(inputs),
        np.concatenate(sizes),
        low,
        high,
        ends,
        1.0 if kind == "mu" else 0.5,
        sum(len(w) for w in chain.weights) + n_in,
    )


def _start(chain: SlopeChain) -> Array:
    """Multipliers with which the form in b is negative definite: those of each layer outweigh all later ones."""
    norms = [float(spectral_bounds(w)[1]) for w in chain.weights]
    slopes = [float(np.abs([a, b]).max(initial=0.0)) for a, b in zip(chain.lower, chain.upper, strict=True)]
    scales = [1.0] * len(slopes)
    for k in range(len(slopes) - 2, -1, -1):
        total, gain = 1e-12, 1.0
        for j in range(k + 1, len(slopes)):
            gain *= norms[j] * slopes[j]  # from b_k to b_j
            total += scales[j] * gain**2
        scales[k] = 4.0 * total
    free = [int((low < high).sum()) for low, high in zip(chain.lower, chain.upper, strict=True)]
    return np.concatenate([np.zeros(0), *(np.full(n, s) for n, s in zip(free, scales, strict=True))])


def _matrix(form: _Form, t: Tensor) -> Tensor:
    a, n = torch.from_numpy(form.inputs), form.ends
    low, high = torch.from_numpy(form.lower), torch.from_numpy(form.upper)
    # b itself is the last part of z, so that its rows are those of the identity.
    mixed = torch.nn.functional.pad((0.5 * t * (low + high))[:, None] * a, (0, 0, n, 0))
    squares = torch.diag(torch.nn.functional.pad(t, (n, 0))) + a.mT @ ((t * low * high)[:, None] * a)
    return torch.from_numpy(form.base) + mixed + mixed.mT - squares


def _rate(form: _Form, t: Tensor, sharpness: float | None) -> Tensor | None:
    """The least λ for these multipliers, by elimination of b; smoothed from above if a sharpness is given."""
    matrix, n = _matrix(form, t), form.ends
    inner = -matrix[n:, n:]
    factor, failed = torch.linalg.cholesky_ex(inner)
    if int(failed) != 0:
        return None
    half = torch.linalg.solve_triangular(factor, matrix[n:, :n], upper=False)
    values = torch.linalg.eigvalsh((matrix[:n, :n] + half.mT @ half) / form.unit)
    top = values[-1] if sharpness is None else torch.logsumexp(sharpness * values, 0) / sharpness
    return cast(Tensor, top)


def _search(form: _Form, start: Array, iterations: int) -> tuple[float, Array] | None:
    from scipy.optimize import minimize  # here, so that importing the package stays quick

    def exact(log_t: Array) -> float:
        with torch.no_grad():
            rate = _rate(form, torch.from_numpy(np.exp(log_t)), None)
        return math.inf if rate is None or not bool(torch.isfinite(rate)) else float(rate)

    logs = np.log(start)
    best = min((logs + shift for shift in np.linspace(-12.0, 12.0, 25)), key=exact)
    if exact(best) == math.inf:
        return None
    if len(best) == 0:
        return exact(best), np.zeros(0)
    for relative in (20.0, 400.0, 8000.0):
        top = exact(best)
        sharpness = relative / (abs(top) + 1e-3 * float(np.abs(form.base).max()) + 1e-300)
        wall = top + 1e3 * (abs(top) + 1.0)

        def smooth(log_t: Array, sharpness: float = sharpness, wall: float = wall) -> tuple[float, Array]:
            logs = torch.from_numpy(log_t).clone().requires_grad_()
            rate = _rate(form, logs.exp(), sharpness)
            if rate is None or not bool(torch.isfinite(rate)):
                return wall, np.zeros_like(log_t)
            (slope,) = torch.autograd.grad(rate, logs)
            return float(rate.detach()), slope.numpy()

        bounds = [(v - 12.0, v + 12.0) for v in best]
        found = minimize(smooth, best, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": iterations})
        if exact(found.x) < top:
            best = found.x
    return exact(best), np.exp(best)


def _proved(form: _Form, chain: SlopeChain, rate: float, t: Array) -> float:
    with torch.no_grad():
        matrix = _matrix(form, torch.from_numpy(t)).numpy()
    matrix = 0.5 * (matrix + matrix.T)
    slopes = np.maximum(np.abs(form.lower), np.abs(form.upper))
    a = form.inputs_size
    mixed = np.concatenate((np.zeros((form.ends, len(form.base))), (t * slopes)[:, None] * a))
    squares = np.diag(np.concatenate((np.zeros(form.ends), t))) + a.T @ ((t * slopes**2)[:, None] * a)
    # Sums over the neurons, of products of few numbers, two of which are sums over the layers before.
    rounding = gamma(2 * len(t) + 4 * form.depth + 64) * float(
        (form.base_size + mixed + mixed.T + squares).sum(1).max()
    )
    reach, norm = 0.0, 1.0
    for weight, low, high in zip(chain.weights[:-1], chain.lower, chain.upper, strict=True):
        norm *= float(spectral_bounds(weight)[1]) * float(np.abs([low, high]).max(initial=0.0)) * (1.0 + 8.0 * UNIT)
        reach += norm**2
    ends = 1.0 if form.unit == 1.0 else 2.0
    best = math.inf
    for room in (1e-12, 1e-10, 1e-8, 1e-6, 1e-4):
        limit = rate + room * (abs(rate) + float(np.abs(form.base).max()))
        gap = matrix.copy()
        gap[np.arange(form.ends), np.arange(form.ends)] -= limit * form.unit
        shift_rounding = 4.0 * UNIT * (abs(limit) + float(np.abs(matrix).max()))
        excess = float(largest_eigenvalue(gap)[1]) + rounding + shift_rounding
        best = min(best, limit + max(excess, 0.0) * (ends + reach) * (1.0 + 16.0 * UNIT) + 16.0 * UNIT * abs(limit))
    return best
