"""The losses of actor and critic have the gradients that they should, and of nothing else."""

from dataclasses import replace

import pytest
import torch

from sdewm.worldmodel.agent.actor import Actor
from sdewm.worldmodel.agent.behaviour import behaviour, spread_of
from sdewm.worldmodel.agent.critic import Critic
from sdewm.worldmodel.rssm import RSSM

from .conftest import FEW, SMALL

# Returns are far below this spread, so that what they are divided by does not depend on the policy.
FLAT = replace(FEW, least_spread=50.0, entropy=0.02)


# Of a model that predicts ends the weights of actions are constants, and no part of the gradient.
ENDLESS = replace(SMALL, continues=False)


@pytest.fixture
def parts():
    model = RSSM(ENDLESS, seed=1).double()
    size = model.hidden + model.latent
    actor, critic = Actor(size, 1, width=8, seed=2).double(), Critic(size, width=8, unit=3.0, seed=3).double()
    with torch.no_grad():
        # Values that are zero everywhere would hide their gradient.
        critic.layers[-1].weight.normal_(generator=torch.Generator().manual_seed(4))
    starts = torch.randn(8, size, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return model, actor, critic, critic.follower(), starts


def difference(parts, settings, direction, step=1e-5):
    """Central difference of the actor's loss along a direction of the actor's weights."""
    model, actor, critic, slow, starts = parts
    values = []
    for sign in (1.0, -1.0):
        with torch.no_grad():
            for p, d in zip(actor.parameters(), direction, strict=True):
                p.add_(sign * step * d)
            values.append(float(behaviour(model, actor, critic, slow, starts, settings, seed=7).actor))
            for p, d in zip(actor.parameters(), direction, strict=True):
                p.sub_(sign * step * d)
    return (values[0] - values[1]) / (2.0 * step)


def test_the_actors_gradient_is_that_of_finite_differences(parts):
    model, actor, critic, slow, starts = parts
    own = list(actor.parameters())
    found = torch.autograd.grad(behaviour(model, actor, critic, slow, starts, FLAT, seed=7).actor, own)
    source = torch.Generator().manual_seed(8)
    for _ in range(4):
        direction = [torch.randn(p.shape, generator=source, dtype=torch.float64) for p in own]
        exact = difference(parts, FLAT, direction)
        assert sum(float((g * d).sum()) for g, d in zip(found, direction, strict=True)) == pytest.approx(
            exact, rel=1e-5
        )
    # Negative control: without the entropy the gradient is another, and the comparison sees it.
    bare = replace(FLAT, entropy=0.0)
    assert difference(parts, bare, direction) != pytest.approx(exact, rel=1e-3)


def test_returns_are_divided_by_their_spread_as_a_constant(parts):
    model, actor, critic, slow, starts = parts
    own = list(actor.parameters())

    def gradient(settings):
        loss = behaviour(model, actor, critic, slow, starts, replace(settings, entropy=0.0), seed=7)
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss.actor, own)]), float(loss.spread)

    flat, spread = gradient(FLAT)
    sharp, _ = gradient(replace(FLAT, least_spread=1e-6))
    torch.testing.assert_close(sharp * spread, flat * FLAT.least_spread * FLAT.action_repeat)


def test_the_spread_is_that_of_percentiles_and_is_averaged(parts):
    returns = torch.arange(101.0, dtype=torch.float64)
    assert float(spread_of(returns, 5.0)) == pytest.approx(90.0)
    model, actor, critic, slow, starts = parts
    first = behaviour(model, actor, critic, slow, starts, FLAT, seed=7).spread
    given = torch.tensor(3.0, dtype=torch.float64)
    later = behaviour(model, actor, critic, slow, starts, FLAT, seed=7, spread=given).spread
    kept = FLAT.spread_kept
    assert float(later) == pytest.approx(kept * 3.0 + (1.0 - kept) * float(first))


def test_the_critics_loss_moves_the_critic_alone(parts):
    model, actor, critic, slow, starts = parts
    result = behaviour(model, actor, critic, slow, starts, FLAT, seed=7)
    result.critic.backward()
    assert all(p.grad is not None for p in critic.parameters())
    assert all(p.grad is None for net in (model, actor, slow) for p in net.parameters())


def test_actions_after_an_end_count_for_nothing():
    model = RSSM(SMALL, seed=1)
    size = model.hidden + model.latent
    actor, critic = Actor(size, 1, width=8, seed=2), Critic(size, width=8, seed=3)
    starts = torch.randn(8, size, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        model.continue_head[-1].weight.zero_()
        model.continue_head[-1].bias.fill_(-100.0)
    ended = behaviour(model, actor, critic, critic.follower(), starts, FLAT, seed=7)
    one = behaviour(model, actor, critic, critic.follower(), starts, replace(FLAT, horizon=1), seed=7)
    # Of the horizon only the first action is alive.
    torch.testing.assert_close(ended.actor, one.actor / FLAT.horizon, rtol=1e-4, atol=0.0)


def test_gradient_steps_raise_the_imagined_return(parts):
    model, actor, critic, slow, starts = parts
    settings = replace(FLAT, entropy=0.0)
    optimiser = torch.optim.Adam(actor.parameters(), lr=1e-2)
    before = behaviour(model, actor, critic, slow, starts, settings, seed=7).returns
    for _ in range(30):
        loss = behaviour(model, actor, critic, slow, starts, settings, seed=7).actor
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert behaviour(model, actor, critic, slow, starts, settings, seed=7).returns > before
