"""One episode of an environment, played to its end."""

from collections.abc import Callable
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .environment import ControlEnvironment

# (n, o_n) to a_n.
Act = Callable[[int, Tensor], NDArray[Any]]


@final
class Played(NamedTuple):
    """An episode.

    Attributes:
        observations: (actions + 1, *observation).
        actions: (actions, action), in [-1, 1].
        rewards, continues: (actions,).
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    continues: Tensor

    @property
    def total(self) -> float:
        """The return: the sum of all rewards up to where the task's own rule ends the episode."""
        alive = torch.cat((torch.ones(1), self.continues[:-1])).cumprod(0)
        return float((alive * self.rewards).double().sum())


def play_episode(
    environment: ControlEnvironment, act: Act, actions: int, *, seed: int, purpose: str, episode: int
) -> Played:
    """Play an episode of so many actions; its start is keyed by (seed, purpose, episode).

    Raises:
        NumericalFailure: the simulation diverged.
    """
    seen = [environment.reset(seed=seed, purpose=purpose, episode=episode)]
    done, rewards, continues = np.zeros((actions, environment.action)), torch.zeros(actions), torch.ones(actions)
    for n in range(actions):
        done[n] = act(n, seen[-1])
        step = environment.step(done[n])
        seen.append(step.observation)
        rewards[n], continues[n] = step.reward, float(step.continues)
    return Played(torch.stack(seen), torch.from_numpy(done).float(), rewards, continues)
