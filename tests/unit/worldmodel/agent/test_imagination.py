"""Imagined rollouts are the model's, with noise of their own, and their returns those of the textbook."""

import pytest
import torch

from sdewm.worldmodel.agent.actor import Actor
from sdewm.worldmodel.agent.imagination import imagine, lambda_returns, survival
from sdewm.worldmodel.injection import Injection
from sdewm.worldmodel.noise import window_normals
from sdewm.worldmodel.rssm import RSSM

from .conftest import SMALL

H, N = 6, 3


def numbers(seed=0):
    source = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.rand(*shape, generator=source, dtype=torch.float64)

    return draw(H, N), draw(H, N), draw(H + 1, N)


def mixture(rewards, continuing, values, discount, trace):
    """The λ-return of its definition: a mixture of n-step returns, each summed term by term."""
    result = torch.zeros_like(rewards)
    for t in range(H):
        several = []
        for steps in range(1, H - t + 1):
            total, kept = torch.zeros(N, dtype=torch.float64), torch.ones(N, dtype=torch.float64)
            for k in range(steps):
                total = total + kept * rewards[t + k]
                kept = kept * discount * continuing[t + k]
            several.append(total + kept * values[t + steps])
        last = len(several) - 1
        result[t] = sum((1.0 - trace) * trace**k * each for k, each in enumerate(several[:-1]))
        result[t] += trace**last * several[-1]
    return result


@pytest.mark.parametrize("trace", [0.0, 0.7, 1.0])
def test_lambda_returns_are_the_mixture_of_n_step_returns(trace):
    rewards, continuing, values = numbers()
    found = lambda_returns(rewards, continuing, values, discount=0.9, trace=trace)
    torch.testing.assert_close(found, mixture(rewards, continuing, values, 0.9, trace), rtol=1e-12, atol=1e-12)


def test_lambda_returns_of_constant_rewards_are_a_geometric_series():
    rewards = torch.full((H, 1), 2.0, dtype=torch.float64)
    exact = 2.0 / (1.0 - 0.9)
    ones, values = torch.ones_like(rewards), torch.full((H + 1, 1), exact, dtype=torch.float64)
    found = lambda_returns(rewards, ones, values, discount=0.9, trace=0.95)
    torch.testing.assert_close(found, torch.full_like(found, exact), rtol=1e-12, atol=0.0)


def test_an_end_cuts_a_return_and_a_wrong_discount_is_seen():
    rewards, continuing, values = numbers()
    continuing[2] = 0.0
    found = lambda_returns(rewards, continuing, values, discount=0.9, trace=0.95)
    assert torch.equal(found[2], rewards[2])
    other = values.clone()
    other[3:] += 10.0
    assert torch.equal(found[:3], lambda_returns(rewards, continuing, other, discount=0.9, trace=0.95)[:3])
    # Negative control: without the end, what comes later is worth something; and the check sees a percent of γ.
    assert not torch.equal(found[3:], lambda_returns(rewards, continuing, other, discount=0.9, trace=0.95)[3:])
    wrong = mixture(rewards, continuing, values, 0.909, 0.95)
    assert float((found - wrong).abs().max()) > 1e-3


def test_survival_is_the_probability_of_no_end_before_an_action():
    continuing = torch.tensor([[0.5], [0.4], [0.1]], requires_grad=True)
    found = survival(continuing)
    torch.testing.assert_close(found, torch.tensor([[1.0], [0.5], [0.2]]))
    assert not found.requires_grad


@pytest.fixture
def parts():
    model = RSSM(SMALL, seed=1)
    size = model.hidden + model.latent
    return model, Actor(size, 1, width=8, seed=2), torch.randn(20, size, generator=torch.Generator().manual_seed(3))


def test_a_rollout_is_made_of_the_models_steps(parts):
    model, actor, starts = parts
    seen = imagine(model, actor, starts, 4, seed=5)
    normals = window_normals(5, "imagination", 4, len(starts), model.laws.normals + 1)
    x, mean, scale = starts, model.prior_map().mean, model.prior_map().scale
    for n in range(4):
        policy = actor(x)
        action = torch.tanh(policy.mean + policy.deviation * normals[n, :, -1:])
        padded = torch.cat((torch.zeros(len(x), model.hidden), normals[n, :, :-1]), dim=1)
        x = mean(n, x, action) + scale(n, x, action) * padded
        torch.testing.assert_close(seen.states[n + 1], x, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(seen.rewards[n], model.reward(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(seen.continuing[n], model.continuing(x).sigmoid(), rtol=1e-4, atol=1e-5)


def test_a_paths_noise_is_its_own(parts):
    model, actor, starts = parts
    many, few = (imagine(model, actor, starts[:k], 4, seed=5).states for k in (20, 3))
    torch.testing.assert_close(many[:, :3], few, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(many[:, :3], imagine(model, actor, starts[:3], 4, seed=6).states)


@pytest.mark.parametrize("kind", ["zero drift", "drift"])
def test_an_injected_error_moves_its_block_after_the_step_and_leaves_the_noise(parts, kind):
    model, actor, starts = parts
    pushed = Injection("z", kind, "raw", 0.3).pushed(model, seed=0)
    plain, moved = (imagine(model, actor, starts, 1, seed=5, pushed=p) for p in (None, pushed))
    gap = moved.states[1] - plain.states[1]
    assert torch.equal(gap[:, : model.hidden], torch.zeros_like(gap[:, : model.hidden]))
    assert float(gap[:, model.hidden :].detach().square().mean().sqrt()) == pytest.approx(0.3, rel=0.5)
    assert torch.equal(plain.log_density, moved.log_density)
    none = imagine(model, actor, starts, 1, seed=5, pushed=Injection("z", kind, "raw", 0.0).pushed(model, seed=0))
    assert torch.equal(none.states, plain.states)
