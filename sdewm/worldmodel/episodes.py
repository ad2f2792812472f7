"""Recorded episodes of an environment, and windows of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..validation import integer


@final
@dataclass(frozen=True, eq=False)
class Episodes:
    """Episodes of equal length: observation o_n, then action a_n, then observation o_{n+1}.

    Attributes:
        observations: (episodes, steps + 1, observation), float32.
        actions: (episodes, steps, action), float32.

    Raises:
        InvalidArgument: the shapes do not fit, or a value is not finite.
    """

    observations: Tensor
    actions: Tensor

    def __post_init__(self) -> None:
        o, a = self.observations, self.actions
        if o.ndim != 3 or a.ndim != 3 or len(o) != len(a) or o.shape[1] != a.shape[1] + 1:
            raise InvalidArgument(
                f"observations must have shape (episodes, steps + 1, size) and actions (episodes, steps, size), got "
                f"{tuple(o.shape)} and {tuple(a.shape)}."
            )
        if not bool(torch.isfinite(o).all() and torch.isfinite(a).all()):
            raise InvalidArgument("observations and actions must be finite, but some entries are NaN or infinite.")

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def steps(self) -> int:
        """Number of actions of each episode."""
        return self.actions.shape[1]

    @property
    def mean(self) -> Tensor:
        """Mean of each observed number over all episodes and times."""
        return self.observations.flatten(0, 1).mean(0)

    @property
    def deviation(self) -> Tensor:
        """Standard deviation of each observed number over all episodes and times."""
        return self.observations.flatten(0, 1).std(0)

    def windows(self, starts: Sequence[int], length: int) -> "Episodes":
        """The windows of `length` actions that begin at each of `starts`, as episodes; starts vary slowest.

        Raises:
            InvalidArgument: a window does not fit into an episode.
        """
        length = integer("length", length, least=1)
        if not len(starts) or min(starts) < 0 or max(starts) + length > self.steps:
            raise InvalidArgument(
                f"windows of {length} steps from {list(starts)} do not fit into episodes of {self.steps} steps."
            )
        return Episodes(
            torch.cat([self.observations[:, s : s + length + 1] for s in starts]),
            torch.cat([self.actions[:, s : s + length] for s in starts]),
        )
