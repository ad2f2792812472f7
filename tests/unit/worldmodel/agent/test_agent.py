"""An agent filters online as its model filters windows, and refuses what it was not made for."""

from types import SimpleNamespace

import pytest
import torch

from sdewm.exceptions import InvalidArgument, NumericalFailure
from sdewm.worldmodel.agent.actor import Actor
from sdewm.worldmodel.injection import Injection

from .conftest import TASK, small_agent


def seen(steps=7):
    return torch.randn(steps, 5, generator=torch.Generator().manual_seed(2))


def acted(acting, observations):
    actions, states = [], []
    for o in observations:
        actions.append(torch.from_numpy(acting.act(o)).float())
        states.append(acting.state.clone())
    return torch.stack(actions), torch.stack(states)


def test_acting_filters_as_the_model_does():
    agent, observations = small_agent(), seen()
    actions, states = acted(agent.begin(seed=0), observations)
    with torch.no_grad():
        whole = agent.model.filtered(observations[:, None], actions[:, None], seed=0, noise=False).states[:, 0]
        policy = agent.actor(whole)
    torch.testing.assert_close(states, whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(actions, policy.mean.tanh(), rtol=1e-4, atol=1e-5)
    # Negative control: under other actions the filter is elsewhere.
    with torch.no_grad():
        other = agent.model.filtered(observations[:, None], -actions[:, None], seed=0, noise=False).states[:, 0]
    assert not torch.allclose(other, states, atol=1e-4)


def test_noise_is_of_the_seed_and_the_episode():
    agent = small_agent()

    def run(**arguments):
        return acted(agent.begin(greedy=False, **arguments), seen())[0]

    assert torch.equal(run(seed=0, episode=1), run(seed=0, episode=1))
    assert not torch.equal(run(seed=0, episode=1), run(seed=0, episode=2))
    assert not torch.equal(run(seed=0, episode=1), run(seed=1, episode=1))
    explored = run(seed=0, episode=1, exploration=0.3)
    assert float(explored.abs().max()) <= 1.0
    assert not torch.equal(explored, run(seed=0, episode=1))


@pytest.mark.parametrize("kind", ["zero drift", "drift"])
def test_a_pushed_error_enters_the_filtered_state_alone(kind):
    agent = small_agent()
    pushed = Injection("z", kind, "raw", 0.5).pushed(agent.model, seed=0)
    (_, plain), (_, moved) = (acted(agent.begin(seed=0, greedy=False, pushed=p), seen(1)) for p in (None, pushed))
    hidden = agent.model.hidden
    assert torch.equal(plain[0, :hidden], moved[0, :hidden])
    assert not torch.allclose(plain[0, hidden:], moved[0, hidden:], atol=1e-2)
    none = Injection("z", kind, "raw", 0.0).pushed(agent.model, seed=0)
    assert torch.equal(
        acted(agent.begin(seed=0, greedy=False, pushed=none), seen())[1],
        acted(agent.begin(seed=0, greedy=False), seen())[1],
    )


def test_bad_parts_and_observations():
    agent = small_agent()
    with pytest.raises(InvalidArgument, match="observations must have shape"):
        agent.begin(seed=0).act(torch.zeros(4))
    with pytest.raises(NumericalFailure, match="not finite"):
        agent.begin(seed=0).act(torch.full((5,), float("nan")))
    for changes, message in (
        ({"actor": Actor(9, 2)}, r"actor must take states .* \(9, 1\), got \(9, 2\)"),
        ({"pixels": (32, 32)}, "the model sees, states, got images of 32 x 32"),
        ({"covariance": torch.eye(3)}, r"covariance must have shape \(9, 9\)"),
        ({"action_repeat": 0}, "action_repeat"),
        ({"model": None}, "model must be a RSSM"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            small_agent(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "cartpole-balance"}, "trained for the task 'cartpole-swingup', got 'cartpole-balance'"),
        ({"pixels": (32, 32)}, "'states', got 'images of 32 x 32'"),
        ({"action": 2}, "size of actions 1, got 2"),
        ({"shape": (4,)}, "shape of observations"),
        ({"action_repeat": 4}, "action_repeat 2, got 4"),
    ],
)
def test_an_environment_that_does_not_fit(changes, message):
    own = {"task": TASK, "pixels": None, "action": 1, "shape": (5,), "action_repeat": 2}
    small_agent().check(SimpleNamespace(**own))
    with pytest.raises(InvalidArgument, match=message):
        small_agent().check(SimpleNamespace(**{**own, **changes}))
