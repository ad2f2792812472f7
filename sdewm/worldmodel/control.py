"""Episodes of dm_control tasks, from state observations: no renderer, no GL library."""

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..exceptions import InvalidArgument, MissingExtra
from ..validation import integer
from .episodes import Episodes

Array = NDArray[np.float64]


def collect(
    task: str = "pendulum-swingup", *, episodes: int, steps: int, seed: int, action_repeat: int = 2
) -> Episodes:
    """Episodes under smooth random actions that do not look at the state.

    Each episode mixes a first-order autoregressive noise with a sine, both of random time scale and of a random common
    amplitude, clipped to the bounds of the actions. Actions that ignore the state carry no information about its
    future, so that an open-loop prediction that is given them remains a prediction.

    Args:
        task: "domain-task" of the dm_control suite.
        episodes, steps: how many, and how many actions each.
        seed: whole number >= 0; episode i depends on (seed, i) alone, not on how many others there are.
        action_repeat: environment steps for which an action is held.

    Raises:
        InvalidArgument: an argument is out of range, or the task is unknown.
        MissingExtra: dm_control is not installed.

    Warning:
        Numbers are reproducible on one version of dm_control and MuJoCo.
    """
    episodes, steps = integer("episodes", episodes, least=1), integer("steps", steps, least=1)
    seed, action_repeat = integer("seed", seed, least=0), integer("action_repeat", action_repeat, least=1)
    start = np.random.RandomState(0)
    environment = _load(task, start)
    bounds = environment.action_spec()
    low, high = np.broadcast_to(bounds.minimum, bounds.shape), np.broadcast_to(bounds.maximum, bounds.shape)
    seen, done = [], []
    for i in range(episodes):
        of_start, of_actions = np.random.SeedSequence(seed, spawn_key=(i,)).spawn(2)
        # The task draws the start from the generator that it was given: set anew, no episode depends on another.
        start.set_state(dict(np.random.MT19937(of_start).state))
        actions = smooth_actions(np.random.default_rng(of_actions), steps, low, high)
        seen.append(_play(environment, actions, action_repeat))
        done.append(actions)
    return Episodes(
        torch.from_numpy(np.stack(seen).astype(np.float32)), torch.from_numpy(np.stack(done).astype(np.float32))
    )


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


def _play(environment: Any, actions: Array, action_repeat: int) -> Array:
    # The environment's own `step` also computes rewards and copies; task and physics are its documented parts.
    task, physics = environment.task, environment.physics
    substeps = round(environment.control_timestep() / physics.timestep())
    observations = [_flat(environment.reset().observation)]
    for action in actions:
        for _ in range(action_repeat):
            task.before_step(action, physics)
            physics.step(substeps)
            task.after_step(physics)
        observations.append(_flat(task.get_observation(physics)))
    return np.stack(observations)


def _flat(observation: Any) -> Array:
    return np.concatenate([np.ravel(np.asarray(value, dtype=np.float64)) for value in observation.values()])


def _load(task: str, random: np.random.RandomState) -> Any:
    # Without a display and without a choice, dm_control fails on import; no picture is ever drawn here.
    if not os.environ.get("MUJOCO_GL") and not os.environ.get("DISPLAY"):
        os.environ["MUJOCO_GL"] = "disable"
    try:
        from dm_control import suite
    except ImportError as error:
        raise MissingExtra(f"dm_control cannot be imported ({error}); run: pip install sdewm[control]") from error
    domain, _, name = task.partition("-")
    if (domain, name) not in suite.ALL_TASKS:
        known = ", ".join(sorted(f"{d}-{t}" for d, t in suite.BENCHMARKING))
        raise InvalidArgument(f"task must be 'domain-task' of the dm_control suite, such as {known}; got {task!r}.")
    return suite.load(domain, name, task_kwargs={"random": random})
