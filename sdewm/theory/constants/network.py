"""A network of linear layers and elementwise activations, as matrices and slopes."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ...exceptions import InvalidArgument
from ...jacobian.rounding import TINY, UNIT, gamma
from ...jacobian.slopes import SlopeChain
from .activation import Activation, activation_of

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Network:
    """x ↦ shift x + W_L s_{L−1}(W_{L−1} ⋯ s_1(W_1 x + b_1) ⋯) + b_L in real numbers.

    Args:
        weights, biases: W_1, …, W_L and b_1, …, b_L, float64.
        activations: s_1, …, s_{L−1}.
        shift: multiple of x that is added.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    activations: tuple[Activation, ...]
    shift: float = 0.0

    @property
    def dim(self) -> int:
        """Number of inputs."""
        return int(self.weights[0].shape[1])

    def inputs(self, low: Array, high: Array) -> list[tuple[Array, Array]]:
        """What reaches each activation from boxes (boxes, dim): lower and upper sides, (boxes, units) each.

        Interval arithmetic with a centre and a radius; each rounding is covered by γ_n.
        """
        found = []
        for weight, bias, activation in zip(self.weights, self.biases, self.activations, strict=False):
            centre = 0.5 * (low + high)
            radius = np.maximum(high - centre, centre - low) * (1.0 + 4.0 * UNIT)
            middle = centre @ weight.T + bias
            size = (np.abs(centre) + radius) @ np.abs(weight).T + np.abs(bias)
            spread = radius @ np.abs(weight).T + gamma(2 * weight.shape[1] + 16) * size + TINY
            found.append((middle - spread, middle + spread))
            low, high = activation.values(*found[-1])
        return found

    def chain(self, low: Array | None = None, high: Array | None = None) -> SlopeChain:
        """Its Jacobians with free slopes, on a box (dim,), or everywhere."""
        if low is None or high is None:
            ends = [np.full(len(w), np.inf) for w in self.weights[:-1]]
            slopes = [a.slopes(-end, end) for a, end in zip(self.activations, ends, strict=True)]
        else:
            inputs = self.inputs(low[None], high[None])
            slopes = [a.slopes(*(s[0] for s in sides)) for a, sides in zip(self.activations, inputs, strict=True)]
        return SlopeChain(self.weights, tuple(s[0] for s in slopes), tuple(s[1] for s in slopes), self.shift)


def read_network(module: nn.Module, shift: float = 0.0, dim: int | None = None) -> Network:
    """The matrices and activations of a module.

    Args:
        module: `torch.nn.Linear`, an activation, or a `Sequential` (also nested) of these.
        shift: multiple of the input that is added: −c for x ↦ module(x) − c x.
        dim: number of inputs; only needed where there is no linear layer.

    Raises:
        InvalidArgument: it contains another module, the sizes do not fit, or a parameter is not finite.

    Example:
        >>> read_network(nn.Sequential(nn.Tanh(), nn.Linear(2, 2))).weights[0]
        array([[1., 0.],
               [0., 1.]])
    """
    layers = _flat(module)
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    size = linear[0].in_features if linear else dim
    if size is None:
        raise InvalidArgument("module has no linear layer: pass dim, its number of inputs.")
    weights: list[Array] = []
    biases: list[Array] = []
    activations: list[Activation] = []
    for layer in layers:
        if isinstance(layer, nn.Linear):
            if len(weights) > len(activations):  # two linear layers in a row
                activations.append(activation_of(nn.Identity()))
            if layer.in_features != size:
                raise InvalidArgument(f"module does not fit together: {layer!r} receives {size} numbers.")
            weights.append(_plain(layer.weight))
            size = layer.out_features
            biases.append(np.zeros(size) if layer.bias is None else _plain(layer.bias))
        elif not isinstance(layer, nn.Identity):
            if len(weights) == len(activations):  # no linear layer before it
                weights.append(np.eye(size))
                biases.append(np.zeros(size))
            activations.append(activation_of(layer))
    if len(weights) == len(activations):
        weights.append(np.eye(size))
        biases.append(np.zeros(size))
    if not all(np.isfinite(p).all() for p in (*weights, *biases)):
        raise InvalidArgument("module's parameters must be finite, but some are NaN or infinite.")
    if shift != 0.0 and len(weights[-1]) != weights[0].shape[1]:
        raise InvalidArgument(f"a multiple of x needs as many outputs as inputs, got {size} of {weights[0].shape[1]}.")
    return Network(tuple(weights), tuple(biases), tuple(activations), float(shift))


def _flat(module: nn.Module) -> list[nn.Module]:
    if not isinstance(module, nn.Module):
        raise InvalidArgument(f"module must be a torch.nn.Module, got {type(module).__name__}.")
    if module._forward_hooks or module._forward_pre_hooks:
        raise InvalidArgument(f"module must have no forward hooks, got one on {module!r}; remove it.")
    if type(module) is nn.Sequential:
        return [layer for child in module for layer in _flat(child)]
    if not _is_linear(module):
        activation_of(module)
    return [module]


def _is_linear(module: nn.Module) -> bool:
    # A parametrised layer is a subclass with the same forward; one with another forward is another function.
    return isinstance(module, nn.Linear) and type(module).forward is nn.Linear.forward


def _plain(parameter: Tensor) -> Array:
    return parameter.detach().cpu().double().numpy().copy()
