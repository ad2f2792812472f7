"""What a state is worth: the expected discounted return of the policy from there on."""

import copy
from typing import final

import torch
from torch import Tensor, nn

from ...dynamics.brownian import generator
from ...validation import integer, positive
from ..networks import mlp


@final
class Critic(nn.Module):
    """V(x) by regression, in units in which returns are of size one.

    Args:
        size: of the state x.
        width: of the two layers between.
        unit: V is this times what the network gives.
        seed: fixes the first weights; no global random state is touched.

    Example:
        >>> Critic(5, width=8, unit=100.0)(torch.zeros(3, 5)).shape
        torch.Size([3])
    """

    def __init__(self, size: int, *, width: int = 64, unit: float = 1.0, seed: int = 0) -> None:
        super().__init__()
        self.size, self.unit = integer("size", size, least=1), positive("unit", unit)
        self.layers = mlp(generator(seed, "critic: first weights"), size, width, width, 1)
        with torch.no_grad():
            # All states are worth nothing at first: what a random network says would be believed.
            self.layers[-1].weight.zero_()  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        """V (...,) at states (..., size)."""
        value: Tensor = self.unit * self.layers(x).squeeze(-1)
        return value

    def loss(self, x: Tensor, returns: Tensor, weights: Tensor) -> Tensor:
        """Half the weighted mean squared error, in units, at states (..., size) with returns and weights (...,)."""
        wrong = (self(x) - returns) / self.unit
        loss: Tensor = 0.5 * (weights * wrong.square()).mean()
        return loss

    def follower(self) -> "Critic":
        """A copy that takes no gradient, to follow this one slowly."""
        return copy.deepcopy(self).requires_grad_(False)

    @torch.no_grad()
    def follow(self, leader: "Critic", rate: float) -> None:
        """Move each weight by `rate` of its way to the leader's."""
        torch._foreach_lerp_(list(self.parameters()), list(leader.parameters()), rate)
