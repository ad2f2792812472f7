"""Episodes of dm_control tasks, from state observations (no GL library is needed) or from images."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..exceptions import InvalidArgument, MissingExtra, NumericalFailure, Refused
from ..validation import integer
from .episodes import Episodes
from .physics import checked_factors, scale_physics
from .rendering import ADVICE, Renderer, image_size

Array = NDArray[np.float64]

TASKS = ("pendulum-swingup", "cartpole-swingup", "cartpole-balance", "reacher-easy", "walker-walk")
_UNBOUNDED = 1e9


def collect(
    task: str = "pendulum-swingup",
    *,
    episodes: int,
    steps: int,
    seed: int,
    action_repeat: int = 2,
    pixels: int | tuple[int, int] | None = None,
    physics: Mapping[str, float] | None = None,
) -> Episodes:
    """Episodes under smooth random actions that do not look at the state.

    Each episode mixes a first-order autoregressive noise with a sine, both of random time scale and of a random common
    amplitude, clipped to the bounds of the actions. Actions that ignore the state carry no information about its
    future, so that an open-loop prediction that is given them remains a prediction.

    Rewards are summed over the environment steps of an action. `continues` is 0 where the task's own rule ends the
    episode in one of them; the episode is played on all the same, and a time limit of the task is ignored.

    Args:
        task: "domain-task" of the dm_control suite; those in `TASKS` are tested.
        episodes, steps: how many, and how many actions each.
        seed: whole number >= 0; episode i depends on (seed, i) and `steps` alone, not on how many others there are, and
            starts and actions depend neither on `pixels` nor on `physics`.
        action_repeat: environment steps for which an action is held.
        pixels: side, or (height, width), of image observations (3, height, width) from the task's first camera; `None`
            for the task's own observations, flat, in the order and units in which it gives them.
        physics: factors of "mass" (with inertia), "damping", "gravity", "friction" or "gear" of this collection.

    Raises:
        InvalidArgument: an argument is out of range, or the task is unknown.
        Refused: the task's actions have no bounds, or it makes a new terrain for each episode, or a factor of physics
            would change nothing.
        MissingExtra: dm_control is not installed, or images are asked for and no OpenGL library works.
        NumericalFailure: the simulation diverged, as it may with changed physics.

    Source: the tasks are those of Tassa et al., DeepMind Control Suite, arXiv:1801.00690; the actions are our own.

    Warning:
        Numbers are reproducible on one version of dm_control and MuJoCo, images also on one version of the OpenGL
        library.
    """
    episodes, steps = integer("episodes", episodes, least=1), integer("steps", steps, least=1)
    seed, action_repeat = integer("seed", seed, least=0), integer("action_repeat", action_repeat, least=1)
    size, factors = None if pixels is None else image_size(pixels), checked_factors(physics)
    start = np.random.RandomState(0)
    environment, low, high = open_task(task, start, factors)
    with ExitStack() as stack:
        if size is None:
            see: Callable[[], NDArray[Any]] = partial(flat_observation, environment)
        else:
            see = stack.enter_context(Renderer(environment.physics, *size)).image
        for i in range(episodes):
            of_start, of_actions = np.random.SeedSequence(seed, spawn_key=(i,)).spawn(2)
            # The task draws the start from the generator that it was given: set anew, no episode depends on another.
            start.set_state(dict(np.random.MT19937(of_start).state))
            actions = smooth_actions(np.random.default_rng(of_actions), steps, low, high)
            seen, rewards, continues = _play(environment, actions, action_repeat, see, episode=i)
            if i == 0:
                observed = torch.empty(episodes, *seen.shape, dtype=torch.float32 if size is None else torch.uint8)
                done = torch.empty(episodes, *actions.shape)
                rewarded, continued = torch.empty(episodes, steps), torch.empty(episodes, steps)
            for whole, part in ((observed, seen), (done, actions), (rewarded, rewards), (continued, continues)):
                whole[i] = torch.from_numpy(part)
    return Episodes(observed, done, rewarded, continued)


def smooth_actions(rng: np.random.Generator, steps: int, low: Array, high: Array) -> Array:
    """One episode's actions (steps, action) between `low` and `high`, as `collect` draws them."""
    size = len(low)
    memory = np.exp(-1.0 / rng.uniform(2.0, 30.0))
    shocks = rng.standard_normal((steps, size))
    noise = np.empty((steps, size))
    value = rng.standard_normal(size)
    for n in range(steps):
        noise[n] = value
        value = memory * value + np.sqrt(1.0 - memory**2) * shocks[n]
    period, phase = rng.uniform(15.0, 80.0, size), rng.uniform(0.0, 2.0 * np.pi, size)
    share, amplitude = rng.uniform(0.0, 1.0), rng.uniform(0.3, 2.0)
    wave = 1.5 * np.sin(2.0 * np.pi * np.arange(steps)[:, None] / period + phase)
    signal = np.clip(amplitude * (share * noise + (1.0 - share) * wave), -1.0, 1.0)
    return np.asarray(low + 0.5 * (signal + 1.0) * (high - low))


def _play(
    environment: Any, actions: Array, action_repeat: int, see: Callable[[], NDArray[Any]], *, episode: int
) -> tuple[NDArray[Any], Array, Array]:
    rewards, continues = np.zeros(len(actions)), np.ones(len(actions))
    with divergence_named(episode):
        environment.reset()
        observations = [see()]
        for n, action in enumerate(actions):
            for reward, goes_on in held(environment, action, action_repeat):
                rewards[n] += reward
                continues[n] *= goes_on
            observations.append(see())
    return np.stack(observations), rewards, continues


def held(environment: Any, action: Array, repeat: int) -> Iterator[tuple[float, bool]]:
    """Hold an action for some environment steps: the reward of each, and whether the task's rule lets it go on.

    The environment's own `step` also copies, and starts anew where an episode ends; here it is played on.
    """
    # Task and physics are documented parts of an environment.
    task, physics = environment.task, environment.physics
    substeps = round(environment.control_timestep() / physics.timestep())
    for _ in range(repeat):
        task.before_step(action, physics)
        physics.step(substeps)
        task.after_step(physics)
        yield float(task.get_reward(physics)), task.get_termination(physics) is None


@contextmanager
def divergence_named(episode: int) -> Iterator[None]:
    """Inside, a simulation that diverges is a failure of this episode.

    Raises:
        NumericalFailure: it diverged.
    """
    from dm_control.rl.control import PhysicsError

    try:
        yield
    except PhysicsError as error:
        raise NumericalFailure(f"the simulation diverged in episode {episode} ({error}).", path=episode) from error


def flat_observation(environment: Any) -> Array:
    """The task's own observation of the present state, its parts one after another."""
    parts = environment.task.get_observation(environment.physics).values()
    return np.concatenate([np.ravel(np.asarray(part, dtype=np.float64)) for part in parts])


def _bounds(task: str, environment: Any) -> tuple[Array, Array]:
    bounds = environment.action_spec()
    low, high = np.broadcast_to(bounds.minimum, bounds.shape), np.broadcast_to(bounds.maximum, bounds.shape)
    if not bounds.shape[0] or max(np.abs(low).max(), np.abs(high).max()) > _UNBOUNDED:
        raise Refused(f"random actions fill the bounds of a task's actions, and {task!r} has none.")
    return low, high


def open_task(
    task: str, random: np.random.RandomState, factors: Mapping[str, float] | None = None
) -> tuple[Any, Array, Array]:
    """`load_task` with another physics, and the bounds of its actions, low and high, (action,) each.

    Args:
        task: "domain-task" of the dm_control suite.
        random: the starts come from it.
        factors: of the physics, from `checked_factors`.

    Raises:
        InvalidArgument: the task is unknown.
        Refused: its actions have no bounds, or it makes a new terrain for each episode, or a factor of physics would
            change nothing.
        MissingExtra: dm_control cannot be imported.
    """
    environment = load_task(task, random)
    if factors:
        scale_physics(environment.physics, factors)
    low, high = _bounds(task, environment)
    if environment.physics.model.nhfield:
        raise Refused(
            f"{task!r} makes a new terrain for each episode, which needs a renderer of its own; take another task."
        )
    return environment, low, high


def load_task(task: str, random: np.random.RandomState) -> Any:
    """A new dm_control environment of a task that draws its starts from `random`.

    Raises:
        InvalidArgument: the task is unknown.
        MissingExtra: dm_control cannot be imported.
    """
    # Without a display and without a choice, dm_control fails on import; its own renderer is never used here.
    if not os.environ.get("MUJOCO_GL") and not os.environ.get("DISPLAY"):
        os.environ["MUJOCO_GL"] = "disable"
    try:
        from dm_control import suite
    except ImportError as error:
        raise MissingExtra(f"dm_control cannot be imported ({error}); run: pip install sdewm[control]") from error
    except Exception as error:  # PyOpenGL raises AttributeError where the library of a chosen backend is missing.
        raise MissingExtra(
            f"dm_control cannot be imported with MUJOCO_GL={os.environ.get('MUJOCO_GL', '')!r} ({error}); unset it, or "
            f"{ADVICE}"
        ) from error
    known = {f"{domain}-{name}": (domain, name) for domain, name in suite.ALL_TASKS}
    if not isinstance(task, str) or task not in known:
        near = get_close_matches(str(task), known, n=3) or TASKS
        raise InvalidArgument(
            f"task must be 'domain-task' of the dm_control suite, such as {', '.join(near)}; got {task!r}."
        )
    domain, name = known[task]
    return suite.load(domain, name, task_kwargs={"random": random})
