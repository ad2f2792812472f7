"""What an agent earns is paired over perturbations, and a perturbation of strength zero is none."""

import numpy as np
import pytest
import torch

from sdewm.exceptions import InvalidArgument, Refused
from sdewm.worldmodel.agent.evaluate import Returns, play
from sdewm.worldmodel.injection import Injection

from .conftest import small_agent

pytestmark = pytest.mark.control


@pytest.fixture(autouse=True)
def _dm_control():
    pytest.importorskip("dm_control")


@pytest.fixture(scope="module")
def plain():
    pytest.importorskip("dm_control")
    return play(small_agent(), episodes=3, seed=4).values


def test_an_episode_is_of_the_seed_and_its_number_alone(plain):
    assert torch.equal(play(small_agent(), episodes=2, seed=4).values, plain[:2])
    assert not torch.equal(play(small_agent(), episodes=3, seed=5).values, plain)
    assert len(set(plain.tolist())) == 3
    assert bool(((plain >= 0.0) & (plain <= 20.0)).all())
    assert not torch.equal(play(small_agent(), episodes=3, seed=4, greedy=False).values, plain)


@pytest.mark.parametrize(
    ("some", "none"),
    [
        ({"perturbation": ("noise", 1.0)}, {"perturbation": ("noise", 0.0)}),
        ({"perturbation": ("masking", 0.8)}, {"perturbation": ("masking", 0.0)}),
        ({"perturbation": ("rotation", 60.0)}, {"perturbation": ("rotation", 0.0)}),
        ({"physics": {"mass": 3.0}}, {"physics": {"mass": 1.0}}),
        ({"injection": Injection(size=1.0)}, {"injection": Injection(size=0.0)}),
        ({"injection": Injection(kind="drift", unit="raw", size=1.0)}, {"injection": Injection(size=0.0)}),
    ],
)
def test_a_perturbation_changes_returns_and_strength_zero_does_not(plain, some, none):
    assert torch.equal(play(small_agent(), episodes=3, seed=4, **none).values, plain)
    moved = play(small_agent(), episodes=3, seed=4, **some)
    assert not torch.equal(moved.values, plain)
    assert torch.equal(moved.values, play(small_agent(), episodes=3, seed=4, **some).values)


def test_intervals():
    values = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    low, high = Returns(values).interval(0.9)
    assert low < 2.5 < high
    # Student's with three degrees of freedom.
    half = 2.3533634348018264 * np.std(values.numpy(), ddof=1) / 2.0
    assert high - low == pytest.approx(2.0 * half, rel=1e-6)
    gap = Returns(values).less(Returns(values - 1.0))
    assert gap.mean == 1.0
    with pytest.raises(InvalidArgument, match="equally many"):
        Returns(values).less(Returns(values[:2]))
    with pytest.raises(InvalidArgument, match="at least 2"):
        Returns(values[:1]).interval()
    with pytest.raises(InvalidArgument, match="level"):
        Returns(values).interval(1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agent": None}, "agent must be a Agent"),
        ({"task": "cartpole-balance"}, "trained for the task 'cartpole-swingup', got 'cartpole-balance'"),
        ({"task": "walker-walk"}, "trained for the task"),
        ({"episodes": 0}, "episodes"),
        ({"seed": 1.5}, "seed"),
        ({"perturbation": "noise"}, r"perturbation must be \(kind, strength\)"),
        ({"perturbation": ("blur", 1.0)}, "kind must be one of"),
        ({"perturbation": ("masking", 2.0)}, "strength"),
        ({"physics": {"wind": 1.0}}, "physics must map"),
        ({"injection": 1.0}, "injection must be a Injection"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        play(**{"agent": small_agent(), "episodes": 1, "seed": 0, **changes})


def test_physics_that_would_change_nothing():
    with pytest.raises(Refused, match="friction"):
        play(small_agent(), episodes=1, seed=0, physics={"friction": 2.0})
