"""The squashed Gaussian is a law on (-1, 1), and the critic a regression that is followed slowly."""

import pytest
import torch

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.agent.actor import Actor, Policy
from sdewm.worldmodel.agent.critic import Critic


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 0.4), (0.7, 0.9), (-1.0, 0.2)])
def test_the_density_integrates_to_one(mean, deviation):
    u = torch.linspace(mean - 9.0 * deviation, mean + 9.0 * deviation, 20001, dtype=torch.float64)[:, None]
    policy = Policy(torch.full_like(u, mean), torch.full_like(u, deviation))
    normals = (u - mean) / deviation
    density = Actor.log_density(policy, normals).exp()
    action = Actor.action_of(policy, normals)[:, 0]
    assert float(torch.trapezoid(density, action)) == pytest.approx(1.0, abs=1e-5)
    # Negative control: the density before tanh is not one of actions.
    plain = density * (1.0 - action.square())
    assert abs(float(torch.trapezoid(plain, action)) - 1.0) > 0.01


def test_the_density_is_finite_where_actions_are_at_their_bounds():
    policy = Policy(torch.full((1, 1), 5.0), torch.full((1, 1), 1.0))
    normals = torch.full((1, 1), 6.0)
    assert float(Actor.action_of(policy, normals)) == 1.0
    assert bool(torch.isfinite(Actor.log_density(policy, normals)).all())


def test_mean_and_deviation_are_bounded_and_weights_are_of_the_seed():
    actor = Actor(3, 2, width=4, least=0.25, most=0.75, seed=1)
    with torch.no_grad():
        policy = actor(1e4 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0)))
    assert float(policy.mean.abs().max()) <= 5.0
    assert 0.25 <= float(policy.deviation.min()) <= float(policy.deviation.max()) <= 0.75
    assert torch.equal(Actor.action_of(policy, None), policy.mean.tanh())
    again, other = Actor(3, 2, width=4, seed=1), Actor(3, 2, width=4, seed=2)
    assert torch.equal(actor.layers[0].weight, again.layers[0].weight)
    assert not torch.equal(actor.layers[0].weight, other.layers[0].weight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"least": 0.0}, "least"), ({"least": 2.0}, "below most"), ({"width": 0}, "width"), ({"size": 0}, "size")],
)
def test_bad_actors(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        Actor(**{"size": 3, "action": 1, **changes})


def test_the_critics_loss_is_in_units_and_weighted():
    critic = Critic(3, width=4, unit=10.0)
    x, returns = torch.zeros(2, 3), torch.tensor([10.0, 30.0])
    assert torch.equal(critic(x), torch.zeros(2))
    loss = critic.loss(x, returns, torch.tensor([1.0, 0.5])).detach()
    assert float(loss) == pytest.approx(0.5 * (1.0 + 0.5 * 9.0) / 2)
    with pytest.raises(InvalidArgument, match="unit"):
        Critic(3, unit=0.0)


def test_the_slow_critic_follows():
    critic = Critic(3, width=4, seed=1)
    slow = critic.follower()
    with torch.no_grad():
        for p in critic.parameters():
            p.add_(1.0)
    before = slow.layers[0].weight.clone()
    slow.follow(critic, 0.25)
    torch.testing.assert_close(slow.layers[0].weight, before + 0.25)
    assert not any(p.requires_grad for p in slow.parameters())
