"""The sharpest known bound over free slopes, of several."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .multipliers import multiplier_bound
from .rounding import UNIT, frobenius_bounds
from .slopes import SlopeChain, has_vertices, interval_matrix, norm_product, vertex_bounds


class ChainBound(NamedTuple):
    """A bound over a chain.

    Attributes:
        above: no matrix of the chain exceeds it.
        method: where it is from.
        exact: whether the closed set of slopes reaches it up to rounding; then `below` is reached there.
        below: a number that is reached by some matrix of the chain, −∞ where none is known.
    """

    above: float
    method: str
    exact: bool = False
    below: float = -math.inf


def chain_bounds(chain: SlopeChain) -> dict[str, ChainBound]:
    """Bounds of "mu" (of square matrices), "spectral" and "frobenius" over all matrices of the chain.

    All vertices of the slopes where they are few, which is exact; else the sharper of multipliers (for "mu" and
    "spectral"), products of norms, and the interval matrix.

    Example:
        >>> chain = SlopeChain((np.eye(2), np.eye(2)), (np.zeros(2),), (np.ones(2),), shift=-1.0)
        >>> round(chain_bounds(chain)["mu"].above, 9)
        0.0
    """
    if has_vertices(chain):
        return {
            name: ChainBound(high, "all vertices of the slopes", True, low)
            for name, (low, high) in vertex_bounds(chain).items()
        }
    result = {}
    products = "a product of the layers' norms"
    spectral = [
        ChainBound(norm_product(chain), products),
        ChainBound(multiplier_bound(chain, "spectral"), "slope multipliers"),
    ]
    result["spectral"] = best = min(spectral)
    n_out, n_in = chain.constant.shape
    root = math.sqrt(min(n_out, n_in)) * (1.0 + 8.0 * UNIT)
    centre, radius = interval_matrix(chain)
    result["frobenius"] = min(
        ChainBound(norm_product(chain, "frobenius"), products),
        ChainBound(best.above * root, f"√dim times the spectral norm by {best.method}"),
        ChainBound(float(frobenius_bounds(centre, radius)[1]), "intervals of the slopes"),
    )
    if n_out == n_in:
        bare, top = norm_product(replace(chain, shift=0.0)), float(np.max(chain.shift))
        result["mu"] = min(
            ChainBound(bare + top + 4.0 * UNIT * (bare + abs(top)), products),
            ChainBound(multiplier_bound(chain, "mu"), "slope multipliers"),
        )
    return result
