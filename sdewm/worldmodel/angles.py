"""Which columns of a task's state observation are the cosine and the sine of one angle."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import Refused
from .control import flat_observation, load_task

_STATES, _TOLERANCE, _TURN = 16, 1e-9, 1e-3


def angle_pairs(task: str) -> tuple[tuple[int, int], ...]:
    """Columns (cosine, sine) of each angle that a task observes so.

    Found by experiment, on random states: two columns are a pair if they vary and o_i² + o_j² = 1 in all of them. Which
    is the sine, a small turn of each hinge in turn decides: the angle atan2(o_j, o_i) grows where the body turns
    positively about the positive axis of the world that is nearest to the hinge's. So in a planar task one number that
    is added to all angles turns the whole body.

    Args:
        task: "domain-task" of the dm_control suite.

    Raises:
        InvalidArgument: the task is unknown.
        Refused: it observes no angle by its cosine and sine.
        MissingExtra: dm_control is not installed.
    """
    environment, random = load_task(task, np.random.RandomState(0)), np.random.RandomState(1)
    environment.reset()
    model, data = environment.physics.model.ptr, environment.physics.data.ptr
    start = np.array(data.qpos)
    states = [start + random.uniform(-np.pi, np.pi, model.nq) for _ in range(_STATES)]
    seen = np.stack([_observed(environment, state) for state in states])
    varies = np.flatnonzero(np.ptp(seen, axis=0) > 1e-3)
    found = [
        (int(i), int(j))
        for i in varies
        for j in varies
        if i < j and np.abs(seen[:, i] ** 2 + seen[:, j] ** 2 - 1.0).max() < _TOLERANCE
    ]
    if not found or len({column for pair in found for column in pair}) < 2 * len(found):
        raise Refused(
            f"{task!r} observes no angle by its cosine and sine, so its state observations cannot be rotated."
        )
    return tuple(pair if _grows(environment, states[0], pair) else pair[::-1] for pair in found)


def _observed(environment: Any, state: NDArray[np.float64]) -> NDArray[np.float64]:
    import mujoco

    environment.physics.data.qpos[:] = state
    mujoco.mj_forward(environment.physics.model.ptr, environment.physics.data.ptr)
    return flat_observation(environment)


def _grows(environment: Any, state: NDArray[np.float64], pair: tuple[int, int]) -> bool:
    model, data = environment.physics.model.ptr, environment.physics.data.ptr
    before = _observed(environment, state)
    axes = np.array(data.xaxis)
    for joint in range(model.njnt):
        turned = state.copy()
        turned[model.jnt_qposadr[joint]] += _TURN
        after = _observed(environment, turned)
        (c, s), (c_after, s_after) = before[list(pair)], after[list(pair)]
        change = c * s_after - s * c_after  # the sine of how far the angle went
        if abs(change) > 0.1 * _TURN:
            axis = axes[joint]
            return bool(change * axis[np.abs(axis).argmax()] > 0.0)
    return True
