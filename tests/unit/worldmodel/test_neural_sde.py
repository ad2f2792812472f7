"""The model: its blocks, its relative entropy, its files."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from sdewm.dynamics import euler_map, simulate
from sdewm.exceptions import InvalidArgument
from sdewm.grid import TimeGrid
from sdewm.worldmodel.checkpoint import load, save
from sdewm.worldmodel.episodes import Episodes
from sdewm.worldmodel.neural_sde import Architecture, NeuralSDE


def gaussian_sum(model, states, inputs, grid, prior_leak):
    """Σ_n KL of the posterior's Gaussian Euler step against the predictor's, both from the posterior's state."""
    filtering = euler_map(model.filtering(), grid)
    total = torch.zeros(states.shape[1], dtype=states.dtype)
    for n in range(grid.steps):
        x = states[n]
        z, h = x[:, :3], x[:, 3:]
        mean = filtering.mean(n, x, inputs[n])[:, :3]
        scale = model.scale(h) * grid.h**0.5
        prior = z + grid.h * (model.transition(h) - z / prior_leak)
        total += kl_divergence(Normal(mean, scale), Normal(prior, scale)).sum(-1)
    return total


def test_running_cost_is_the_sum_of_gaussian_relative_entropies(model, data):
    model = model.double()
    grid = TimeGrid(T=10.0, steps=20)
    seen = model.standardise(data.observations[:, :20]).transpose(0, 1)
    inputs = torch.cat((data.actions[:, :20].double().transpose(0, 1), seen), dim=-1)
    with torch.no_grad():
        start = torch.zeros(len(data), 9, dtype=torch.float64)
        states = simulate(model.filtering(), start, grid, seed=0, actions=inputs).states
        cost = grid.h * model.running_cost(states[:-1, :, 3:], seen).sum(0)
        expected = gaussian_sum(model, states, inputs, grid, prior_leak=2.0)
        torch.testing.assert_close(cost, expected, rtol=1e-10, atol=1e-12)
        # Negative control: with another leak in the predictor the two are not equal.
        assert not torch.allclose(cost, gaussian_sum(model, states, inputs, grid, prior_leak=1.5), rtol=1e-2)


def test_subsystems_are_blocks_of_the_whole(model):
    whole, filtering, rollout = model.four_blocks(), model.filtering(), model.rollout()
    source = torch.Generator().manual_seed(0)
    x, inputs = torch.randn(4, whole.dim, generator=source), torch.randn(4, 3, generator=source)
    blocks, t = whole.split(x), torch.tensor(0.0)
    drift, noise = whole.split(whole.f(t, x, inputs)), whole.split(whole.g(t, x, inputs))
    part = torch.cat((blocks.posterior, blocks.hidden), dim=1)
    close = {"rtol": 0.0, "atol": 1e-6}
    torch.testing.assert_close(filtering.f(t, part, inputs), torch.cat((drift.posterior, drift.hidden), dim=1), **close)
    torch.testing.assert_close(filtering.g(t, part, inputs)[:, :3], torch.diag_embed(noise.posterior), **close)
    assert torch.equal(noise.posterior, noise.predictor)
    assert not noise.hidden.any()
    part = torch.cat((blocks.hidden, blocks.predictor), dim=1)
    rolled = rollout.split(rollout.f(t, part, inputs[:, :1]))
    torch.testing.assert_close(rolled.predictor, drift.predictor, **close)
    assert not torch.allclose(rolled.hidden, drift.hidden, **close)
    # The decoder block comes to rest at the read-out.
    still = torch.cat((part, model.read_out(blocks.hidden, blocks.predictor)), dim=1)
    moved = whole.split(whole.f(t, torch.cat((blocks.posterior, still), dim=1), inputs))
    torch.testing.assert_close(moved.decoded, torch.zeros(4, 2), rtol=0, atol=1e-6)


def test_without_noise_nothing_is_random(model, data):
    grid, start = TimeGrid(T=5.0, steps=5), torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    actions = data.actions[:4, :5].transpose(0, 1)

    def final(noise, seed):
        return simulate(model.rollout(noise=noise), start, grid, seed=seed, actions=actions).final

    assert torch.equal(final(False, 0), final(False, 1))
    assert not torch.equal(final(True, 0), final(True, 1))


def test_weights_are_a_function_of_the_seed_alone():
    before = torch.get_rng_state()
    one, two, other = (NeuralSDE(Architecture(3, 1), seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


def test_units_are_those_of_the_data(model, data):
    standard = model.standardise(data.observations).flatten(0, 1)
    torch.testing.assert_close(standard.mean(0), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(standard.std(0), torch.ones(2), rtol=1e-5, atol=0)
    still = Episodes(torch.cat((data.observations[..., :1], torch.ones(24, 41, 1)), dim=2), data.actions)
    with pytest.raises(InvalidArgument, match=r"numbers \[1\] never change"):
        model.fit_units(still)
    with pytest.raises(InvalidArgument, match=r"sizes \(2, 1\), got \(1, 1\)"):
        model.fit_units(Episodes(data.observations[..., :1], data.actions))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent": 0}, "latent"),
        ({"leak": 0.5}, "at least one environment step"),
        ({"scale_floor": 0.0}, "scale_floor"),
    ],
)
def test_architecture_is_checked(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        Architecture(**{"observation": 1, "action": 1, **changes})


def test_a_saved_model_is_loaded_unchanged(model, tmp_path):
    save(model, tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert loaded.architecture == model.architecture
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_other_files_are_refused(tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(InvalidArgument, match="not a readable model"):
        load(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors here")
    with pytest.raises(InvalidArgument, match="not a readable model"):
        load(tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(1)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(InvalidArgument, match="must hold a model of format"):
        load(tmp_path / "other.safetensors")
