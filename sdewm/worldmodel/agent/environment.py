"""A dm_control task as an agent meets it: one action after another, each held for some environment steps."""

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...exceptions import InvalidArgument
from ...validation import integer
from ..control import divergence_named, flat_observation, held, open_task
from ..physics import checked_factors
from ..rendering import Renderer, image_size
from ..seeds import derived


class Step(NamedTuple):
    """What an action brings.

    Attributes:
        observation: (*observation,), float32, or uint8 for images.
        reward: summed over the environment steps of the action.
        continues: whether the task's own rule lets the episode go on.
    """

    observation: Tensor
    reward: float
    continues: bool


@final
class ControlEnvironment:
    """One dm_control task, played one episode after another; actions lie in [-1, 1] whatever the task's own bounds.

    Args:
        task: "domain-task" of the dm_control suite.
        pixels: side, or (height, width), of image observations; None for the task's own observations, flat.
        action_repeat: environment steps for which an action is held.
        physics: factors of "mass" (with inertia), "damping", "gravity", "friction" or "gear".

    Attributes:
        task, pixels, action_repeat: see there; pixels as (height, width).
        action: size of an action.
        shape: of one observation, (size,) or (3, height, width).

    Raises:
        InvalidArgument: an argument is out of range, or the task is unknown.
        Refused: the task's actions have no bounds, or it makes a new terrain for each episode, or a factor of physics
            would change nothing.
        MissingExtra: dm_control is not installed, or images are asked for and no OpenGL library works.

    Warning:
        Must be closed, or used in a `with` statement, where it draws images.
    """

    def __init__(
        self,
        task: str,
        *,
        pixels: int | tuple[int, int] | None = None,
        action_repeat: int = 2,
        physics: Mapping[str, float] | None = None,
    ) -> None:
        self.task, self.action_repeat = task, integer("action_repeat", action_repeat, least=1)
        self.pixels = None if pixels is None else image_size(pixels)
        self._start, self._stack, self._episode = np.random.RandomState(0), ExitStack(), -1
        self._environment, self._low, self._high = open_task(task, self._start, checked_factors(physics))
        self.action = len(self._low)
        self._renderer: Renderer | None = None
        if self.pixels is not None:
            self._renderer = self._stack.enter_context(Renderer(self._environment.physics, *self.pixels))
            self.shape: tuple[int, ...] = (3, *self.pixels)
        else:
            self.shape = tuple(flat_observation(self._environment).shape)

    def reset(self, *, seed: int, purpose: str, episode: int) -> Tensor:
        """Begin the episode that is keyed by (seed, purpose, episode): its first observation.

        The start depends on these three and the task alone, neither on physics nor on what was played before.

        Raises:
            InvalidArgument: seed or episode is not a whole number >= 0.
            NumericalFailure: the simulation diverged.
        """
        words = np.random.SeedSequence(derived(seed, f"start: {purpose}", episode))
        self._start.set_state(dict(np.random.MT19937(words).state))
        self._episode = episode
        with divergence_named(episode):
            self._environment.reset()
            return self._see()

    def step(self, action: NDArray[Any]) -> Step:
        """Hold an action (action,), clipped to [-1, 1], for `action_repeat` environment steps.

        Raises:
            InvalidArgument: the action is of another shape, or not finite, or no episode was begun.
            NumericalFailure: the simulation diverged.
        """
        given = np.asarray(action, dtype=np.float64)
        if given.shape != (self.action,) or not np.isfinite(given).all():
            raise InvalidArgument(f"action must be {self.action} finite numbers, got {action!r}.")
        if self._episode < 0:
            raise InvalidArgument("an action needs an episode: call reset first.")
        signal = np.clip(given, -1.0, 1.0)
        torque = self._low + 0.5 * (signal + 1.0) * (self._high - self._low)
        total, goes_on = 0.0, True
        with divergence_named(self._episode):
            for reward, continues in held(self._environment, torque, self.action_repeat):
                # What comes after the end is played, so that episodes are of one length, but earns nothing.
                total += reward if goes_on else 0.0
                goes_on = goes_on and continues
            return Step(self._see(), total, goes_on)

    def close(self) -> None:
        """Free what draws images; a second call does nothing."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _see(self) -> Tensor:
        if self._renderer is not None:
            return torch.from_numpy(self._renderer.image())
        return torch.from_numpy(flat_observation(self._environment)).float()
