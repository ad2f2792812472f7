"""Pairs of columns are cosines and sines, in this order."""

import numpy as np
import pytest
import torch

from sdewm.exceptions import InvalidArgument, Refused
from sdewm.worldmodel.angles import angle_pairs
from sdewm.worldmodel.control import TASKS, collect, flat_observation, load_task
from sdewm.worldmodel.episodes import Episodes
from sdewm.worldmodel.perturbations import perturb_observations

# The hinge that turns the whole planar body.
HINGES = {
    "pendulum-swingup": "hinge",
    "cartpole-swingup": "hinge_1",
    "cartpole-balance": "hinge_1",
    "walker-walk": "rooty",
}
NUMBERS = {"pendulum-swingup": 1, "cartpole-swingup": 1, "cartpole-balance": 1, "walker-walk": 7}

pytestmark = pytest.mark.control


@pytest.fixture(autouse=True)
def _installed():
    pytest.importorskip("dm_control")


@pytest.mark.parametrize("task", HINGES)
def test_pairs_lie_on_the_unit_circle_in_real_data(task):
    pairs = angle_pairs(task)
    assert len(pairs) == NUMBERS[task]
    seen = collect(task, episodes=4, steps=40, seed=8).observations
    for c, s in pairs:
        torch.testing.assert_close(seen[..., c] ** 2 + seen[..., s] ** 2, torch.ones(4, 41), rtol=0.0, atol=1e-6)
    # Negative control: no other two columns do.
    others = [(i, j) for i in range(seen.shape[-1]) for j in range(i) if {(i, j), (j, i)}.isdisjoint(pairs)]
    assert min(float((seen[..., i] ** 2 + seen[..., j] ** 2 - 1.0).abs().max()) for i, j in others) > 0.01


def turned(task, angle):
    """The observation of a task at a random posture whose body is turned by `angle`."""
    environment = load_task(task, np.random.RandomState(0))
    environment.reset()
    physics = environment.physics
    with physics.reset_context():
        physics.data.qpos[:] = np.random.RandomState(3).uniform(-1.0, 1.0, physics.model.nq)
        physics.named.data.qpos[HINGES[task]] += angle
    return torch.from_numpy(flat_observation(environment))


@pytest.mark.parametrize("task", HINGES)
def test_a_rotated_observation_is_that_of_a_turned_body(task):
    degrees, pairs = 25.0, angle_pairs(task)
    seen = Episodes(turned(task, 0.0).expand(1, 2, -1), torch.zeros(1, 1, 1))
    columns = [column for pair in pairs for column in pair]
    expected = turned(task, np.deg2rad(degrees))[columns]
    ours = perturb_observations(seen, "rotation", degrees, seed=0, pairs=pairs).observations[0, 0][columns]
    torch.testing.assert_close(ours, expected, rtol=0.0, atol=1e-12)
    # Negative controls: the other way, and sine first.
    for wrong in ({"strength": -degrees, "pairs": pairs}, {"strength": degrees, "pairs": [p[::-1] for p in pairs]}):
        other = perturb_observations(seen, "rotation", seed=0, **wrong).observations[0, 0][columns]
        assert float((other - expected).abs().max()) > 0.1


def test_sines_that_come_first_are_seen():
    # Acrobot observes the sines of its two links, then the cosines.
    assert angle_pairs("acrobot-swingup") == ((2, 0), (3, 1))


def test_a_task_without_pairs_is_refused():
    assert set(TASKS) - set(HINGES) == {"reacher-easy"}
    with pytest.raises(Refused, match="'reacher-easy' observes no angle"):
        angle_pairs("reacher-easy")
    with pytest.raises(InvalidArgument, match="task must be"):
        angle_pairs("walker-fly")
