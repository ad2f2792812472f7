"""Interval Jacobians of a network, on many boxes at once."""

import numpy as np
from numpy.typing import NDArray

from ...exceptions import InvalidArgument
from ...jacobian.rounding import frobenius_bounds, log_norm_bounds, product, spectral_bounds
from ...jacobian.slopes import scaled_rows, shifted
from .deviation import deviation_bounds
from .network import Network

Array = NDArray[np.float64]

NORMS = {"mu": log_norm_bounds, "spectral": spectral_bounds, "frobenius": frobenius_bounds}


def interval_jacobian(network: Network, low: Array, high: Array) -> tuple[Array, Array]:
    """A centre and a radius around every Jacobian on each box, and so around its mean over every segment in it.

    The slopes' ranges on the box are multiplied through the layers; each rounding is covered by γ_n.

    Args:
        network: the network.
        low, high: sides (boxes, dim).

    Returns:
        (boxes, outputs, dim) twice.
    """
    centre, radius = network.weights[0], np.zeros_like(network.weights[0])
    inputs = network.inputs(low, high)
    for weight, activation, sides in zip(network.weights[1:], network.activations, inputs, strict=True):
        centre, radius = scaled_rows(*activation.slopes(*sides), centre, radius)
        centre, radius = product(weight, centre, radius)
    if centre.ndim == 2:  # one linear layer
        centre, radius = (np.broadcast_to(m, (len(low), *m.shape)) for m in (centre, radius))
    return shifted(centre, radius, network.shift * np.eye(*centre.shape[1:]))


def norm_on_boxes(network: Network, name: str, low: Array, high: Array) -> Array:
    """Upper bounds of a norm of the Jacobian on each box, (boxes,): the sharper of entries and `deviation_bounds`.

    Args:
        network: the network.
        name: "mu", "spectral" or "frobenius".
        low, high: sides (boxes, dim).
    """
    above = NORMS[name](*interval_jacobian(network, low, high))[1]
    if name == "frobenius" or len(network.weights) == 1:
        return above
    return np.asarray(np.minimum(above, deviation_bounds(network, low, high)[name]))


def norm_at_points(network: Network, name: str, points: Array) -> Array:
    """Lower bounds of a norm of the Jacobian at points (points, dim), rounding included.

    At a kink all slopes between both sides count, and the bound is then −∞ or small.
    """
    return NORMS[name](*interval_jacobian(network, points, points))[0]


def check_square(network: Network, name: str) -> None:
    """Refuses the log-norm of a network whose outputs are not as many as its inputs."""
    outputs = len(network.weights[-1])
    if name == "mu" and outputs != network.dim:
        raise InvalidArgument(f"mu needs as many outputs as inputs, got {outputs} of {network.dim}.")
