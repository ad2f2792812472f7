"""Elementwise activations: the range of their values and slopes on intervals."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ...exceptions import InvalidArgument

Array = NDArray[np.float64]
Range = Callable[[Array, Array], tuple[Array, Array]]

# Elementary functions of NumPy and SciPy are off by less than 2⁻⁵⁰ of themselves (they state a few units in the last
# place); a formula here is at most ten operations on numbers up to 1 + |x|. So 2⁻⁴⁵ (1 + |x|) has room to spare.
ELEMENTARY = 2.0**-45


@final
@dataclass(frozen=True)
class Activation:
    """A function of one number, known by its ranges.

    Args:
        name: its name.
        values: (lower, upper) to numbers that its values on [lower, upper] lie between.
        slopes: likewise for its difference quotients, infinite intervals included.

    Example:
        >>> low, high = activation_of(nn.Tanh()).slopes(np.array([-np.inf]), np.array([np.inf]))
        >>> low.tolist(), high.tolist()
        ([0.0], [1.0])
    """

    name: str
    values: Range
    slopes: Range


def activation_of(module: nn.Module) -> Activation:
    """The ranges of an activation module.

    Raises:
        InvalidArgument: the module is none of the known activations.

    Warning:
        Softplus is linear above its threshold, where it jumps by 2·10⁻⁹; it is taken as the smooth function there, with
        both ranges wide enough for either reading.
    """
    kind = type(module)
    if kind is nn.Identity:
        return Activation("identity", lambda low, high: (low, high), _constant_slopes(1.0))
    if kind is nn.Tanh:
        return Activation(
            "tanh", _ranged(np.tanh, (), (-1.0, 1.0)), _ranged(lambda x: 1.0 - np.tanh(x) ** 2, (0.0,), (0.0, 1.0))
        )
    if kind is nn.Sigmoid:
        return Activation("sigmoid", _ranged(_sigmoid, (), (0.0, 1.0)), _ranged(_sigmoid_slope, (0.0,), (0.0, 0.25)))
    if kind is nn.ReLU:
        return _kinked("relu", 0.0)
    if isinstance(module, nn.LeakyReLU) and kind is nn.LeakyReLU:
        return _kinked("leaky relu", float(module.negative_slope))
    if isinstance(module, nn.Softplus) and kind is nn.Softplus:
        return _softplus(float(module.beta), float(module.threshold))
    if kind is nn.SiLU:
        # Its minimum, and the zeros of its second derivative: x tanh(x/2) = 2.
        turn = 2.399357280520545
        return _smooth("silu", _silu, _silu_slope, -1.2784645427610738, turn)
    if isinstance(module, nn.GELU) and kind is nn.GELU and module.approximate == "none":
        return _smooth("gelu", _gelu, _gelu_slope, -0.7517915246935645, math.sqrt(2.0))
    known = "Tanh, Sigmoid, ReLU, LeakyReLU, Softplus, SiLU, GELU (without approximation), Identity"
    raise InvalidArgument(f"module may contain Linear and {known}; got {module!r}; put one of these in its place.")


def _ranged(function: Callable[[Array], Array], turns: tuple[float, ...], limits: tuple[float, float]) -> Range:
    """The range of a function that is monotone between its turning points, within its global limits."""

    def ranged(low: Array, high: Array) -> tuple[Array, Array]:
        with np.errstate(invalid="ignore", over="ignore"):
            ends = np.stack([function(low), function(high)])
        least, most = ends.min(0), ends.max(0)
        for turn in turns:
            # A turning point known to 15 digits: whatever is that near counts as inside.
            inside = (low <= turn + 1e-12) & (high >= turn - 1e-12)
            at = function(np.asarray(turn))
            least, most = np.where(inside, np.minimum(least, at), least), np.where(inside, np.maximum(most, at), most)
        slack = ELEMENTARY * (1.0 + np.maximum(np.abs(low), np.abs(high)))
        with np.errstate(invalid="ignore"):
            least, most = least - slack, most + slack
        # At infinite ends a formula may give no number; then the limits are all that is known.
        least, most = np.where(np.isfinite(least), least, limits[0]), np.where(np.isfinite(most), most, limits[1])
        return np.clip(least, *limits), np.clip(most, *limits)

    return ranged


def _smooth(
    name: str, value: Callable[[Array], Array], slope: Callable[[Array], Array], least: float, turn: float
) -> Activation:
    steepest = float(slope(np.asarray(turn))) + ELEMENTARY
    flattest = float(slope(np.asarray(-turn))) - ELEMENTARY
    return Activation(
        name,
        _ranged(value, (least,), (-math.inf, math.inf)),
        _ranged(slope, (-turn, turn), (flattest, steepest)),
    )


def _constant_slopes(slope: float) -> Range:
    return lambda low, high: (np.full_like(low, slope), np.full_like(high, slope))


def _kinked(name: str, below: float) -> Activation:
    """x for x >= 0, below · x for x < 0; at the kink itself both slopes count."""
    bottom, top = min(below, 1.0), max(below, 1.0)

    def value(x: Array) -> Array:
        return np.where(x >= 0.0, x, below * x)

    def slopes(low: Array, high: Array) -> tuple[Array, Array]:
        right, left = low > 0.0, high < 0.0
        return (
            np.where(right, 1.0, np.where(left, below, bottom)),
            np.where(right, 1.0, np.where(left, below, top)),
        )

    return Activation(name, _ranged(value, (0.0,), (-math.inf, math.inf)), slopes)


def _softplus(beta: float, threshold: float) -> Activation:
    if not (beta > 0.0 and threshold >= 20.0):
        raise InvalidArgument(f"Softplus needs beta > 0 and threshold >= 20, got {beta!r} and {threshold!r}.")
    smooth = _ranged(lambda x: np.logaddexp(0.0, beta * x) / beta, (), (0.0, math.inf))

    def values(low: Array, high: Array) -> tuple[Array, Array]:
        least, most = smooth(low, high)
        return np.maximum(least - 3e-9 / beta, 0.0), most + ELEMENTARY * (1.0 + most)

    def slope(x: Array) -> Array:
        # The linear part's slope; above the threshold by any rounding of beta x counts as well.
        return np.where(beta * x > threshold - 1e-9, 1.0, _sigmoid(beta * x))

    return Activation("softplus", values, _ranged(slope, (), (0.0, 1.0)))


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _sigmoid_slope(x: Array) -> Array:
    return 0.25 * (1.0 - np.tanh(0.5 * x) ** 2)


def _silu(x: Array) -> Array:
    return x * _sigmoid(x)


def _silu_slope(x: Array) -> Array:
    return _sigmoid(x) * (1.0 + x * _sigmoid(-x))


def _gelu(x: Array) -> Array:
    return x * _normal(x)


def _gelu_slope(x: Array) -> Array:
    density = np.exp(-0.5 * np.square(x)) / math.sqrt(2.0 * math.pi)
    return _normal(x) + x * density


def _normal(x: Array) -> Array:
    from scipy.special import ndtr  # here, so that importing the package stays quick

    return np.asarray(ndtr(x), dtype=np.float64)
