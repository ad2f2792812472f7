"""Mean-value Jacobians: the matrices that carry the difference of two states over exactly."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...exceptions import InvalidArgument
from ...jacobian import jacobians
from ...validation import integer

Function = Callable[[Tensor], Tensor]


def mean_value_jacobian(function: Function, x: Tensor, y: Tensor, nodes: int = 4) -> Tensor:
    """J = ∫_0^1 D function(x + θ(y − x)) dθ of each pair of states, with J (y − x) = function(y) − function(x).

    The integral is taken by Gauss and Legendre's rule. What is then missing in J (y − x) is added as the matrix of rank
    one and least norm that does it: bounds on a difference of paths need a matrix that carries it over exactly, and
    with that no error of the quadrature enters them.

    Args:
        function: (paths, dim) to (paths, dim_out), or to (paths, dim_out, m), each row apart from the others.
        x, y: states (paths, dim), float64.
        nodes: number of nodes; n of them integrate polynomials in θ of degree 2n − 1 exactly.

    Returns:
        (paths, dim_out, dim), or for m columns (paths, m, dim_out, dim).

    Raises:
        InvalidArgument: x and y differ in shape, or the function's value has another number of axes.

    Warning:
        For a function with kinks the norms of the result depend on the nodes. That rows do not mix is not checked.

    Example:
        >>> x, y = torch.tensor([[0.0]]).double(), torch.tensor([[2.0]]).double()
        >>> mean_value_jacobian(lambda x: x**3, x, y).round(decimals=9)  # the mean of 3x² over [0, 2]
        tensor([[[4.]]], dtype=torch.float64)
    """
    if x.shape != y.shape or x.ndim != 2:
        raise InvalidArgument(f"x and y must both be (paths, dim), got {tuple(x.shape)} and {tuple(y.shape)}.")
    points, weights = np.polynomial.legendre.leggauss(integer("nodes", nodes, least=1))
    e = y - x
    start, end = function(x), function(y)
    if start.ndim not in (2, 3):
        raise InvalidArgument(f"function must return 2 or 3 axes, got shape {tuple(start.shape)}.")

    def flat(z: Tensor) -> Tensor:
        value = function(z)
        return value if value.ndim == 2 else value.mT.flatten(1)

    total = x.new_zeros(())
    for point, weight in zip(0.5 * (1.0 + points), 0.5 * weights, strict=True):
        total = total + float(weight) * jacobians(flat, x + float(point) * e)
    difference = end - start if start.ndim == 2 else (end - start).mT.flatten(1)
    square = (e * e).sum(-1, keepdim=True)
    direction = torch.where(square > 0.0, e / torch.where(square > 0.0, square, torch.ones_like(square)), 0.0)
    total = total + (difference - torch.einsum("pij,pj->pi", total, e))[:, :, None] * direction[:, None, :]
    return total if start.ndim == 2 else total.unflatten(1, (start.shape[2], start.shape[1]))


def diffusion_columns(diffusion: Function, diagonal: bool) -> Function:
    """The diffusion as columns (paths, dim, m), whether it is given as such or as a diagonal (paths, dim).

    Example:
        >>> diffusion_columns(lambda x: x, diagonal=True)(torch.tensor([[1.0, 2.0]]))
        tensor([[[1., 0.],
                 [0., 2.]]])
    """
    return (lambda x: torch.diag_embed(diffusion(x))) if diagonal else diffusion
