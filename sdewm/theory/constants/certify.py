"""Certified constants of a network."""

from dataclasses import replace

from torch import nn

from ...constant import Certified
from ...jacobian.box import Box, box_sides
from ...jacobian.chain_bounds import chain_bounds
from ...validation import one_of, real
from .branch_and_bound import DIMENSION, branch_and_bound
from .network import read_network

METHODS = ("auto", "slopes", "branch and bound")


def certify_network(
    module: nn.Module,
    box: Box | None = None,
    *,
    shift: float = 0.0,
    method: str = "auto",
    tolerance: float = 0.02,
    boxes: int = 4096,
    dim: int | None = None,
) -> dict[str, Certified]:
    """Suprema of the norms of the Jacobian of x ↦ module(x) + shift · x, over a box or over all states.

    With "slopes" every activation's slope is free within its range, and the bound is taken over all of them: exactly,
    by their vertices, for one hidden layer with at most 12; else by multipliers or products of norms. With a box that
    has at most 8 dimensions "auto" adds branch and bound on interval Jacobians, and the sharper of the two is
    returned.

    Args:
        module: a `Sequential` of `Linear` and elementwise activations, or one of these; its parameters are taken as
            exact real numbers.
        box: (lower, upper), each a number or (dim,), or None for all states.
        shift: multiple of x that is added; −c for a drift module(x) − c x.
        method: "auto", "slopes" or "branch and bound".
        tolerance, boxes: of `branch_and_bound`.
        dim: number of inputs, where there is no linear layer.

    Returns:
        "spectral" and "frobenius", and "mu" where there are as many outputs as inputs.

    Raises:
        InvalidArgument: the module contains something else, or an argument is not as above.
        Refused: branch and bound was asked for above 8 dimensions.

    Warning:
        That states stay in the box is not checked. Rounding inside the module itself is no part of the certificate.

    Example:
        >>> import torch
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> _ = layer.weight.data.fill_(3.0)
        >>> found = certify_network(nn.Sequential(nn.Tanh(), layer), shift=-1.0)  # −1 + 3 tanh'(x)
        >>> round(found["mu"].value, 9)
        2.0
    """
    one_of("method", method, METHODS)
    network = read_network(module, real("shift", shift), dim)
    if method == "branch and bound" and box is None:
        # The same complaint as for a box that is none.
        box_sides(None, network.dim)  # type: ignore[arg-type]
    sides = None if box is None else box_sides(box, network.dim)
    result: dict[str, Certified] = {}
    if method != "branch and bound":
        where = "for all states" if box is None else "on a box"
        chain = network.chain() if sides is None else network.chain(*sides)
        for name, bound in chain_bounds(chain).items():
            result[name] = Certified(bound.above, f"{bound.method}, {where}")
    if sides is None or method == "slopes" or (method == "auto" and network.dim > DIMENSION):
        return result
    square = len(network.weights[-1]) == network.dim
    for name in ("mu", "spectral", "frobenius") if square else ("spectral", "frobenius"):
        found = branch_and_bound(network, sides, name, tolerance=tolerance, boxes=boxes)
        known = result.get(name)
        sharper = found if known is None or found.value <= known.value else known
        result[name] = replace(sharper, attained=found.attained)
    return result
