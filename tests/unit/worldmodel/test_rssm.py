"""The recurrent state-space model: its steps, its noise, its maps and their derivatives, its weights."""

import math

import pytest
import torch

from sdewm.dynamics import RepresentationError, Variations, perturb, simulate_coupled
from sdewm.dynamics.categorical import CategoricalMap
from sdewm.exceptions import InvalidArgument
from sdewm.grid import TimeGrid
from sdewm.jacobian import jacobians
from sdewm.worldmodel.episodes import Episodes
from sdewm.worldmodel.model import Pushed
from sdewm.worldmodel.noise import window_normals
from sdewm.worldmodel.rssm import RSSM, RSSMArchitecture

from .conftest import rotations

SIZES = {"observation": 2, "action": 1, "hidden": 6, "width": 8, "embedding": 5}
GAUSSIAN = RSSMArchitecture(**SIZES, latent=3)
CATEGORICAL = RSSMArchitecture(**SIZES, kind="categorical", groups=2, classes=3)
IMAGES = RSSMArchitecture(**{**SIZES, "observation": (3, 16, 32)}, latent=3, channels=2)
LENGTH, WINDOWS = 7, 5


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(architecture):
    """An untrained model in float64 with larger weights, so that no map is nearly linear."""
    model = RSSM(architecture, seed=3).double().requires_grad_(False)
    for parameter in model.parameters():
        parameter.mul_(1.5)
    return model


def inputs(model, length=LENGTH, windows=WINDOWS):
    return normal(length, windows, *model.observation), normal(length, windows, model.action, seed=1)


def steps_of(model, step, seen, actions, normals, push=None, lag=1):
    """States of the filter map, one step after another; noise on the coordinates of z alone is used."""
    length, windows, _ = actions.shape
    x, states = torch.zeros(windows, step.dim, dtype=torch.float64), []
    acted = torch.cat((torch.zeros(lag, windows, 1, dtype=torch.float64), actions))
    for n in range(length):
        a = torch.cat((acted[n], model.embed(seen[n])), dim=1)
        scale = step.scale(n, x, a)
        # What stands for the noise of h is large, and must do nothing.
        xi = torch.cat((torch.full((windows, model.hidden), 7.0, dtype=torch.float64), normals[n]), dim=1)
        x = step.mean(n, x, a) + (scale * xi if scale.ndim == 2 else (scale @ xi[:, :1, None])[..., 0])
        x = x if push is None else x + push[n]
        states.append(x)
    return torch.stack(states)


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("architecture", [GAUSSIAN, IMAGES], ids=["numbers", "images"])
def test_filtered_states_are_steps_of_the_filter_map(architecture, noise):
    model = built(architecture)
    seen, actions = inputs(model)
    states = model.filtered(seen, actions, seed=2, noise=noise).states
    step, normals = model.filter_map(noise=noise), window_normals(2, "filter", LENGTH, WINDOWS, 3, torch.float64)
    torch.testing.assert_close(steps_of(model, step, seen, actions, normals), states, rtol=1e-12, atol=1e-12)
    # Negative control: the action of the other convention.
    assert not torch.allclose(steps_of(model, step, seen, actions, normals, lag=0), states, rtol=1e-3)


def test_filtered_probabilities_are_steps_of_the_filter_map():
    model = built(CATEGORICAL)
    seen, actions = inputs(model)
    states = model.filtered(seen, actions, seed=2, noise=False).states
    nothing = torch.zeros(LENGTH, WINDOWS, 6, dtype=torch.float64)
    torch.testing.assert_close(steps_of(model, model.filter_map(), seen, actions, nothing), states)
    assert not torch.allclose(model.filtered(seen, actions, seed=2).states, states, rtol=1e-3)


@pytest.mark.parametrize("drift", [True, False])
@pytest.mark.parametrize("columns", [slice(6, 9), slice(6, None), slice(0, 6)])
def test_a_pushed_error_is_added_after_every_step(columns, drift):
    model = built(GAUSSIAN)
    seen, actions = inputs(model)
    block = len(range(9)[columns])
    root, direction = 0.3 * normal(block, block, seed=4), normal(block, seed=5) if drift else None
    result = model.filtered(seen, actions, seed=2, pushed=Pushed(columns, root, direction))
    fresh = window_normals(2, "pushed", LENGTH, WINDOWS, block, torch.float64)
    omega = fresh if direction is None else direction.expand_as(fresh)
    push = torch.zeros(LENGTH, WINDOWS, 9, dtype=torch.float64)
    push[..., columns] = omega @ root.T
    normals = window_normals(2, "filter", LENGTH, WINDOWS, 3, torch.float64)
    expected = steps_of(model, model.filter_map(), seen, actions, normals, push)
    torch.testing.assert_close(result.states, expected, rtol=1e-12, atol=1e-12)
    # The laws are those before the push: of the first step, those without one.
    clean = model.filtered(seen, actions, seed=2)
    assert torch.equal(result.prior_mean[0], clean.prior_mean[0])
    assert torch.equal(result.divergence[0], clean.divergence[0])
    assert not torch.allclose(result.prior_mean[1], clean.prior_mean[1], rtol=1e-3)


def test_noise_of_a_window_does_not_depend_on_the_others():
    for width in (1, 3, 16):
        few, many = (window_normals(5, "filter", 9, k, width) for k in (3, 70))
        assert torch.equal(few, many[:, :3])
        assert torch.equal(few[:4], window_normals(5, "filter", 4, 3, width))
        assert torch.equal(many.double(), window_normals(5, "filter", 9, 70, width, torch.float64))
        assert not torch.equal(many[:, :16], many[:, 16:32])
    assert not torch.equal(few, window_normals(5, "pushed", 9, 3, 16))
    assert not torch.equal(few, window_normals(6, "filter", 9, 3, 16))
    for architecture in (GAUSSIAN, CATEGORICAL):
        model = built(architecture)
        seen, actions = inputs(model, windows=20)
        some, whole = model.filtered(seen[:, :3], actions[:, :3], seed=2), model.filtered(seen, actions, seed=2)
        torch.testing.assert_close(some.states, whole.states[:, :3], rtol=1e-10, atol=1e-12)


def test_the_last_action_and_later_observations_are_not_used():
    model = built(GAUSSIAN)
    seen, actions = inputs(model)
    states = model.filtered(seen, actions, seed=2).states
    later, other = seen.clone(), actions.clone()
    later[-1] += 1.0
    other[-1] += 1.0
    assert torch.equal(model.filtered(seen, other, seed=2).states, states)
    assert torch.equal(model.filtered(later, actions, seed=2).states[:-1], states[:-1])
    assert not torch.equal(model.filtered(later, actions, seed=2).states[-1], states[-1])


@pytest.mark.parametrize("architecture", [GAUSSIAN, CATEGORICAL], ids=["gaussian", "categorical"])
def test_filtered_laws_are_those_of_the_maps(architecture):
    model = built(architecture)
    seen, actions = inputs(model)
    result = model.filtered(seen, actions, seed=2)
    before, a = result.states[2], torch.cat((actions[2], model.embed(seen[3])), dim=1)
    prior, posterior = model.prior_map(), model.filter_map()
    torch.testing.assert_close(prior.mean(0, before, actions[2])[:, 6:], result.prior_mean[3])
    torch.testing.assert_close(posterior.mean(0, before, a)[:, 6:], result.posterior_mean[3])
    if result.prior_scale is not None:
        torch.testing.assert_close(prior.scale(0, before, actions[2])[:, 6:], result.prior_scale[3])
        torch.testing.assert_close(posterior.scale(0, before, a)[:, 6:], result.posterior_scale[3])
        assert float(result.prior_scale.min()) > model.architecture.scale_floor


def test_the_noise_of_every_step_is_singular():
    for name in ("prior_map", "filter_map", "whole_map"):
        model = built(GAUSSIAN)
        step = getattr(model, name)()
        scale = step.scale(0, normal(4, step.dim), normal(4, step.action_dim))
        h = slice(3, 9) if name == "whole_map" else slice(0, 6)
        assert not bool(scale[:, h].any())
        assert int((scale[0] > 0.0).sum()) == (6 if name == "whole_map" else 3)
        still = getattr(model, name)(noise=False)
        assert not bool(still.scale(0, normal(4, step.dim), normal(4, step.action_dim)).any())
        step = getattr(built(CATEGORICAL), name)()
        assert not bool(step.scale(0, normal(4, step.dim), normal(4, step.action_dim)).any())


def finite_difference(step, x, size=1e-6):
    units = torch.eye(x.shape[1], dtype=x.dtype)
    return torch.stack([(step(x + size * u) - step(x - size * u)) / (2.0 * size) for u in units], dim=2)


@pytest.mark.parametrize("architecture", [GAUSSIAN, CATEGORICAL, IMAGES], ids=["gaussian", "categorical", "images"])
@pytest.mark.parametrize("name", ["prior_map", "filter_map"])
def test_jacobians_of_the_maps_are_those_of_finite_differences(architecture, name):
    model = built(architecture)
    step = getattr(model, name)()
    x, a = normal(1, step.dim), normal(1, step.action_dim, seed=1)
    for part in (step.mean, step.scale):
        value = part(0, x, a)
        flat = lambda y, part=part: part(0, y, a).reshape(len(y), -1)  # noqa: E731
        found, expected = jacobians(flat, x), finite_difference(flat, x)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
        assert bool(found.any()) == bool(value.any())


def test_the_straight_through_gradient_is_not_the_derivative_of_the_step():
    """The reason why a categorical model's maps are those of its probabilities."""
    x, a = normal(1, 12), normal(1, 1, seed=1)
    step, xi = built(CATEGORICAL).sampled_step(), normal(1, 2, seed=2)
    found = torch.autograd.functional.jacobian(lambda y: step(y, a, xi)[0], x)[:, 0]
    expected = finite_difference(lambda y: step(y, a, xi), x)[0]
    torch.testing.assert_close(found[:6], expected[:6], rtol=1e-6, atol=1e-8)
    assert not bool(expected[6:].any())
    assert float(found[6:].abs().max()) > 1e-3
    # The same with a Gaussian draw is a derivative.
    step, xi, x = built(GAUSSIAN).sampled_step(), normal(1, 3, seed=2), normal(1, 9)
    found = torch.autograd.functional.jacobian(lambda y: step(y, a, xi)[0], x)[:, 0]
    torch.testing.assert_close(found, finite_difference(lambda y: step(y, a, xi), x)[0], rtol=1e-6, atol=1e-8)


def test_a_sampled_step_is_that_of_the_map_of_its_kind():
    model, a = built(GAUSSIAN), normal(4, 1, seed=1)
    x, xi, prior = normal(4, 9), normal(4, 3, seed=2), model.prior_map()
    padded = torch.cat((torch.zeros(4, 6, dtype=torch.float64), xi), dim=1)
    torch.testing.assert_close(model.sampled_step()(x, a, xi), prior.mean(0, x, a) + prior.scale(0, x, a) * padded)
    model = built(CATEGORICAL)
    x, xi, prior = normal(4, 12), normal(4, 2, seed=2), model.prior_map()

    def recurrent(n, h, z, a):
        return prior.mean(n, torch.cat((h, z), dim=1), a)[:, :6]

    def logits(n, h):
        return model.laws.law(model.prior(h)).mean.log()

    twin = CategoricalMap(recurrent, logits, hidden=6, groups=2, classes=3, action_dim=1, dtype=torch.float64)
    torch.testing.assert_close(model.sampled_step()(x, a, xi), twin(0, x, xi, a))


def test_the_whole_map_holds_the_others():
    for architecture in (GAUSSIAN, CATEGORICAL, IMAGES):
        model = built(architecture)
        whole, prior, posterior = model.whole_map(), model.prior_map(), model.filter_map()
        latent, pixels = model.latent, torch.Size(model.observation).numel()
        assert whole.dim == 6 + 2 * latent + pixels
        x, a = normal(4, whole.dim), normal(4, whole.action_dim, seed=1)
        state = torch.cat((x[:, latent : latent + 6], x[:, :latent]), dim=1)
        z, h, predictor, decoded = whole.mean(0, x, a).split((latent, 6, latent, pixels), dim=1)
        torch.testing.assert_close(torch.cat((h, z), dim=1), posterior.mean(0, state, a))
        rolled = prior.mean(0, state, a[:, :1])
        torch.testing.assert_close(torch.cat((h, predictor), dim=1), rolled)
        torch.testing.assert_close(decoded, model.decode(rolled).flatten(1))
        # Nothing feeds back from z̃ and õ.
        other = torch.cat((x[:, : latent + 6], normal(4, latent + pixels, seed=3)), dim=1)
        assert torch.equal(whole.mean(0, other, a), whole.mean(0, x, a))
        if architecture is not CATEGORICAL:
            s = whole.scale(0, x, a).split((latent, 6, latent, pixels), dim=1)
            torch.testing.assert_close(torch.cat((s[1], s[0]), dim=1), posterior.scale(0, state, a))
            torch.testing.assert_close(torch.cat((s[1], s[2]), dim=1), prior.scale(0, state, a[:, :1]))


@pytest.mark.parametrize("architecture", [GAUSSIAN, CATEGORICAL], ids=["gaussian", "categorical"])
def test_variations_of_a_rollout_are_of_their_order(architecture):
    model = built(architecture)
    step = model.prior_map()
    push = torch.cat((torch.zeros(6), torch.ones(model.latent))).double()
    error = RepresentationError(drift=lambda t, x: push.expand_as(x))
    rests = []
    for eps in (1e-2, 1e-3):
        members = {"base": step, "moved": perturb(step, error, eps), "varied": Variations(step, error, order=2)}
        grid, actions = TimeGrid(T=6, steps=6), normal(6, 16, 1, seed=1)
        found = simulate_coupled(members, normal(16, step.dim), grid, 16, 0, actions=actions, save="final")
        moved, (_, y1, y2) = found["moved"].final - found["base"].final, (part.final for part in found["varied"])
        first = moved - eps * y1
        rests.append([float(e.norm()) for e in (moved, first, first - eps**2 * y2)])
    orders = [math.log10(large / small) for large, small in zip(*rests, strict=True)]
    assert orders == pytest.approx([1.0, 2.0, 3.0], abs=0.05)


def test_weights_are_a_function_of_the_seed_alone():
    for architecture in (GAUSSIAN, CATEGORICAL, IMAGES):
        before = torch.get_rng_state()
        one, two, other = (RSSM(architecture, seed=s) for s in (0, 0, 1))
        one.filtered(*(v.float() for v in inputs(one)), seed=0)
        assert torch.equal(torch.get_rng_state(), before)
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
        assert not torch.equal(next(one.parameters()), next(other.parameters()))


def test_gradients_reach_every_parameter():
    for architecture in (GAUSSIAN, CATEGORICAL, IMAGES):
        model = RSSM(RSSMArchitecture(**{**vars(architecture), "rewards": True, "continues": True}), seed=1)
        seen, actions = (v.float() for v in inputs(model))
        result = model.filtered(seen, actions, seed=0)
        heads = model.reward(result.states).square() + model.continuing(result.states).square()
        loss = (model.decode(result.states) - seen).square().mean() + result.divergence.mean() + heads.mean()
        loss.backward()
        assert [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


def test_units_of_images_and_rewards(data):
    source = torch.Generator().manual_seed(0)
    images = torch.randint(256, (3, 5, 3, 16, 32), generator=source).to(torch.uint8)
    actions, rewards = torch.zeros(3, 4, 1), torch.randn(3, 4, generator=source) * 3.0 + 5.0
    model = RSSM(RSSMArchitecture(**{**vars(IMAGES), "rewards": True}))
    model.fit_units(Episodes(images, actions, rewards))
    torch.testing.assert_close(model.standardise(images), images.float() / 255.0 - 0.5)
    x = torch.randn(2, 4, 9, generator=source)
    torch.testing.assert_close(
        model.reward(x), model.reward_head(x)[..., 0] * rewards.std() + rewards.mean(), rtol=1e-5, atol=1e-5
    )
    # Rewards that never change have a unit, too, also where rounding gives them a deviation.
    for value in (2.0, 0.3):
        model.fit_units(Episodes(images, actions, torch.full((3, 4), value)))
        torch.testing.assert_close(model.reward(x), model.reward_head(x)[..., 0] + value)
    model = RSSM(GAUSSIAN)
    model.fit_units(data)
    standard = model.standardise(data.observations).flatten(0, 1)
    torch.testing.assert_close(standard.std(0), torch.ones(2), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "binary"}, "kind must be one of 'gaussian', 'categorical'"),
        ({"latent": 0}, "latent must be a whole number >= 1"),
        ({"classes": 1}, "classes must be a whole number >= 2"),
        ({"scale_floor": 0.0}, "scale_floor must be above zero"),
        ({"free_nats": -1.0}, "free_nats must be at least 0"),
        ({"uniform": 0.0}, "uniform must lie strictly between 0 and 1"),
        ({"observation": (3, 30, 32)}, "multiples of 16"),
        ({"rewards": "no"}, "rewards must be a bool, got str"),
    ],
)
def test_architecture_is_checked(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        RSSMArchitecture(**{"observation": 1, "action": 1, **changes})


def test_equal_architectures_are_equal():
    assert RSSMArchitecture([3], 1) == RSSMArchitecture(3, 1)
    assert RSSMArchitecture([3, 32, 32], 1) == RSSMArchitecture((3, 32, 32), 1)
    assert RSSMArchitecture(3, 1).shape == (3,)


def test_what_does_not_fit_is_refused(data):
    model = built(GAUSSIAN)
    seen, actions = inputs(model)
    with pytest.raises(InvalidArgument, match=r"\(length, windows, 2\) and \(length, windows, 1\), got"):
        model.filtered(seen[:-1], actions, seed=0)
    with pytest.raises(InvalidArgument, match=r"pushed must have a root \(3, 3\)"):
        model.filtered(seen, actions, seed=0, pushed=Pushed(slice(6, 9), torch.eye(2)))
    with pytest.raises(InvalidArgument, match=r"and a direction \(3,\)"):
        model.filtered(seen, actions, seed=0, pushed=Pushed(slice(6, 9), torch.eye(3), torch.ones(2)))
    with pytest.raises(InvalidArgument, match="needs actions"):
        model.prior_map().mean(0, normal(1, 9), None)
    with pytest.raises(InvalidArgument, match="rewards is False"):
        model.reward(normal(1, 9))
    with pytest.raises(InvalidArgument, match="continues is False"):
        model.continuing(normal(1, 9))
    with pytest.raises(InvalidArgument, match=r"sizes \(\(3, 16, 32\), 1\), got \(2, 1\)"):
        RSSM(IMAGES).check(data)
    with pytest.raises(InvalidArgument, match=r"must be torch.float64 like the model, got torch.float32"):
        model.filtered(seen.float(), actions, seed=0)
    with pytest.raises(InvalidArgument, match="at least one window and one time"):
        model.filtered(seen[:, :0], actions[:, :0], seed=0)
    with pytest.raises(InvalidArgument, match="at least one window and one time"):
        model.filtered(seen[:0], actions[:0], seed=0)
    # One number would be spread over both without a word.
    with pytest.raises(InvalidArgument, match=r"observations must have shape \(..., 2\), got \(5, 1\)"):
        model.standardise(torch.zeros(5, 1))
    with pytest.raises(InvalidArgument, match="architecture must be a RSSMArchitecture, got dict"):
        RSSM(vars(GAUSSIAN))
    still = Episodes(torch.cat((data.observations[..., :1], torch.ones(24, 41, 1)), dim=2), data.actions)
    with pytest.raises(InvalidArgument, match=r"numbers \[1\] never change"):
        RSSM(GAUSSIAN).fit_units(still)
    # The deviation of equal numbers in floating point need not be zero.
    tenth = Episodes(torch.full((24, 41, 1), 0.1), data.actions)
    assert float(tenth.deviation) > 0.0
    with pytest.raises(InvalidArgument, match=r"numbers \[0\] never change"):
        RSSM(RSSMArchitecture(observation=1, action=1)).fit_units(tenth)
    for name in ("rewards", "continues"):
        with pytest.raises(InvalidArgument, match=f"{name} are predicted by this model"):
            RSSM(RSSMArchitecture(**{**vars(GAUSSIAN), name: True})).fit_units(data)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
def test_a_rollout_of_a_trained_model_predicts(data, kind):
    train, test = data, rotations(24, 40, seed=2)
    architecture = RSSMArchitecture(**{**SIZES, "hidden": 24, "width": 24}, kind=kind, latent=4, groups=4, classes=6)
    model = RSSM(architecture, seed=0)
    model.fit_units(train)
    untrained = five_ahead(model, test)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    source = torch.Generator().manual_seed(0)
    seen, actions = model.standardise(train.observations), train.actions
    for step in range(500):
        rows, first = torch.randint(24, (16,), generator=source), torch.randint(25, (16,), generator=source)
        columns = first + torch.arange(16)[:, None]
        o = seen[rows, columns]
        result = model.filtered(o, actions[rows, columns], seed=step)
        miss = (model.decode(result.states) - o).square().sum(-1).mean() / (2.0 * 0.1**2)
        optimiser.zero_grad()
        (miss + result.divergence.mean()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
    # An untrained model predicts about the mean, which is better than persistence after a third of a turn.
    error = five_ahead(model, test)
    assert error < 0.5 * min(untrained, five_ahead(None, test))
    # Negative control: with the actions of other windows it does worse.
    shuffled = Episodes(test.observations, test.actions.roll(1, dims=0))
    assert five_ahead(model, shuffled) > 1.5 * error


@torch.no_grad()
def five_ahead(model, test):
    """Root mean square error of a rollout, five steps after the last of 20 observations; of persistence without one."""
    if model is None:
        o = test.observations / test.deviation
        return float((o[:, 24] - o[:, 19]).square().mean().sqrt())
    seen, actions = model.standardise(test.observations).transpose(0, 1), test.actions.transpose(0, 1)
    x, step = model.filtered(seen[:20], actions[:20], seed=0, noise=False).states[-1], model.prior_map(noise=False)
    for n in range(20, 25):
        x = step.mean(n, x, actions[n - model.lag])
    return float((model.decode(x) - seen[24]).square().mean().sqrt())
