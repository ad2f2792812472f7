"""An environment's rewards and observations are dm_control's own, and its starts are of the episode alone."""

import numpy as np
import pytest
import torch

from sdewm.exceptions import InvalidArgument, Refused
from sdewm.worldmodel.agent.environment import ControlEnvironment
from sdewm.worldmodel.agent.episode import Played, play_episode
from sdewm.worldmodel.rendering import image_size

from .conftest import TASK

pytestmark = pytest.mark.control


@pytest.fixture(autouse=True)
def _dm_control():
    pytest.importorskip("dm_control")


def played(environment, seed=0, episode=0, actions=6):
    source = np.random.default_rng(1)
    signals = source.uniform(-1.0, 1.0, (actions, environment.action))
    return play_episode(environment, lambda n, o: signals[n], actions, seed=seed, purpose="test", episode=episode)


def test_steps_are_those_of_dm_control():
    from dm_control import suite

    environment = ControlEnvironment(TASK, action_repeat=2)
    mine = played(environment)
    theirs = suite.load("cartpole", "swingup")
    theirs.reset()
    start = environment.reset(seed=0, purpose="test", episode=0)
    own = environment._environment.physics
    with theirs.physics.reset_context():
        theirs.physics.data.qpos[:], theirs.physics.data.qvel[:] = own.data.qpos, own.data.qvel
    assert torch.equal(start, mine.observations[0])
    for n in range(6):
        total = 0.0
        for _ in range(2):
            step = theirs.step(mine.actions[n].double().numpy())
            total += step.reward
        seen = torch.from_numpy(np.concatenate([np.ravel(v) for v in step.observation.values()])).float()
        torch.testing.assert_close(mine.observations[n + 1], seen, rtol=1e-5, atol=1e-6)
        assert float(mine.rewards[n]) == pytest.approx(total, rel=1e-5, abs=1e-7)


def test_starts_are_of_the_key_and_not_of_the_past():
    one, two = ControlEnvironment(TASK), ControlEnvironment(TASK, physics={"mass": 2.0})
    played(one, episode=5)
    first, heavy = played(one, episode=1), played(two, episode=1)
    assert torch.equal(first.observations[0], heavy.observations[0])
    assert not torch.equal(first.observations[-1], heavy.observations[-1])
    starts = [
        one.reset(seed=s, purpose=p, episode=e) for s, p, e in ((0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1))
    ]
    assert len({tuple(start.tolist()) for start in starts}) == 4


def test_actions_are_scaled_to_the_tasks_bounds_and_clipped():
    environment = ControlEnvironment(TASK)
    ends = []
    for size in (1.0, 7.0):
        environment.reset(seed=0, purpose="test", episode=0)
        ends.append(environment.step(np.array([size])).observation)
    assert torch.equal(*ends)


def test_a_return_ends_with_the_episode():
    rewards, continues = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 0.0, 1.0])
    assert Played(torch.zeros(4, 1), torch.zeros(3, 1), rewards, continues).total == 3.0


def test_images_have_the_asked_size():
    pytest.importorskip("mujoco")
    with ControlEnvironment(TASK, pixels=(32, 48)) as environment:
        seen = environment.reset(seed=0, purpose="test", episode=0)
    assert seen.dtype == torch.uint8
    assert tuple(seen.shape) == environment.shape == (3, *image_size((32, 48)))


def test_bad_input():
    with pytest.raises(InvalidArgument, match="task must be"):
        ControlEnvironment("cartpole")
    with pytest.raises(InvalidArgument, match="action_repeat"):
        ControlEnvironment(TASK, action_repeat=0)
    with pytest.raises(Refused, match="friction"):
        ControlEnvironment(TASK, physics={"friction": 2.0})
    environment = ControlEnvironment(TASK)
    with pytest.raises(InvalidArgument, match="call reset"):
        environment.step(np.zeros(1))
    environment.reset(seed=0, purpose="test", episode=0)
    for action in (np.zeros(2), np.array([np.nan])):
        with pytest.raises(InvalidArgument, match="action must be 1 finite numbers"):
            environment.step(action)
