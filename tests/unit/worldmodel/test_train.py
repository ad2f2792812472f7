"""Training: deterministic, downhill, and with the gradient of the discrete solve."""

import pytest
import torch

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.neural_sde import NeuralSDE
from sdewm.worldmodel.train import Settings, evidence, subnormals_flushed, train

from .conftest import SMALL

FEW = Settings(steps=40, batch=8, length=10, rate=2e-2, warmup=5, observation_scale=0.3)


@pytest.fixture(scope="module")
def trained(data):
    return train(data, FEW, seed=3, architecture=SMALL)


def batch(model, data, dtype=torch.float64):
    seen = model.standardise(data.observations[:8, :10]).to(dtype).transpose(0, 1)
    return seen, data.actions[:8, :10].to(dtype).transpose(0, 1)


def whole_loss(model, data):
    """The loss on all episodes, always on the same noise."""
    seen, actions = model.standardise(data.observations[:, :10]).transpose(0, 1), data.actions[:, :10].transpose(0, 1)
    with torch.no_grad():
        parts = evidence(model, model.filtering(), seen, actions, seed=0, observation_scale=FEW.observation_scale)
    return float(sum(parts))


def test_training_lowers_the_loss_and_needs_its_learning_rate(trained, data):
    untrained = NeuralSDE(SMALL, seed=3)
    untrained.fit_units(data)
    before = whole_loss(untrained, data)
    assert whole_loss(trained.model, data) < 0.6 * before
    two = train(data, Settings(**{**vars(FEW), "steps": 2, "warmup": 1}), seed=3, architecture=SMALL)
    assert whole_loss(two.model, data) < before
    still = train(data, Settings(**{**vars(FEW), "rate": 1e-12}), seed=3, architecture=SMALL)
    assert whole_loss(still.model, data) == pytest.approx(before, rel=1e-4)


def test_training_is_a_function_of_the_seed(trained, data):
    before = torch.get_rng_state()
    short = Settings(**{**vars(FEW), "steps": 3})
    one, two, other = (train(data, short, seed=s, architecture=SMALL) for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.history, two.history)
    for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(one.history[0], trained.history[0])
    assert not torch.equal(one.history, other.history)


def test_every_gradient_step_has_noise_of_its_own(model, data):
    seen, actions = batch(model, data, torch.float32)
    options = {"observation_scale": 0.5}
    with torch.no_grad():
        first, again, next_one = (
            evidence(model, model.filtering(), seen, actions, seed=s, **options) for s in (0, 0, 1)
        )
    assert torch.equal(first.reconstruction, again.reconstruction)
    assert not torch.equal(first.reconstruction, next_one.reconstruction)


def test_the_gradient_is_that_of_the_discrete_solve(model, data):
    model = model.double()
    seen, actions = batch(model, data)
    system = model.filtering()

    def loss():
        return sum(evidence(model, system, seen, actions, seed=0, observation_scale=0.5))

    source = torch.Generator().manual_seed(2)
    parameters = list(model.parameters())
    direction = [torch.randn(p.shape, generator=source, dtype=p.dtype) for p in parameters]
    slope = sum((g * v).sum() for g, v in zip(torch.autograd.grad(loss(), parameters), direction, strict=True))
    values, h = [], 1e-5
    with torch.no_grad():
        for sign in (1.0, -2.0):
            for p, v in zip(parameters, direction, strict=True):
                p.add_(v, alpha=sign * h)
            values.append(loss())
    torch.testing.assert_close(slope, (values[0] - values[1]) / (2.0 * h), rtol=1e-6, atol=0)


def test_progress_is_told_every_step(data):
    told = []
    short = Settings(**{**vars(FEW), "steps": 2})
    history = train(
        data, short, seed=0, architecture=SMALL, progress=lambda n, parts: told.append((n, *map(float, parts)))
    ).history
    assert [n for n, *_ in told] == [0, 1]
    torch.testing.assert_close(torch.tensor([parts for _, *parts in told]), history)


def test_the_subnormal_setting_is_given_back():
    def flushed():
        return bool((torch.full((1,), 1e-310, dtype=torch.float64) * 0.5 == 0.0).all())

    before = flushed()
    with subnormals_flushed():
        assert flushed()
        with subnormals_flushed():
            pass
        assert flushed()
    assert flushed() is before


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"steps": 0}, "steps"),
        ({"rate": 0.0}, "rate"),
        ({"clip": -1.0}, "clip"),
        ({"divergence_weight": -1.0}, "diver"),
    ],
)
def test_settings_are_checked(changes, name):
    with pytest.raises(InvalidArgument, match=name):
        Settings(**changes)


def test_windows_must_fit_into_the_episodes(data):
    with pytest.raises(InvalidArgument, match="at most the 40 steps"):
        train(data, Settings(steps=1, length=41), seed=0)
