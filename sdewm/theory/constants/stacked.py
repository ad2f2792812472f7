"""Networks side by side as one chain of slopes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...constant import Certified
from ...exceptions import InvalidArgument
from ...jacobian.chain_bounds import chain_bounds
from ...jacobian.slopes import SlopeChain
from ...jacobian.stack import NetworkStack
from .network import read_network

Array = NDArray[np.float64]


def stacked_chain(stack: NetworkStack, dim: int) -> SlopeChain:
    """The Jacobians of a stack by the state, with all slopes free, for all states and all inputs from outside.

    Shallower networks are continued by neurons whose slope is fixed at 1.

    Args:
        stack: the networks.
        dim: dimension of the state.

    Raises:
        InvalidArgument: a module is not understood, or has another number of inputs than columns.

    Example:
        >>> from torch import nn
        >>> stack = NetworkStack(((nn.Linear(2, 3), (0, None)), (nn.Tanh(), (1,))))
        >>> [w.shape for w in stacked_chain(stack, dim=2).weights]
        [(4, 2), (4, 4)]
    """
    chains, first = [], []
    for module, columns in stack.parts:
        chain = read_network(module, dim=len(columns)).chain()
        weight = chain.weights[0]
        if weight.shape[1] != len(columns) or any(c is not None and not 0 <= c < dim for c in columns):
            raise InvalidArgument(f"{module!r} has {weight.shape[1]} inputs, but is to read the coordinates {columns}.")
        placed = np.zeros((len(weight), dim))
        for k, column in enumerate(columns):
            if column is not None:
                if placed[:, column].any():
                    raise InvalidArgument(f"{module!r} reads coordinate {column} twice; each may be read once.")
                placed[:, column] = weight[:, k]
        chains.append(chain)
        first.append(placed)
    depth = max(len(chain.weights) for chain in chains)
    outputs = [len(chain.weights[-1]) for chain in chains]
    weights = [np.concatenate(first)]
    lower: list[Array] = []
    upper: list[Array] = []
    for k in range(1, depth):
        inside = [k < len(chain.weights) for chain in chains]
        weights.append(
            _diagonal([c.weights[k] if on else np.eye(n) for c, on, n in zip(chains, inside, outputs, strict=True)])
        )
        for sides, name in ((lower, "lower"), (upper, "upper")):
            parts = zip(chains, inside, outputs, strict=True)
            sides.append(np.concatenate([getattr(c, name)[k - 1] if on else np.ones(n) for c, on, n in parts]))
    shift = np.asarray(stack.shift, dtype=np.float64) if stack.shift else 0.0
    return SlopeChain(tuple(weights), tuple(lower), tuple(upper), shift)


def _diagonal(blocks: Sequence[Array]) -> Array:
    whole = np.zeros((sum(len(b) for b in blocks), sum(b.shape[1] for b in blocks)))
    row = column = 0
    for block in blocks:
        whole[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return whole


def stack_constants(drift: NetworkStack | None, diffusion: NetworkStack | None, dim: int) -> dict[str, Certified]:
    """Constants of a system whose drift, and whose diffusion's entries one after the other, are stacks of networks.

    Each entry of the diffusion may occur once, in whatever place: then Σ_k G_kᵀG_k = JᵀJ with the stack's Jacobian J.

    Args:
        drift, diffusion: the stacks, or None for what is not known; a diffusion without parts is constant.
        dim: dimension of the state.

    Returns:
        What can be certified; nothing of a stack with a module that is not understood.
    """
    result: dict[str, Certified] = {}
    chain = _understood(drift, dim)
    if chain is not None:
        for name, bound in chain_bounds(chain).items():
            result[name] = Certified(bound.above, f"{bound.method}, all states and inputs")
    if diffusion is not None and not diffusion.parts:
        result["diffusion"] = Certified(0.0, "a diffusion that does not depend on the state", 0.0)
    elif (chain := _understood(diffusion, dim)) is not None:
        bound = chain_bounds(chain)["spectral"]
        result["diffusion"] = Certified(bound.above, f"{bound.method}, all states and inputs")
    return result


def _understood(stack: NetworkStack | None, dim: int) -> SlopeChain | None:
    if stack is None:
        return None
    try:
        return stacked_chain(stack, dim)
    except InvalidArgument:
        return None
