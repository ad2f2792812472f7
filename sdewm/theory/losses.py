"""Losses that declare their growth and their smoothness, so that nothing about them needs to be probed."""

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..hypothesis import Facts
from ..validation import positive, real


@final
@dataclass(frozen=True)
class SquaredDistance:
    """ℓ(x) = factor · |x − target|².

    Args:
        target: a number or (dim,). (A target of each path's own is no function of the state.)
        factor: above zero.

    Example:
        >>> SquaredDistance(target=1.0, factor=0.5)(torch.tensor([[3.0, 1.0]]))
        tensor([2.])
    """

    target: float | Tensor = 0.0
    factor: float = 1.0
    facts: Facts = field(default=Facts("polynomial"), init=False)

    def __post_init__(self) -> None:
        positive("factor", self.factor)
        if not isinstance(self.target, Tensor | numbers.Real):
            raise InvalidArgument(f"target must be a number or a tensor, got {self.target!r}.")
        if isinstance(self.target, Tensor) and self.target.ndim > 1:
            raise InvalidArgument(f"target must be a number or have shape (dim,), got {tuple(self.target.shape)}.")
        if not bool(torch.isfinite(torch.as_tensor(self.target)).all()):
            raise InvalidArgument("target must be finite, but some entries are NaN or infinite.")

    def __call__(self, x: Tensor) -> Tensor:
        """(paths,) from states (paths, dim)."""
        target = self.target.to(x) if isinstance(self.target, Tensor) else self.target
        return self.factor * (x - target).square().sum(-1)


@final
@dataclass(frozen=True)
class PolynomialLoss:
    """ℓ(x) = Σ_i Σ_k coefficients[k] x_i^k.

    Args:
        coefficients: of the powers 0, 1, 2, …

    Example:
        >>> PolynomialLoss((0.0, -0.3, 0.0, 0.0, 0.25))(torch.tensor([[2.0]]))
        tensor([3.4000])
    """

    coefficients: Sequence[float]
    facts: Facts = field(default=Facts("polynomial"), init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.coefficients, Sequence) or len(self.coefficients) < 2:
            raise InvalidArgument(f"coefficients must hold at least two numbers, got {_length(self.coefficients)}.")
        object.__setattr__(self, "coefficients", tuple(real("coefficients", c) for c in self.coefficients))

    def __call__(self, x: Tensor) -> Tensor:
        """(paths,) from states (paths, dim)."""
        total = torch.zeros_like(x)
        for c in reversed(self.coefficients):
            total = total * x + c
        return total.sum(-1)


def _length(value: object) -> object:
    return len(value) if isinstance(value, Sequence) else repr(value)


@final
@dataclass(frozen=True)
class ExponentialLoss:
    """ℓ(x) = Σ_i exp(rate x_i): grows faster than every power, so that its mean may be infinite.

    Args:
        rate: not zero.

    Example:
        >>> ExponentialLoss()(torch.zeros(1, 2))
        tensor([2.])
    """

    rate: float = 1.0
    facts: Facts = field(default=Facts("exponential"), init=False)

    def __post_init__(self) -> None:
        if real("rate", self.rate) == 0.0:
            raise InvalidArgument("rate must not be zero: the loss would not depend on the states.")

    def __call__(self, x: Tensor) -> Tensor:
        """(paths,) from states (paths, dim)."""
        return torch.exp(self.rate * x).sum(-1)


@final
@dataclass(frozen=True)
class AbsoluteLoss:
    """ℓ(x) = Σ_i |x_i − target|: not differentiable at the target.

    Args:
        target: where the kink is.

    Example:
        >>> AbsoluteLoss()(torch.tensor([[-2.0, 1.0]]))
        tensor([3.])
    """

    target: float = 0.0
    facts: Facts = field(default=Facts("linear", smoothness=0), init=False)

    def __post_init__(self) -> None:
        real("target", self.target)

    def __call__(self, x: Tensor) -> Tensor:
        """(paths,) from states (paths, dim)."""
        return (x - self.target).abs().sum(-1)


@final
@dataclass(frozen=True)
class SoftAbsoluteLoss:
    """ℓ(x) = Σ_i (2 log(1 + exp(sharpness (x_i − target))) / sharpness − (x_i − target)): |x_i − target|, smoothed.

    Args:
        target: where the bend is.
        sharpness: above zero; the bend is about 1 / sharpness wide.

    Example:
        >>> SoftAbsoluteLoss(sharpness=50.0)(torch.tensor([[-2.0, 1.0]]))
        tensor([3.])
    """

    target: float = 0.0
    sharpness: float = 1.0
    facts: Facts = field(default=Facts("linear", smoothness=math.inf), init=False)

    def __post_init__(self) -> None:
        real("target", self.target)
        positive("sharpness", self.sharpness)

    def __call__(self, x: Tensor) -> Tensor:
        """(paths,) from states (paths, dim)."""
        z = x - self.target
        return (2.0 * torch.nn.functional.softplus(z, beta=self.sharpness) - z).sum(-1)
