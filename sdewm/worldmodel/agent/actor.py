"""A policy with continuous actions: a Gaussian of bounded deviation, squashed by tanh."""

import math
from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ...dynamics.brownian import generator
from ...exceptions import InvalidArgument
from ...validation import integer, positive, real
from ..networks import mlp

# Means before tanh stay within this, where tanh still has a gradient in single precision.
_LARGEST_MEAN = 5.0


class Policy(NamedTuple):
    """The law of an action before tanh, each (..., action)."""

    mean: Tensor
    deviation: Tensor


@final
class Actor(nn.Module):
    """a = tanh(m(x) + s(x) ξ), ξ standard normal; |m| ≤ 5 smoothly, s between two bounds.

    Args:
        size: of the state x.
        action: of a.
        width: of the two layers between.
        least, most: bounds of s.
        seed: fixes the first weights; no global random state is touched.

    Raises:
        InvalidArgument: a size is below 1, or the bounds are not 0 < least < most.

    Source: Haarnoja et al., arXiv:1801.01290, the squashed Gaussian; Hafner et al., arXiv:1912.01603, the bounded mean.

    Example:
        >>> actor = Actor(5, 2, width=8)
        >>> policy = actor(torch.zeros(3, 5))
        >>> actor.action_of(policy, torch.zeros(3, 2)).shape
        torch.Size([3, 2])
    """

    def __init__(
        self, size: int, action: int, *, width: int = 64, least: float = 0.1, most: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        self.size, self.action = integer("size", size, least=1), integer("action", action, least=1)
        self.width, self.least, self.most = (
            integer("width", width, least=1),
            positive("least", least),
            real("most", most),
        )
        if not self.least < self.most:
            raise InvalidArgument(f"least must be below most, got {least!r} and {most!r}.")
        self.layers = mlp(generator(seed, "actor: first weights"), size, width, width, 2 * action)
        with torch.no_grad():
            # The first policy is the same in all states, nearly.
            self.layers[-1].weight.mul_(0.1)  # type: ignore[operator]

    def forward(self, x: Tensor) -> Policy:
        """The policy at states (..., size)."""
        mean, raw = self.layers(x).chunk(2, dim=-1)
        deviation = self.least + (self.most - self.least) * torch.sigmoid(raw)
        return Policy(_LARGEST_MEAN * torch.tanh(mean / _LARGEST_MEAN), deviation)

    @staticmethod
    def action_of(policy: Policy, normals: Tensor | None) -> Tensor:
        """tanh(m + s ξ), (..., action); without ξ the action of the mean, tanh(m)."""
        before = policy.mean if normals is None else torch.addcmul(policy.mean, policy.deviation, normals)
        return torch.tanh(before)

    @staticmethod
    def log_density(policy: Policy, normals: Tensor) -> Tensor:
        """log π(a | x), (...,), of the actions that these normals make, differentiable by the policy.

        log π = Σ −ξ²/2 − log s − ½ log 2π − log(1 − a²), and log(1 − tanh² u) = 2 (log 2 − u − softplus(−2u)), which
        does not lose digits where a is close to ±1. Its negative mean is the entropy.
        """
        u = torch.addcmul(policy.mean, policy.deviation, normals)
        squash = 2.0 * (math.log(2.0) - u - softplus(-2.0 * u))
        normal = -0.5 * normals.square() - policy.deviation.log() - 0.5 * math.log(2.0 * math.pi)
        return (normal - squash).sum(-1)
