"""What an agent earns, as it was trained or under a perturbation, on the same episodes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor

from ...dynamics.brownian import generator
from ...estimate import Estimate, Moments
from ...exceptions import InvalidArgument
from ...output import frame, plain
from ...validation import instance, integer
from ...validation import level as check_level
from ..angles import angle_pairs
from ..episodes import Episodes
from ..injection import Injection
from ..perturbations import observation_change
from ..seeds import derived
from ..train import subnormals_flushed
from .agent import Acting, Agent
from .environment import ControlEnvironment
from .episode import Act, Played, play_episode

See = Callable[[Tensor, torch.Generator], Tensor]


@final
@dataclass(frozen=True, eq=False)
class Returns:
    """Returns of some episodes.

    Attributes:
        values: (episodes,), float64: the sum of rewards of each, between 0 and the number of environment steps where
            rewards lie between 0 and 1.
        episodes: what was played: true observations, the actions that the agent chose, rewards; None for differences.

    Example:
        >>> Returns(torch.tensor([700.0, 710.0, 720.0]).double()).mean
        710.0
    """

    values: Tensor
    episodes: Episodes | None = None

    @property
    def mean(self) -> float:
        """Mean over episodes."""
        return float(self.values.mean())

    @property
    def estimate(self) -> Estimate:
        """The mean with its error over new episodes.

        Raises:
            InvalidArgument: there is only one episode.
        """
        if len(self.values) < 2:
            raise InvalidArgument("episodes must be at least 2 for an interval, got 1.")
        return Moments.of(self.values.numpy(), keep=True).estimates()[0]

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Confidence interval of the mean, for new episodes of the same agent.

        Raises:
            InvalidArgument: there is only one episode, or the level is out of range.
        """
        return self.estimate.interval(check_level(level))

    def to_dict(self) -> dict[str, Any]:
        """The returns, and their mean with an interval where there are several, as plain values for JSON."""
        mean = self.estimate.to_dict() if len(self.values) > 1 else None
        return {"values": plain(self.values), "mean": mean}

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for each episode.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return frame({"episode": k, "return": value} for k, value in enumerate(self.values.tolist()))

    def less(self, other: "Returns") -> "Returns":
        """Paired differences, episode by episode, of what was played under one seed: their interval is the narrower.

        Raises:
            InvalidArgument: the numbers of episodes differ.
        """
        if self.values.shape != other.values.shape:
            raise InvalidArgument(
                f"returns must be of equally many episodes, got {len(self.values)} and {len(other.values)}."
            )
        return Returns(self.values - other.values)


def play(
    agent: Agent,
    task: str | None = None,
    *,
    episodes: int,
    seed: int,
    perturbation: tuple[str, float] | None = None,
    physics: Mapping[str, float] | None = None,
    injection: Injection | None = None,
    greedy: bool = True,
) -> Returns:
    """Returns of an agent on episodes that training has not seen.

    Episode i starts alike whatever is perturbed, and whatever the number of episodes; its noise is a function of
    (seed, purpose, i), so that two calls with one seed are paired.

    Args:
        agent: see there.
        task: what it is to play, its own by default; another one is refused.
        episodes: how many.
        seed: whole number >= 0.
        perturbation: (kind, strength) of observations, each time anew, as in `perturb_observations`; noise and masks of
            states are in the units of the agent's world model.
        physics: factors of "mass" (with inertia), "damping", "gravity", "friction" or "gear".
        injection: an error that is added to the filtered state after every step; whitened by the covariance that the
            agent had in training, a drift in the direction that it had there.
        greedy: act by the means of latent and policy; else with the noise of both.

    Raises:
        InvalidArgument: an argument is out of range, or the agent was trained for another task, other actions, or other
            observations.
        Refused: states that hold no angle are to be rotated, or a factor of physics would change nothing.
        MissingExtra: dm_control is not installed, or images are asked for and no OpenGL library works.
        NumericalFailure: the simulation diverged, or the agent's state is not finite.
    """
    instance("agent", agent, Agent)
    episodes, seed = integer("episodes", episodes, least=1), integer("seed", seed, least=0)
    if injection is not None:
        instance("injection", injection, Injection)
    see, kind = _seeing(agent, perturbation), "" if perturbation is None else perturbation[0]
    pushed = None if injection is None else injection.pushed(agent.model, agent.covariance, seed=agent.seed)
    actions = agent.episode_steps // agent.action_repeat
    played: list[Played] = []
    with (
        ControlEnvironment(
            agent.task if task is None else task,
            pixels=agent.pixels,
            action_repeat=agent.action_repeat,
            physics=physics,
        ) as environment,
        subnormals_flushed(),
    ):
        agent.check(environment)
        for i in range(episodes):
            acting = agent.begin(seed=derived(seed, "play: acting"), episode=i, greedy=greedy, pushed=pushed)
            act = _act(acting, see, generator(seed, f"perturbed observations: {kind}", i))
            played.append(play_episode(environment, act, actions, seed=seed, purpose="evaluation", episode=i))
    seen, done, rewards, continues = (torch.stack(parts) for parts in zip(*played, strict=True))
    values = torch.tensor([each.total for each in played], dtype=torch.float64)
    return Returns(values, Episodes(seen, done, rewards, continues))


def _act(acting: Acting, see: See | None, source: torch.Generator) -> Act:
    if see is None:
        return lambda n, seen: acting.act(seen)
    return lambda n, seen: acting.act(see(seen[None], source)[0])


def _seeing(agent: Agent, perturbation: tuple[str, float] | None) -> See | None:
    if perturbation is None:
        return None
    if not isinstance(perturbation, tuple | list) or len(perturbation) != 2:
        raise InvalidArgument(f"perturbation must be (kind, strength), got {perturbation!r}.")
    kind, strength = perturbation
    model, shape = agent.model, agent.model.observation
    pairs = angle_pairs(agent.task) if kind == "rotation" and agent.pixels is None else None
    mean, deviation = (cast(Tensor, getattr(model, name)).cpu() for name in ("mean", "deviation"))
    change = observation_change(kind, strength, shape, pairs=pairs, mean=mean, deviation=deviation)
    # Nothing, not even rounding, changes at strength zero.
    return None if float(strength) == 0.0 else change
