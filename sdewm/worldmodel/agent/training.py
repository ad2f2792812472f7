"""Training an agent: play an episode, learn from all that was played, play the next; to be stopped anywhere."""

import math
import time
from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ...exceptions import InvalidArgument
from ...validation import instance, integer, positive, strings
from ..checkpoint import file_path
from ..control import smooth_actions
from ..injection import Injection
from ..regularise import Penalty
from ..rssm import RSSM, RSSMArchitecture
from ..seeds import derived
from ..train import check_gradients, subnormals_flushed
from ..units import fix_reward_units
from .agent import Agent
from .environment import ControlEnvironment
from .episode import Act, play_episode
from .learner import PLACES, Learner, Losses
from .lock import sole_use
from .replay import Replay
from .settings import AgentSettings
from .state import State, check_alike, read_state, write_state

_PARTS = len(Losses._fields)
# In a file in place of NaN: no loss is as low.
_NONE = -1e30


@final
@dataclass(frozen=True, eq=False)
class TrainedAgent:
    """An agent and how its training went.

    Attributes:
        agent: the agent, with the last weights.
        returns: (episodes,), float64, of each training episode in the order in which they were played, those of the
            prefill first; sums of rewards, with the noise of exploration.
        losses: (episodes, 10), means of `Losses` over the gradient steps after each episode; NaN where there were none.
        settings: how it was trained.
        seconds: processor time, that before a resumption included.
        finished: False where it was stopped before all environment steps were played.
    """

    agent: Agent
    returns: Tensor
    losses: Tensor
    settings: AgentSettings
    seconds: float
    finished: bool

    @property
    def curve(self) -> Tensor:
        """The learning curve, (episodes, 2), float64: environment steps that were played, and the episode's return."""
        played = torch.arange(1, len(self.returns) + 1) * self.settings.episode_steps
        return torch.stack((played.double(), self.returns), dim=1)


def train_agent(
    task: str = "cartpole-swingup",
    settings: AgentSettings | None = None,
    *,
    seed: int,
    architecture: RSSMArchitecture | None = None,
    pixels: int | tuple[int, int] | None = None,
    injection: Injection | None = None,
    places: str | Collection[str] = PLACES,
    penalty: Penalty | None = None,
    checkpoint: str | Path | None = None,
    every: int = 1,
    minutes: float | None = None,
    progress: Callable[[int, float, Losses], None] | None = None,
) -> TrainedAgent:
    """Train an agent of a dm_control task: actor and critic in the imagination of an RSSM that is learnt with them.

    After `prefill` episodes under smooth random actions the agent plays one episode after another, and after each takes
    the gradient steps that are due by `train_ratio`. Every start and every noise is a function of (seed, purpose,
    episode or gradient step), so that an injection or a penalty leaves the rest of the noise as it is.

    With a `checkpoint` all that the next episode depends on, replayed episodes included, is written there, whole or not
    at all. Where the file exists, training goes on from it: on one machine and number of threads, a run that was killed
    and resumed equals one that was not, to the bit.

    Args:
        task: "domain-task" of the dm_control suite.
        settings: how to train; the default is `AgentSettings()`.
        seed: whole number >= 0.
        architecture: of the world model, with rewards=True; by default a small one of Gaussian latents.
        pixels: side, or (height, width), of images to see, multiples of 16; None for the task's own observations.
        injection: an error on the states of the world model, in some of `places`. In whitened units its covariance is
            the running one of the states under filtering.
        places: "model", where the world model learns to filter; "imagination", after every imagined step; "acting",
            after every step of the filter that acts, in training.
        penalty: a Jacobian penalty in the loss of the world model.
        checkpoint: a file, written as safetensors; beside it stays an empty file that keeps others out.
        every: episodes from one writing to the next.
        minutes: of wall time, after which no further episode is begun; at least one gradient step is always taken.
        progress: called after each episode's gradient steps with the number of episodes that were played, the last
            return and the mean losses (NaN where no gradient step was due).

    Raises:
        InvalidArgument: an argument is of another kind or out of range, sizes do not fit the task, the checkpoint is
            damaged, or that of another training, or in use by another one.
        Refused: the task's actions have no bounds, or it makes a new terrain for each episode.
        MissingExtra: dm_control is not installed, or images are asked for and no OpenGL library works.
        NumericalFailure: a loss, a gradient, a weight or a state is not finite; the last checkpoint is kept.

    Warning:
        Equal to the bit on one kind of machine, number of threads and version of MuJoCo only. That a return is good is
        not checked: look at it with `play`, on other episodes.

    Source: Hafner et al., arXiv:1912.01603 and arXiv:2301.04104.

    Example:
        >>> trained = train_agent("cartpole-swingup", seed=1000, checkpoint="agent.safetensors")  # doctest: +SKIP
        >>> play(trained.agent, episodes=10, seed=0).interval()  # doctest: +SKIP
    """
    settings = AgentSettings() if settings is None else instance("settings", settings, AgentSettings)
    seed, every = integer("seed", seed, least=0), integer("every", every, least=1)
    limit = math.inf if minutes is None else 60.0 * positive("minutes", minutes)
    kinds = (("architecture", architecture, RSSMArchitecture), ("injection", injection, Injection))
    for name, value, kind in (*kinds, ("penalty", penalty, Penalty)):
        if value is not None:
            instance(name, value, kind)
    where = tuple(place for place in PLACES if place in strings("places", places))
    if not where or len(where) != len(set(strings("places", places))):
        raise InvalidArgument(f"places must be some of {', '.join(map(repr, PLACES))}, got {places!r}.")
    path = None if checkpoint is None else file_path(checkpoint)
    began = time.monotonic()
    with (
        nullcontext() if path is None else sole_use(path),
        ControlEnvironment(task, pixels=pixels, action_repeat=settings.action_repeat) as environment,
        subnormals_flushed(),
    ):
        made = _architecture(architecture, environment)
        run = _Run(environment, settings, seed, made, injection, where, penalty)
        if path is not None and path.exists():
            run.resume(path, read_state(path, run.configuration()))
        while not run.finished:
            run.play()
            if run.replay.count < settings.prefill:
                continue
            losses = run.learn()
            stop = time.monotonic() - began >= limit
            if path is not None and (run.finished or stop or run.replay.count % every == 0):
                write_state(path, run.state(), run.configuration())
            if progress is not None:
                progress(run.replay.count, float(run.returns[run.replay.count - 1]), losses)
            if stop:
                break
        return run.result()


@final
class _Run:
    """The state of one training, its next episode and the gradient steps after it."""

    def __init__(
        self,
        environment: ControlEnvironment,
        settings: AgentSettings,
        seed: int,
        architecture: RSSMArchitecture,
        injection: Injection | None,
        places: tuple[str, ...],
        penalty: Penalty | None,
    ) -> None:
        self.environment, self.settings, self.seed, self.places = environment, settings, seed, places
        self.replay = Replay(settings.episodes, settings.actions, environment.shape, environment.action)
        model = RSSM(architecture, seed=derived(seed, "agent: model"))
        check_gradients(model)
        self.learner = Learner(model, settings, seed=seed, injection=injection, places=places, penalty=penalty)
        self.returns = torch.zeros(settings.episodes, dtype=torch.float64)
        self.losses = torch.zeros(settings.episodes, _PARTS)
        self.seconds = 0.0

    @property
    def finished(self) -> bool:
        return self.replay.count == self.settings.episodes

    def play(self) -> None:
        """Play the next episode and keep it; take units from the prefill when that is complete."""
        began, i, settings = time.process_time(), self.replay.count, self.settings
        played = play_episode(
            self.environment, self._act(i), settings.actions, seed=self.seed, purpose="training", episode=i
        )
        self.replay.add(*played)
        self.returns[i] = played.total
        if self.replay.count == settings.prefill:
            model = self.learner.model
            model.fit_units(self.replay.episodes())
            # Random actions may earn nothing; what an environment step earns at most is known.
            fix_reward_units(model, 0.0, settings.action_repeat)
        self.seconds += time.process_time() - began

    def learn(self) -> Losses:
        """Take the gradient steps that are due."""
        began, settings, learner = time.process_time(), self.settings, self.learner
        due = settings.updates_after(self.replay.count)
        # One at least, so that there is an agent that learnt something, and units for what is injected.
        due = max(due, learner.step + (self.replay.count == settings.prefill))
        several = []
        while learner.step < due:
            windows = self.replay.windows(settings.batch, settings.length, seed=self.seed, draw=learner.step)
            several.append(torch.stack(learner.update(windows)))
        learner.check_weights()
        mean = torch.stack(several).double().mean(0).float() if several else torch.full((_PARTS,), math.nan)
        self.losses[self.replay.count - 1] = mean
        self.seconds += time.process_time() - began
        return Losses(*mean)

    def configuration(self) -> dict[str, Any]:
        """What the training is a function of, as plain JSON values."""
        learner, environment = self.learner, self.environment
        return {
            "task": environment.task,
            "pixels": environment.pixels,
            "settings": asdict(self.settings),
            "architecture": asdict(learner.model.architecture),
            "injection": None if learner.injection is None else asdict(learner.injection),
            "places": None if learner.injection is None else self.places,
            "penalty": None if learner.penalty is None else asdict(learner.penalty),
            "seed": self.seed,
        }

    def state(self) -> State:
        """Everything that the next episode depends on."""
        count = self.replay.count
        # NaN marks episodes without a gradient step; a file holds finite numbers.
        losses = {"losses": self.losses[:count].nan_to_num(nan=_NONE), "returns": self.returns[:count]}
        played = {f"replay/{name}": part for name, part in self.replay.parts.items()}
        return State({**self.learner.tensors(), **played, **losses}, self.learner.step, self.seconds)

    def resume(self, path: Path, saved: State) -> None:
        """Go on from there.

        Raises:
            InvalidArgument: the tensors are not those of the training.
        """
        found, count = saved.tensors, len(saved.tensors.get("returns", ()))
        if not self.settings.prefill <= count <= self.settings.episodes:
            raise InvalidArgument(f"{path} holds {count} episodes, which this training never wrote: remove the file.")
        self.replay.count = count
        wanted = {**self.state().tensors, **self.learner.averages_like()}
        check_alike(path, wanted, found)
        for name, part in self.replay.parts.items():
            part.copy_(found[f"replay/{name}"])
        self.returns[:count] = found["returns"]
        self.losses[:count] = torch.where(found["losses"] == _NONE, math.nan, found["losses"])
        self.learner.take(found, saved.step)
        self.seconds = saved.seconds

    def result(self) -> TrainedAgent:
        count = self.replay.count
        losses = self.losses[:count].clone()
        losses[: self.settings.prefill - 1] = math.nan
        return TrainedAgent(
            self._agent(), self.returns[:count].clone(), losses, self.settings, self.seconds, self.finished
        )

    def _agent(self) -> Agent:
        learner, environment, settings = self.learner, self.environment, self.settings
        assert learner.covariance is not None
        return Agent(
            learner.model,
            learner.actor,
            environment.task,
            settings.action_repeat,
            settings.episode_steps,
            environment.pixels,
            self.seed,
            learner.covariance,
        )

    def _act(self, episode: int) -> Act:
        settings, size = self.settings, self.environment.action
        if episode < settings.prefill:
            source = np.random.default_rng(derived(self.seed, "agent: random actions", episode))
            actions = smooth_actions(source, settings.actions, -np.ones(size), np.ones(size))
            return lambda n, seen: actions[n]
        acting = self._agent().begin(
            seed=derived(self.seed, "agent: acting"),
            episode=episode,
            greedy=False,
            exploration=settings.exploration,
            pushed=self.learner.pushed("acting"),
        )
        return lambda n, seen: acting.act(seen)


def _architecture(asked: RSSMArchitecture | None, environment: ControlEnvironment) -> RSSMArchitecture:
    shape, action = environment.shape, environment.action
    if asked is None:
        return RSSMArchitecture(shape, action, rewards=True)
    if (asked.shape, asked.action) != (shape, action):
        raise InvalidArgument(
            f"architecture must have the observation {shape} and the action {action} of {environment.task!r}, got "
            f"{asked.shape} and {asked.action}."
        )
    if not asked.rewards:
        raise InvalidArgument("architecture must have rewards=True: an agent imagines what it earns.")
    return asked
