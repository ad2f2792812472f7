"""A world model and a policy on its states: what acts in an environment."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...dynamics.brownian import generator
from ...exceptions import InvalidArgument, NumericalFailure
from ...validation import instance, integer
from ..injection import push
from ..model import Pushed
from ..rssm import RSSM
from .actor import Actor
from .environment import ControlEnvironment


@final
@dataclass(frozen=True, eq=False)
class Agent:
    """What acts: a world model that filters observations, and a policy on the filtered states.

    Attributes:
        model: the world model.
        actor: the policy.
        task: what it was trained for, "domain-task".
        action_repeat, episode_steps: environment steps for which an action is held, and of an episode.
        pixels: (height, width) of its images, or None where it sees states.
        seed: that it was trained with; it fixes the direction of an injected drift.
        covariance: of the model's states under filtering, (hidden + latent, hidden + latent), float64: the units of a
            whitened injection.

    Raises:
        InvalidArgument: its parts do not fit each other.

    Example:
        >>> from sdewm.worldmodel import RSSMArchitecture
        >>> model = RSSM(RSSMArchitecture(observation=3, action=1, rewards=True))
        >>> agent = Agent(model, Actor(80, 1), "cartpole-swingup", 2, 1000, None, 0, torch.eye(80).double())
        >>> acting = agent.begin(seed=0)
        >>> acting.act(torch.zeros(3)).shape
        (1,)
    """

    model: RSSM
    actor: Actor
    task: str
    action_repeat: int
    episode_steps: int
    pixels: tuple[int, int] | None
    seed: int
    covariance: Tensor

    def __post_init__(self) -> None:
        instance("model", self.model, RSSM)
        instance("actor", self.actor, Actor)
        for name in ("action_repeat", "episode_steps"):
            integer(name, getattr(self, name), least=1)
        integer("seed", self.seed, least=0)
        sizes, own = (self.model.hidden + self.model.latent, self.model.action), (self.actor.size, self.actor.action)
        if own != sizes:
            raise InvalidArgument(f"actor must take states and give actions of the model's sizes {sizes}, got {own}.")
        seen = None if len(self.model.observation) == 1 else self.model.observation[1:]
        if self.pixels != seen:
            raise InvalidArgument(
                f"pixels must be what the model sees, {_said(seen)}, got {_said(self.pixels)}: an agent of images "
                f"cannot act on states, nor one of states on images."
            )
        if self.covariance.shape != (sizes[0], sizes[0]):
            raise InvalidArgument(
                f"covariance must have shape {(sizes[0], sizes[0])}, got {tuple(self.covariance.shape)}."
            )

    def check(self, environment: ControlEnvironment) -> None:
        """Refuse an environment that is not the one that the agent was trained for, but for its physics.

        Raises:
            InvalidArgument: another task, or another size of actions or observations, or pixels against states, or
                another action repeat.
        """
        for name, own, other in (
            ("task", self.task, environment.task),
            ("observations", _said(self.pixels), _said(environment.pixels)),
            ("size of actions", self.model.action, environment.action),
            ("shape of observations", self.model.observation, environment.shape),
            ("action_repeat", self.action_repeat, environment.action_repeat),
        ):
            if own != other:
                raise InvalidArgument(f"this agent was trained for the {name} {own!r}, got {other!r}: train another.")

    def begin(
        self,
        *,
        seed: int,
        episode: int = 0,
        greedy: bool = True,
        exploration: float = 0.0,
        pushed: Pushed | None = None,
    ) -> "Acting":
        """Begin an episode; its noise is a function of (seed, episode) alone.

        Args:
            seed, episode: whole numbers >= 0.
            greedy: take means of the latent and of the policy, without noise.
            exploration: standard deviation of noise on actions, where not greedy.
            pushed: an error that is injected after every step of the filter.
        """
        return Acting(self.model, self.actor, seed, episode, greedy, exploration, pushed)


def _said(pixels: tuple[int, ...] | None) -> str:
    return "states" if pixels is None else f"images of {pixels[0]} x {pixels[1]}"


@final
class Acting:
    """One episode of an agent: filters one observation after another, and acts. `Agent.begin` makes it."""

    def __init__(
        self,
        model: RSSM,
        actor: Actor,
        seed: int,
        episode: int,
        greedy: bool,
        exploration: float,
        pushed: Pushed | None,
    ) -> None:
        self._model, self._actor, self._greedy = model, actor, greedy
        self._exploration, self._pushed = exploration, pushed
        self._noise = generator(seed, "acting", episode)
        # Noise of its own: without an injection all else is the same.
        self._push_noise = generator(seed, "acting: pushed", episode)
        like = next(model.parameters())
        self._x = like.new_zeros(1, model.hidden + model.latent)
        self._a = like.new_zeros(1, model.action)
        self._step = model.sampled_filter_step()

    @property
    def state(self) -> Tensor:
        """The filtered state x = (h, z), (hidden + latent,)."""
        return self._x[0]

    @torch.no_grad()
    def act(self, observation: Tensor) -> NDArray[Any]:
        """See an observation (*observation,), and answer with an action (action,) in [-1, 1].

        Raises:
            InvalidArgument: the observation is of another shape.
            NumericalFailure: the filtered state is not finite.
        """
        model, latents = self._model, self._model.laws.normals
        embedded = model.embed(model.standardise(observation[None]))
        of_latent = of_action = None
        if not self._greedy:
            drawn = torch.randn(1, latents + 2 * model.action, generator=self._noise).to(self._x)
            of_latent, of_action, explored = drawn.split([latents, model.action, model.action], dim=-1)
        self._x = self._step(self._x, self._a, embedded, of_latent)
        if self._pushed is not None:
            block = len(self._pushed.root)
            drift = self._pushed.direction is not None
            normals = None if drift else torch.randn(1, block, generator=self._push_noise).to(self._x)
            self._x = push(self._x, self._pushed, normals)
        if not bool(torch.isfinite(self._x).all()):
            raise NumericalFailure("the filtered state of the agent is not finite, so that it cannot act.")
        self._a = self._actor.action_of(self._actor(self._x), of_action)
        if not self._greedy and self._exploration > 0.0:
            self._a = (self._a + self._exploration * explored).clamp(-1.0, 1.0)
        return np.asarray(self._a[0].double().numpy())
