"""Norms of a network's Jacobian on a box by the slopes' deviations from their middle: sharper than entry by entry."""

import numpy as np
from numpy.typing import NDArray

from ...jacobian.rounding import UNIT, gamma, largest_eigenvalue, product
from ...jacobian.slopes import scaled_rows
from .network import Network

Array = NDArray[np.float64]


def deviation_bounds(network: Network, low: Array, high: Array) -> dict[str, Array]:
    """Upper bounds of "spectral", and "mu" of square Jacobians, on each box (boxes, dim).

    With D_k = m_k + r_k Δ_k, |Δ_k| <= 1, a telescoping sum gives J = J_m + Σ_k L_k r_k Δ_k R_k, where L_k has the
    middles of all later slopes and R_k the slopes of all earlier layers themselves. So for unit vectors u and v

        uᵀJv <= uᵀJ_m v + Σ_k Σ_i r_i |(L_kᵀu)_i| |(R_k v)_i|
             <= uᵀJ_m v + ½ Σ_k Σ_i r_i (τ_i (L_kᵀu)_i² + (R_k v)_i² / τ_i)

    for any τ > 0: the largest eigenvalue of a matrix of the size of J. An interval matrix instead adds |L| r |R|, in
    which nothing cancels. R_k is known up to a radius; (a + b)² <= (1 + θ) a² + (1 + 1/θ) b² takes it apart.

    Args:
        network: the network, with a hidden layer at least.
        low, high: sides (boxes, dim).

    Returns:
        (boxes,) for each name.
    """
    slopes = [a.slopes(*s) for a, s in zip(network.activations, network.inputs(low, high), strict=True)]
    middles = [0.5 * (a + b) for a, b in slopes]
    radii = [np.maximum(b - m, m - a) * (1.0 + 4.0 * UNIT) for (a, b), m in zip(slopes, middles, strict=True)]
    # Every entry below is a sum over some neurons in each layer, of products of so many numbers.
    relative = gamma(2 * sum(len(w) + w.shape[1] + 8 for w in network.weights) + 64)
    weights, n = network.weights, network.dim
    outputs = len(weights[-1])
    left_part = np.zeros((len(low), outputs, outputs))
    right_part = np.zeros((len(low), n, n))
    excess, size = np.zeros(len(low)), np.zeros(len(low))
    rights = _rights(network, slopes)
    left = np.broadcast_to(weights[-1], (len(low), *weights[-1].shape))
    left_size = np.abs(left)
    for k in range(len(weights) - 2, -1, -1):
        centre, spread = rights[k]
        r = radii[k]
        norm_l, norm_c, norm_r = _rows(left.swapaxes(1, 2)), _rows(centre), _rows(spread)
        tau = (norm_c + norm_r + 1e-150) / (norm_l + 1e-150)
        theta = norm_r / (norm_c + 1e-150) + 1e-12
        of_left, of_right = 0.5 * r * tau, 0.5 * r / tau * (1.0 + theta)
        left_part += (left * of_left[:, None]) @ left.swapaxes(1, 2)
        right_part += centre.swapaxes(1, 2) @ (of_right[:, :, None] * centre)
        size += (of_left * norm_l**2 + of_right * norm_c**2).sum(1)
        excess += (0.5 * r / tau * (1.0 + 1.0 / theta) * norm_r**2).sum(1)
        excess += relative * (r * _rows(left_size.swapaxes(1, 2)) * (norm_c + norm_r)).sum(1)
        left = (left * middles[k][:, None]) @ weights[k]
        left_size = (left_size * np.abs(middles[k])[:, None]) @ np.abs(weights[k])
    middle = left + network.shift * np.eye(outputs, n)
    size += _rows(left_size.reshape(len(low), -1)) + abs(network.shift) * outputs
    slack = (excess + 2.0 * relative * size) * (1.0 + 1e-9)
    found = {"spectral": 2.0 * _top(_blocks(left_part, 0.5 * middle, right_part)) + slack}
    if outputs == n:
        found["mu"] = _top(middle + left_part + right_part) + slack
    # An overflow leaves no number: then nothing is known.
    return {name: np.where(np.isnan(b), np.inf, np.nextafter(b, np.inf)) for name, b in found.items()}


def _rights(network: Network, slopes: list[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
    """W_k D_{k−1} ⋯ D_1 W_1 for each k, as a centre and a radius (boxes, units, dim)."""
    boxes = len(slopes[0][0])
    first = np.broadcast_to(network.weights[0], (boxes, *network.weights[0].shape))
    found = [(first, np.zeros_like(first))]
    for weight, sides in zip(network.weights[1:-1], slopes[:-1], strict=True):
        found.append(product(weight, *scaled_rows(*sides, *found[-1])))
    return found


def _rows(matrices: Array) -> Array:
    return np.asarray(np.sqrt(np.square(matrices).sum(-1)))


def _blocks(upper: Array, corner: Array, lower: Array) -> Array:
    top = np.concatenate((upper, corner), axis=2)
    return np.concatenate((top, np.concatenate((corner.swapaxes(1, 2), lower), axis=2)), axis=1)


def _top(matrices: Array) -> Array:
    return largest_eigenvalue(0.5 * (matrices + matrices.swapaxes(1, 2)))[1]
