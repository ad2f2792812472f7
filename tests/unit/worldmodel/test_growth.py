"""Growth of injected errors, against a model whose growth is known in closed form."""

import pytest
import torch

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.growth import KINDS, measure_growth, rollouts

STEPS = 12


@pytest.fixture
def setup(model, data):
    return rollouts(model, data, seed=0, paths=256, warm=10, steps=STEPS)


@pytest.fixture
def forgetful(model, data):
    """A model whose predictor ignores h: then z̃ is a plain leaky integrator with factor r = 1 − 1/τ = ½."""
    with torch.no_grad():
        for layer in (model.transition[-1], model.scale.network[-1]):
            layer.weight.zero_()
    return rollouts(model, data, seed=0, paths=1024, warm=10, steps=STEPS)


def test_a_leaky_integrator_grows_as_it_must(forgetful):
    n = torch.arange(1, STEPS + 1, dtype=torch.float64)
    drift = measure_growth(forgetful, kind="drift", sizes=(0.1,))
    expected = (1.0 - 0.5**n) / 0.5
    rms = drift.latent[0].mean(-1).sqrt() / 0.1
    torch.testing.assert_close(rms, expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(drift.latent_first.mean(-1).sqrt(), expected, rtol=1e-10, atol=0)
    noise = measure_growth(forgetful, kind="zero drift", sizes=(0.1,))
    expected = ((1.0 - 0.25**n) / 0.75).sqrt()
    rms = noise.latent[0].mean(-1).sqrt() / 0.1
    # 3072 squared normals a step: 5 standard errors of their RMS are 6 %.
    torch.testing.assert_close(rms, expected, rtol=0.065, atol=0)
    # Negative control: neither √n nor n is what is seen.
    assert float(rms[-1]) < 0.5 * STEPS**0.5
    assert float(drift.latent[0].mean(-1).sqrt()[-1]) / 0.1 < 0.5 * STEPS


@pytest.mark.parametrize("unit", ["whitened", "raw"])
@pytest.mark.parametrize("kind", KINDS)
def test_first_order_is_right_for_small_errors(setup, kind, unit):
    result = measure_growth(setup, kind=kind, unit=unit, sizes=(1e-4, 1e-3), second=True)
    assert result.latent.shape == (2, STEPS, 256)
    # One step: exactly c for a drift, c up to sampling for noise (768 numbers, 5 standard errors are 13 %).
    one = float(result.latent[0, 0].mean().sqrt()) / 1e-4
    assert one == pytest.approx(1.0, rel=1e-6 if kind == "drift" else 0.13)
    for e, first, rest in (
        (result.latent, result.latent_first, result.latent_rest),
        (result.observation, result.observation_first, result.observation_rest),
    ):
        measured, predicted = e[0].mean(-1).sqrt(), 1e-4 * first.mean(-1).sqrt()
        torch.testing.assert_close(measured, predicted, rtol=2e-3, atol=0)
        # The rest is of second order: a tenfold error leaves a hundredfold rest. (For two steps z̃ has heard nothing of
        # its error through h and is linear in it: the rest is rounding.)
        order = torch.log10(rest[1].mean(-1)[2:] / rest[0].mean(-1)[2:]) / 2.0
        assert bool((order - 2.0).abs().max() < 0.1)
    second = (result.latent_second[1] - result.latent[1]).abs().mean(-1)[2:]
    first = (1e-6 * result.latent_first - result.latent[1]).abs().mean(-1)[2:]
    assert bool((second < 0.05 * first).all())


def test_shared_and_own_noise_differ(setup):
    own, shared = (measure_growth(setup, kind=k, sizes=(0.1,)) for k in KINDS[:2])
    assert not torch.allclose(own.latent[0, 0], shared.latent[0, 0])


def test_directions_differ_and_have_one_size(setup):
    one, two = (measure_growth(setup, kind="drift", sizes=(0.1,), direction=k) for k in (0, 1))
    torch.testing.assert_close(one.latent[0, 0], two.latent[0, 0], rtol=1e-9, atol=0)
    assert not torch.allclose(one.observation[0, 0], two.observation[0, 0], rtol=1e-3)


def test_whitened_units_have_unit_covariance(setup):
    latent = setup.model.rollout().split(setup.start).predictor
    covariance = torch.cov((latent @ setup.inverse_root).T)
    torch.testing.assert_close(covariance, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-10)
    torch.testing.assert_close(setup.root @ setup.inverse_root, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-10)


def test_the_seed_fixes_everything_and_the_model_is_left_alone(setup, model, data):
    again = rollouts(model, data, seed=0, paths=256, warm=10, steps=STEPS)
    assert torch.equal(again.start, setup.start)
    assert next(model.parameters()).dtype == torch.float32
    assert next(model.parameters()).requires_grad
    one, two = (measure_growth(s, kind="zero drift", sizes=(0.1,)) for s in (setup, again))
    assert torch.equal(one.observation, two.observation)
    other = rollouts(model, data, seed=1, paths=256, warm=10, steps=STEPS)
    assert not torch.equal(other.start, setup.start)


def test_paths_are_numbered_by_episode(setup, data):
    assert torch.equal(setup.episode, torch.arange(256) % len(data))
    assert setup.actions.shape == (STEPS, 256, 1)
    # Starts 0, 1, …, 10 of 18: path 24 is episode 0 from a later start.
    assert torch.equal(setup.actions[:, 0].float(), data.actions[0, 10 : 10 + STEPS])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "bias"}, "kind"),
        ({"unit": "metres"}, "unit"),
        ({"sizes": (0.0,)}, "size must be above zero"),
        ({"sizes": ()}, "empty"),
    ],
)
def test_arguments_are_checked(setup, changes, message):
    with pytest.raises(InvalidArgument, match=message):
        measure_growth(setup, **{"kind": "drift", **changes})


def test_short_episodes_are_refused(model, data):
    with pytest.raises(InvalidArgument, match="at least 75 steps"):
        rollouts(model, data, seed=0)
