"""Recorded episodes of an environment, and windows of them."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..validation import integer, tensor


@final
@dataclass(frozen=True, eq=False)
class Episodes:
    """Episodes of equal length: observation o_n, then action a_n, then reward r_n and observation o_{n+1}.

    Arrays and lists are copied, numbers in float32.

    Attributes:
        observations: (episodes, steps + 1, observation), float32; or images, (episodes, steps + 1, channels, height,
            width), uint8.
        actions: (episodes, steps, action), float32.
        rewards: (episodes, steps), float32, where they are known.
        continues: (episodes, steps), 1 where the episode goes on after a_n and 0 where it ends there, float32, where
            that is known.

    Raises:
        InvalidArgument: the shapes do not fit, there is no episode or no step, a value is not finite, or an entry of
            continues lies outside of [0, 1].
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor | None = None
    continues: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("observations", "actions", "rewards", "continues"):
            value = getattr(self, name)
            if isinstance(value, (np.ndarray, list, tuple)):
                array = tensor(name, value)
                # Numbers in float32, as everywhere here; bytes may be an image.
                value = array if array.is_complex() or array.dtype == torch.uint8 else array.float()
                object.__setattr__(self, name, value)
            optional = value is None and name in ("rewards", "continues")
            if not optional and (not isinstance(value, Tensor) or value.is_complex()):
                got = "complex numbers" if isinstance(value, Tensor) else type(value).__name__
                raise InvalidArgument(f"{name} must be a tensor of real numbers, got {got}; see torch.as_tensor.")
            if value is not None and value.requires_grad:
                raise InvalidArgument(f"{name} must be data without a gradient: pass {name}.detach().")
        o, a = self.observations, self.actions
        if o.ndim not in (3, 5) or a.ndim != 3 or len(o) != len(a) or o.shape[1] != a.shape[1] + 1:
            raise InvalidArgument(
                f"observations must have shape (episodes, steps + 1, size) or (episodes, steps + 1, channels, height, "
                f"width) and actions (episodes, steps, size), got {tuple(o.shape)} and {tuple(a.shape)}."
            )
        if (o.ndim == 5) != (o.dtype == torch.uint8):
            raise InvalidArgument(
                f"observations must be numbers (episodes, steps + 1, size) in floating point or images in uint8, got "
                f"shape {tuple(o.shape)} in {o.dtype}."
            )
        if 0 in o.shape or 0 in a.shape:
            raise InvalidArgument(
                f"observations and actions must hold at least one episode, one step and one number, got shapes "
                f"{tuple(o.shape)} and {tuple(a.shape)}."
            )
        for name, values in (("rewards", self.rewards), ("continues", self.continues)):
            if values is not None and values.shape != a.shape[:2]:
                raise InvalidArgument(
                    f"{name} must have shape (episodes, steps) = {tuple(a.shape[:2])}, got {tuple(values.shape)}."
                )
        if not all(bool(torch.isfinite(v).all()) for v in (o, a, self.rewards, self.continues) if v is not None):
            raise InvalidArgument(
                "observations, actions, rewards and continues must be finite, but some entries are NaN or infinite."
            )
        if self.continues is not None and not bool(((self.continues >= 0) & (self.continues <= 1)).all()):
            raise InvalidArgument(
                "continues must be 1 where an episode goes on and 0 where it ends, got a number outside of [0, 1]."
            )

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def steps(self) -> int:
        """Number of actions of each episode."""
        return self.actions.shape[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one observation: (size,) or (channels, height, width)."""
        return tuple(self.observations.shape[2:])

    @property
    def images(self) -> bool:
        """Whether observations are images."""
        return self.observations.dtype == torch.uint8

    @property
    def mean(self) -> Tensor:
        """Mean of each observed number over all episodes and times."""
        return self.observations.float().flatten(0, 1).mean(0)

    @property
    def deviation(self) -> Tensor:
        """Standard deviation of each observed number over all episodes and times."""
        return self.observations.float().flatten(0, 1).std(0)

    def windows(self, starts: Sequence[int], length: int) -> "Episodes":
        """The windows of `length` actions that begin at each of `starts`, as episodes; starts vary slowest.

        Raises:
            InvalidArgument: a window does not fit into an episode, or there is none.
        """
        length = integer("length", length, least=1)
        try:
            starts = [operator.index(start) for start in starts]
        except TypeError as error:
            raise InvalidArgument(f"starts must be a sequence of whole numbers, got {starts!r}.") from error
        if not starts or min(starts) < 0 or max(starts) + length > self.steps:
            raise InvalidArgument(
                f"windows of {length} steps from {starts} do not fit into episodes of {self.steps} steps."
            )

        def cut(values: Tensor, more: int = 0) -> Tensor:
            return torch.cat([values[:, s : s + length + more] for s in starts])

        rewards = None if self.rewards is None else cut(self.rewards)
        continues = None if self.continues is None else cut(self.continues)
        return Episodes(cut(self.observations, 1), cut(self.actions), rewards, continues)
