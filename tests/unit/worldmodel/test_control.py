"""Collected episodes depend on their seed alone."""

import sys

import numpy as np
import pytest
import torch

from sdewm.exceptions import InvalidArgument, MissingExtra
from sdewm.worldmodel import control
from sdewm.worldmodel.control import collect, smooth_actions


@pytest.fixture(scope="module")
def three():
    pytest.importorskip("dm_control")
    return collect(episodes=3, steps=6, seed=5)


@pytest.mark.control
def test_episode_i_is_the_same_for_any_number_of_episodes(three):
    before = np.random.get_state()[1].copy()
    five = collect(episodes=5, steps=6, seed=5)
    assert np.array_equal(np.random.get_state()[1], before)
    assert torch.equal(five.observations[:3], three.observations)
    assert torch.equal(five.actions[:3], three.actions)


@pytest.mark.control
def test_episodes_and_seeds_differ(three):
    assert len({tuple(row.tolist()) for row in three.observations[:, 0]}) == 3
    other = collect(episodes=1, steps=6, seed=6)
    assert not torch.equal(other.observations[0], three.observations[0])


@pytest.mark.control
def test_numbers_are_those_of_the_environments_own_step(three):
    from dm_control import suite

    start = np.random.RandomState(0)
    start.set_state(dict(np.random.MT19937(np.random.SeedSequence(5, spawn_key=(1,)).spawn(2)[0]).state))
    environment = suite.load("pendulum", "swingup", task_kwargs={"random": start})
    environment.reset()
    for n, action in enumerate(three.actions[1].double().numpy()):
        for _ in range(2):
            seen = environment.step(action)
        flat = np.concatenate([np.ravel(v) for v in seen.observation.values()])
        np.testing.assert_allclose(three.observations[1, n + 1].numpy(), flat, atol=1e-5)
    # Negative control: the pendulum has moved, so that the comparison is one of different numbers.
    assert float((three.observations[1, -1] - three.observations[1, 0]).abs().max()) > 0.05


@pytest.mark.control
def test_an_unknown_task_is_refused():
    pytest.importorskip("dm_control")
    with pytest.raises(InvalidArgument, match=r"such as acrobot-swingup.*got 'pendulum-fly'"):
        collect("pendulum-fly", episodes=1, steps=1, seed=0)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dm_control", None)
    with pytest.raises(MissingExtra, match=r"pip install sdewm\[control\]"):
        collect(episodes=1, steps=1, seed=0)


def test_a_chosen_backend_is_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "dm_control", None)
    for chosen, display, expected in (("egl", None, "egl"), (None, ":0", None), (None, None, "disable")):
        for name, value in (("MUJOCO_GL", chosen), ("DISPLAY", display)):
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)
        with pytest.raises(MissingExtra):
            control._load("pendulum-swingup", np.random.RandomState(0))
        assert control.os.environ.get("MUJOCO_GL") == expected


def test_actions_are_smooth_and_within_bounds():
    low, high = np.array([-1.0, 0.0]), np.array([1.0, 3.0])
    episodes = [smooth_actions(np.random.default_rng(i), 200, low, high) for i in range(50)]
    stacked = np.stack(episodes)
    assert stacked.shape == (50, 200, 2)
    assert (stacked >= low).all()
    assert (stacked <= high).all()
    jump, spread = np.diff(stacked, axis=1).std((0, 1)), stacked.std((0, 1))
    # White noise would jump by √2 spreads.
    assert (jump < 0.6 * spread).all()
    assert (spread > 0.2 * (high - low)).all()


@pytest.mark.parametrize("changes", [{"episodes": 0}, {"steps": 0}, {"seed": -1}, {"action_repeat": 0}])
def test_arguments_are_checked(changes):
    with pytest.raises(InvalidArgument, match=next(iter(changes))):
        collect(**{"episodes": 1, "steps": 1, "seed": 0, **changes})
