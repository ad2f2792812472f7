"""The model: its blocks, its relative entropy, its files."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from sdewm.dynamics import euler_map, simulate
from sdewm.exceptions import InvalidArgument
from sdewm.grid import TimeGrid
from sdewm.worldmodel.checkpoint import load, save
from sdewm.worldmodel.episodes import Episodes
from sdewm.worldmodel.model import Pushed
from sdewm.worldmodel.neural_sde import Architecture, NeuralSDE
from sdewm.worldmodel.rssm import RSSMArchitecture

from .conftest import SMALL

IMAGES = Architecture(**{**vars(SMALL), "observation": (1, 16, 32), "embedding": 5, "channels": 2})


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
        ({"embedding": 0}, "embedding"),
        ({"observation": (3, 20, 32)}, "multiples of 16"),
        ({"continues": 1}, "continues must be a bool, got int"),
    ],
)
def test_architecture_is_checked(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        Architecture(**{"observation": 1, "action": 1, **changes})


def test_an_architecture_of_another_model_is_refused():
    with pytest.raises(InvalidArgument, match="architecture must be a Architecture, got RSSMArchitecture"):
        NeuralSDE(RSSMArchitecture(observation=2, action=1))


def test_observations_that_are_whole_numbers_are_refused(model, data):
    """The actions would be cut off to whole numbers beside them."""
    seen = torch.zeros(5, 3, 2, dtype=torch.int64)
    with pytest.raises(InvalidArgument, match=r"must be torch.float32 like the model, got torch.int64"):
        model.filtered(seen, torch.full((5, 3, 1), 0.5), seed=0)


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


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def windows_of(model, length=7, windows=5):
    return normal(length, windows, *model.observation), normal(length, windows, model.action, seed=1)


@pytest.fixture(params=[SMALL, IMAGES], ids=["numbers", "images"])
def either(request):
    return NeuralSDE(request.param, seed=4).double().requires_grad_(False)


@pytest.mark.parametrize("noise", [True, False])
def test_filtered_is_the_solve_of_the_filtering_system(either, noise):
    model = either
    seen, actions = windows_of(model)
    result = model.filtered(seen, actions, seed=2, noise=noise)
    grid, start = TimeGrid(T=7, steps=7), torch.zeros(5, 9, dtype=torch.float64)
    given = torch.cat((actions, model.embed(seen)), dim=2)
    system = model.filtering(noise=noise)
    states = simulate(system, start, grid, seed=2, actions=given).states
    blocks = system.split(states)
    assert torch.equal(result.states, torch.cat((blocks.hidden, blocks.posterior), dim=2)[1:])
    cost = model.running_cost(blocks.hidden[:-1], model.embed(seen))
    torch.testing.assert_close(result.divergence, cost)
    laws = Normal(result.posterior_mean, result.posterior_scale), Normal(result.prior_mean, result.prior_scale)
    torch.testing.assert_close(kl_divergence(*laws).sum(-1), cost)
    # Another seed, other states; nothing else is random.
    other = model.filtered(seen, actions, seed=3, noise=noise).states
    assert torch.equal(other, result.states) == (not noise)


@pytest.mark.parametrize("drift", [True, False])
@pytest.mark.parametrize("columns", [slice(6, None), slice(0, 6)])
@pytest.mark.parametrize("noise", [True, False])
def test_a_pushed_error_is_added_after_every_step(either, noise, columns, drift):
    model = either
    seen, actions = windows_of(model)
    block = len(range(9)[columns])
    root = 0.3 * normal(block, block, seed=4)
    pushed = Pushed(columns, root, normal(block, seed=5) if drift else None)
    pushed_states = model.filtered(seen, actions, seed=2, noise=noise, pushed=pushed).states
    step = model.filter_map(noise=noise)
    # What is left after a step of the map from the pushed state is the push, and the step's own noise.
    before = torch.cat((torch.zeros(1, 5, 9, dtype=torch.float64), pushed_states[:-1]))
    given = torch.cat((actions, model.embed(seen)), dim=2)
    clean = model.filtered(seen, actions, seed=2, noise=noise).states
    rest = torch.stack([pushed_states[n] - step.mean(n, before[n], given[n]) for n in range(7)])
    if noise:
        start = torch.zeros(5, 9, dtype=torch.float64)
        own = torch.stack([clean[n] - step.mean(n, clean[n - 1] if n else start, given[n]) for n in range(7)])
        # Noise of z alone; its scale depends on h, which the push moves.
        scales = [step.scale(0, x, given[0])[:, 6:].diagonal(dim1=1, dim2=2) for x in (*before,)]
        was = [step.scale(0, x, given[0])[:, 6:].diagonal(dim1=1, dim2=2) for x in (start, *clean[:-1])]
        own[..., 6:] *= torch.stack(scales) / torch.stack(was)
        rest = rest - own
    if drift:
        expected = torch.zeros(9, dtype=torch.float64)
        expected[columns] = root @ pushed.direction
        torch.testing.assert_close(rest, expected.expand_as(rest), rtol=1e-9, atol=1e-9)
        return
    assert torch.equal(rest[..., columns].abs() > 1e-9, torch.ones(7, 5, block, dtype=torch.bool))
    other = slice(0, 6) if columns.start else slice(6, 9)
    assert float(rest[..., other].abs().max()) < 1e-9
    # Undone by the root it is noise with a motion of its own, the same whatever the size.
    omega = torch.linalg.solve(root, rest[..., columns].flatten(0, 1).T).T
    twice = model.filtered(seen, actions, seed=2, noise=noise, pushed=Pushed(columns, 2.0 * root)).states
    first = torch.linalg.solve(2.0 * root, (twice[0] - clean[0])[:, columns].T).T
    torch.testing.assert_close(first, omega[:5], rtol=1e-8, atol=1e-8)
    assert 0.5 < float(omega.std()) < 1.6


def test_maps_are_euler_steps_with_h_first(either):
    model = either
    x, h_first = normal(4, 9), TimeGrid(T=1.0, steps=1)
    a = normal(4, model.filter_map().action_dim, seed=1)
    swapped = torch.cat((x[:, 6:], x[:, :6]), dim=1)
    for noise in (True, False):
        filtering, step = euler_map(model.filtering(noise=noise), h_first), model.filter_map(noise=noise)
        for part in ("mean", "scale"):
            found, expected = getattr(step, part)(3, x, a), getattr(filtering, part)(3, swapped, a)
            assert torch.equal(found, torch.cat((expected[:, 3:], expected[:, :3]), dim=1))
        prior, rollout = model.prior_map(noise=noise), model.rollout(noise=noise)
        torch.testing.assert_close(prior.mean(3, x, a[:, :1]), x + rollout.f(torch.tensor(0.0), x, a[:, :1]))
    assert not bool(model.prior_map().scale(0, x, a[:, :1])[:, :6].any())
    assert not bool(model.filter_map().scale(0, x, a)[:, :6].any())
    torch.testing.assert_close(model.decode(x), model.read_out(x[:, :6], x[:, 6:]))


def test_the_whole_map_is_the_euler_step_of_the_four_blocks():
    model = NeuralSDE(SMALL, seed=4).double().requires_grad_(False)
    step, euler = model.whole_map(), euler_map(model.four_blocks(), TimeGrid(T=1.0, steps=1))
    x, a = normal(4, step.dim), normal(4, step.action_dim, seed=1)
    torch.testing.assert_close(step.mean(0, x, a), euler.mean(0, x, a))
    torch.testing.assert_close(step.scale(0, x, a), euler.scale(0, x, a))
    assert not bool(model.whole_map(noise=False).scale(0, x, a).any())
    model = NeuralSDE(IMAGES, seed=4).double().requires_grad_(False)
    step = model.whole_map()
    x, a = normal(4, step.dim), normal(4, step.action_dim, seed=1)
    z, h = model.filter_map().mean(0, torch.cat((x[:, 3:9], x[:, :3]), dim=1), a).split((6, 3), dim=1)[::-1]
    torch.testing.assert_close(step.mean(0, x, a)[:, :9], torch.cat((z, h), dim=1))
    seen = x[:, 12:] / 2.0 + model.decode(torch.cat((x[:, 3:9], x[:, 9:12]), dim=1)).flatten(1) / 2.0
    torch.testing.assert_close(step.mean(0, x, a)[:, 12:], seen)
    with pytest.raises(InvalidArgument, match="take whole_map"):
        model.four_blocks()


def test_heads_come_with_rewards_and_ends(data):
    plain, full = (
        NeuralSDE(SMALL, seed=4),
        NeuralSDE(Architecture(**{**vars(SMALL), "rewards": True, "continues": True}), seed=4),
    )
    # The other weights of a seed are the same with and without heads, and those of earlier versions.
    for name, value in plain.named_parameters():
        assert torch.equal(value, full.get_parameter(name))
    old = NeuralSDE(Architecture(3, 1), seed=5).decoder.network[4].weight.detach().double()
    assert float(old.sum()) == pytest.approx(-1.8998777289634745, abs=1e-6)
    source = torch.Generator().manual_seed(0)
    rewards = 3.0 * torch.randn(24, 40, generator=source) + 5.0
    full.fit_units(Episodes(data.observations, data.actions, rewards, torch.ones(24, 40)))
    x = torch.randn(2, 4, 9, generator=source)
    expected = full.reward_head(x)[..., 0] * rewards.std() + rewards.mean()
    torch.testing.assert_close(full.reward(x), expected, rtol=1e-5, atol=1e-5)
    assert full.continuing(x).shape == (2, 4)
    with pytest.raises(InvalidArgument, match="rewards are predicted by this model"):
        full.fit_units(data)
    with pytest.raises(InvalidArgument, match="rewards is False"):
        plain.reward(x)
    with pytest.raises(InvalidArgument, match="continues is False"):
        plain.continuing(x)
    with pytest.raises(InvalidArgument, match=r"\(length, windows, 2\)"):
        plain.filtered(torch.zeros(3, 4, 1), torch.zeros(3, 4, 1), seed=0)
    with pytest.raises(InvalidArgument, match=r"pushed must have a root \(3, 3\)"):
        plain.filtered(torch.zeros(3, 4, 2), torch.zeros(3, 4, 1), seed=0, pushed=Pushed(slice(6, 9), torch.eye(2)))


def test_images_are_saved_and_loaded(tmp_path):
    model = NeuralSDE(IMAGES, seed=4)
    save(model, tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert loaded.architecture == model.architecture
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
