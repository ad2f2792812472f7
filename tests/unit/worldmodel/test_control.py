"""Collected episodes depend on their seed alone."""

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from sdewm.exceptions import InvalidArgument, MissingExtra, NumericalFailure, Refused
from sdewm.worldmodel import control
from sdewm.worldmodel.control import TASKS, collect, smooth_actions
from sdewm.worldmodel.physics import FACTORS

RECORDS = Path(__file__).parents[3] / "analysis" / "records" / "neural_sde"


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
    assert torch.equal(five.rewards[:3], three.rewards)


@pytest.mark.control
def test_episodes_and_seeds_differ(three):
    assert len({tuple(row.tolist()) for row in three.observations[:, 0]}) == 3
    other = collect(episodes=1, steps=6, seed=6)
    assert not torch.equal(other.observations[0], three.observations[0])


@pytest.mark.slow
@pytest.mark.control
def test_the_shipped_models_were_trained_on_these_episodes():
    pytest.importorskip("dm_control")
    record = json.loads((RECORDS / "seed0.json").read_text())
    for name in ("dm_control", "mujoco", "numpy"):
        if version(name) != record["versions"][name]:
            pytest.skip(f"{name} is another version than the record's")
    training = record["training"]
    data = collect(record["task"], **{name: training[name] for name in ("episodes", "steps", "seed")})
    parts = (data.observations, data.actions)
    assert hashlib.sha256(b"".join(p.numpy().tobytes() for p in parts)).hexdigest() == training["sha256"]


@pytest.mark.control
@pytest.mark.parametrize("task", TASKS)
def test_numbers_are_those_of_the_environments_own_step(task):
    pytest.importorskip("dm_control")
    ours = collect(task, episodes=2, steps=12, seed=5)
    from dm_control import suite

    start = np.random.RandomState(0)
    start.set_state(dict(np.random.MT19937(np.random.SeedSequence(5, spawn_key=(1,)).spawn(2)[0]).state))
    domain, _, name = task.partition("-")
    environment = suite.load(domain, name, task_kwargs={"random": start})
    environment.reset()
    rewards = []
    for n, action in enumerate(ours.actions[1].double().numpy()):
        steps = [environment.step(action) for _ in range(2)]
        flat = np.concatenate([np.ravel(v) for v in steps[-1].observation.values()])
        np.testing.assert_allclose(ours.observations[1, n + 1].numpy(), flat, rtol=1e-4, atol=1e-4)
        rewards.append(sum(step.reward for step in steps))
        assert [step.discount for step in steps] == [1.0, 1.0]
    np.testing.assert_allclose(ours.rewards[1].numpy(), rewards, atol=1e-4)
    assert bool((ours.continues == 1.0).all())
    assert ours.rewards.dtype == ours.continues.dtype == torch.float32
    # Negative control: the body has moved, so that the comparison is one of different numbers.
    assert float((ours.observations[1, -1] - ours.observations[1, 0]).abs().max()) > 0.01


@pytest.mark.control
def test_rewards_are_summed_over_the_action_repeat():
    pytest.importorskip("dm_control")
    # The pole starts upright, where an environment step is worth almost 1.
    for repeat in (1, 3):
        first = collect("cartpole-balance", episodes=4, steps=1, seed=0, action_repeat=repeat).rewards
        assert float(first.min()) > 0.7 * repeat
        assert float(first.max()) <= repeat


@pytest.mark.control
def test_an_end_by_the_tasks_own_rule_is_seen(monkeypatch):
    pytest.importorskip("dm_control")
    task = type(control.load_task("pendulum-swingup", np.random.RandomState(0)).task)
    monkeypatch.setattr(task, "get_termination", lambda _, physics: 0.0 if physics.pole_vertical() > 0.0 else None)
    data = collect(episodes=6, steps=40, seed=2, action_repeat=1)
    assert torch.equal(data.continues, (data.observations[:, 1:, 0] <= 0.0).float())
    assert 0.0 < float(data.continues.mean()) < 1.0
    # One of two environment steps is enough to end.
    held = collect(episodes=6, steps=40, seed=2, action_repeat=2)
    assert bool((held.continues <= (held.observations[:, 1:, 0] <= 0.0).float()).all())


@pytest.mark.control
@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("pendulum-fly", r"such as .*pendulum-swingup.*got 'pendulum-fly'"),
        ("cartpole-swngup", r"such as cartpole-swingup"),
        ("%", r"such as pendulum-swingup, cartpole-swingup.*walker-walk; got '%'"),
        (3, r"got 3"),
    ],
)
def test_an_unknown_task_is_refused(task, message):
    pytest.importorskip("dm_control")
    with pytest.raises(InvalidArgument, match=message):
        collect(task, episodes=1, steps=1, seed=0)


@pytest.mark.control
@pytest.mark.parametrize(("task", "message"), [("lqr-lqr_2_1", "bounds"), ("quadruped-escape", "terrain")])
def test_tasks_that_cannot_be_played_are_refused(task, message):
    pytest.importorskip("dm_control")
    with pytest.raises(Refused, match=message):
        collect(task, episodes=1, steps=1, seed=0)


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
            control.load_task("pendulum-swingup", np.random.RandomState(0))
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


@pytest.mark.parametrize(
    "changes",
    [
        {"episodes": 0},
        {"steps": 0},
        {"seed": -1},
        {"action_repeat": 0},
        {"pixels": 7},
        {"pixels": 513},
        {"pixels": (32, 32, 3)},
        {"pixels": 32.0},
        {"physics": {"colour": 2.0}},
        {"physics": "mass"},
        {"physics": {"mass": 0.0}},
        {"physics": {"gravity": -1.0}},
        {"physics": {"gear": float("nan")}},
    ],
)
def test_arguments_are_checked(changes):
    with pytest.raises(InvalidArgument, match=next(iter(changes))):
        collect(**{"episodes": 1, "steps": 1, "seed": 0, **changes})


@pytest.mark.control
def test_factors_of_one_leave_every_bit_alone():
    pytest.importorskip("dm_control")
    plain = collect("walker-walk", episodes=2, steps=10, seed=3)
    same = collect("walker-walk", episodes=2, steps=10, seed=3, physics=dict.fromkeys(FACTORS, 1.0))
    assert torch.equal(plain.observations, same.observations)
    assert torch.equal(plain.rewards, same.rewards)


@pytest.mark.slow
@pytest.mark.control
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_changes_what_happens_or_is_refused(task, name):
    pytest.importorskip("dm_control")
    if (name == "friction" and task != "walker-walk") or (task, name) == ("reacher-easy", "gravity"):
        with pytest.raises(Refused, match=f"no {name}"):
            collect(task, episodes=1, steps=1, seed=3, physics={name: 1.5})
        return
    plain = collect(task, episodes=2, steps=50, seed=3)
    changed = collect(task, episodes=2, steps=50, seed=3, physics={name: 1.5})
    assert torch.equal(plain.actions, changed.actions)
    assert torch.equal(plain.observations[:, 0], changed.observations[:, 0])
    assert float((plain.observations - changed.observations).abs().max()) > 1e-4
    # The change was of that call alone.
    assert torch.equal(collect(task, episodes=2, steps=50, seed=3).observations, plain.observations)


def acceleration_weights(factors):
    """Weights of sin θ, ω and a in ω', fitted to finite differences of episodes of a pendulum."""
    data = collect(episodes=4, steps=60, seed=1, action_repeat=1, physics=factors)
    o, a = data.observations.double(), data.actions.double()
    columns = torch.cat((o[:, :-1, 1:], a), dim=-1).reshape(-1, 3)
    change = (o[:, 1:, 2] - o[:, :-1, 2]).reshape(-1, 1)
    return torch.linalg.lstsq(columns, change).solution[:, 0]


@pytest.mark.control
def test_a_changed_pendulum_obeys_its_equation():
    # I ω' = m g l sin θ - d ω + k a, and I grows with m.
    pytest.importorskip("dm_control")
    gravity, mass, damping, gear = 1.3, 1.7, 2.0, 0.8
    changed = acceleration_weights({"gravity": gravity, "mass": mass, "damping": damping, "gear": gear})
    expected = torch.tensor([gravity, damping / mass, gear / mass], dtype=torch.float64)
    torch.testing.assert_close(changed / acceleration_weights(None), expected, rtol=0.02, atol=0.0)


@pytest.mark.control
@pytest.mark.parametrize("task", ["pendulum-swingup", "cartpole-swingup", "reacher-easy"])
def test_mass_damping_and_gear_together_change_nothing(task, monkeypatch):
    # Every term of the equation of motion is then multiplied by the same number, gravity's with the mass.
    pytest.importorskip("dm_control")
    factors = {"mass": 2.0, "damping": 2.0, "gear": 2.0}
    plain = collect(task, episodes=2, steps=30, seed=3).observations
    torch.testing.assert_close(
        collect(task, episodes=2, steps=30, seed=3, physics=factors).observations, plain, rtol=1e-5, atol=1e-5
    )
    # Negative control: inertia that does not go with the mass.
    monkeypatch.setitem(FACTORS, "mass", ("body_mass",))
    wrong = collect(task, episodes=2, steps=30, seed=3, physics=factors).observations
    assert float((wrong - plain).abs().max()) > 1e-3


@pytest.mark.control
def test_a_simulation_that_diverges_is_reported():
    pytest.importorskip("dm_control")
    with pytest.raises(NumericalFailure, match="diverged in episode 0"):
        collect("walker-walk", episodes=1, steps=50, seed=3, physics={"gear": 1e9})


@pytest.mark.control
def test_the_callers_factors_are_not_changed():
    pytest.importorskip("dm_control")
    factors = {"mass": 2}
    collect(episodes=1, steps=1, seed=0, physics=factors)
    assert factors == {"mass": 2}
