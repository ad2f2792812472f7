"""What an agent has played, and windows of it."""

from typing import final

import torch
from torch import Tensor

from ...dynamics.brownian import generator
from ..episodes import Episodes


@final
class Replay:
    """Episodes of equal length, kept in the order in which they were played.

    Args:
        episodes, steps: room for so many, of so many actions each.
        shape: of one observation; images if it has three sizes.
        action: size of an action.

    Attributes:
        count: episodes that are there.

    Example:
        >>> replay = Replay(2, 5, (3,), 1)
        >>> replay.add(torch.zeros(6, 3), torch.zeros(5, 1), torch.zeros(5), torch.ones(5))
        >>> replay.windows(4, 3, seed=0, draw=0).observations.shape
        torch.Size([4, 4, 3])
    """

    def __init__(self, episodes: int, steps: int, shape: tuple[int, ...], action: int) -> None:
        kind = torch.uint8 if len(shape) == 3 else torch.float32
        self.observations = torch.zeros(episodes, steps + 1, *shape, dtype=kind)
        self.actions = torch.zeros(episodes, steps, action)
        self.rewards, self.continues = torch.zeros(episodes, steps), torch.ones(episodes, steps)
        self.count = 0

    @property
    def parts(self) -> dict[str, Tensor]:
        """The filled part of each tensor, by its name."""
        names = ("observations", "actions", "rewards", "continues")
        return {name: getattr(self, name)[: self.count] for name in names}

    def add(self, observations: Tensor, actions: Tensor, rewards: Tensor, continues: Tensor) -> None:
        """Keep one episode: (steps + 1, *shape), (steps, action), (steps,) and (steps,)."""
        given = {"observations": observations, "actions": actions, "rewards": rewards, "continues": continues}
        for name, part in given.items():
            getattr(self, name)[self.count] = part
        self.count += 1

    def episodes(self) -> Episodes:
        """All that is there."""
        return Episodes(**self.parts)

    def windows(self, batch: int, length: int, *, seed: int, draw: int) -> Episodes:
        """`batch` windows of `length` actions, chosen at random by (seed, draw) and the number of episodes alone."""
        source = generator(seed, "replay: windows", draw)
        rows = torch.randint(self.count, (batch,), generator=source)[:, None]
        first = torch.randint(self.actions.shape[1] - length + 1, (batch,), generator=source)[:, None]
        at = first + torch.arange(length)
        seen = self.observations[rows, first + torch.arange(length + 1)]
        return Episodes(seen, self.actions[rows, at], self.rewards[rows, at], self.continues[rows, at])
