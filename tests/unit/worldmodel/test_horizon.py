"""Open-loop error: causal predictions, and predictors whose error is known."""

from dataclasses import replace

import pytest
import torch

from sdewm.dynamics import simulate
from sdewm.exceptions import InvalidArgument, NumericalFailure
from sdewm.grid import TimeGrid
from sdewm.worldmodel.episodes import Episodes
from sdewm.worldmodel.horizon import filtered, horizon_error, open_loop, ridge
from sdewm.worldmodel.injection import Injection, state_covariance
from sdewm.worldmodel.rssm import RSSM, RSSMArchitecture
from sdewm.worldmodel.seeds import derived
from sdewm.worldmodel.train import Settings, train

from .conftest import rotations
from .linear_model import LinearArchitecture, LinearModel, exact_rotation_model

WARM, HORIZON = 8, 12
ANGLE = torch.tensor(0.3)
TURN = 0.97 * torch.tensor([[torch.cos(ANGLE), -torch.sin(ANGLE)], [torch.sin(ANGLE), torch.cos(ANGLE)]])


@pytest.fixture(scope="module")
def test_data():
    return rotations(10, 40, seed=2)


@pytest.fixture
def unfitted():
    """A model in raw units."""
    return LinearModel(LinearArchitecture(), seed=2)


def test_baselines_have_the_errors_that_they_must(linear, data, test_data):
    linear.fit_units(data)
    errors = horizon_error(linear, data, test_data, warm=WARM, horizon=HORIZON, starts=(0, 20))
    assert list(errors.squared) == ["linear", "mean", "persistence", "ridge"]
    assert errors.squared["linear"].shape == (20, HORIZON)
    assert errors.episode.tolist() == [*range(10), *range(10)]
    assert not errors.reward
    assert not errors.omitted
    seen = linear.standardise(test_data.observations)
    truth = torch.cat([seen[:, s + WARM : s + WARM + HORIZON] for s in (0, 20)])
    last = torch.cat([seen[:, s + WARM - 1] for s in (0, 20)])
    torch.testing.assert_close(errors.rms("mean").float(), truth.square().mean((0, 2)).sqrt())
    expected = (truth - last[:, None]).square().mean((0, 2)).sqrt()
    torch.testing.assert_close(errors.rms("persistence").float(), expected)
    # The data are linear, so a weakly penalised regression is nearly exact where the others are not.
    assert float(errors.rms("ridge").max()) < 0.05
    assert float(errors.rms("persistence").max()) > 0.5


def test_a_perfect_model_is_perfect_and_a_wrong_lag_is_caught(data, test_data):
    options = {"warm": WARM, "horizon": HORIZON, "starts": (0, 20)}
    right = horizon_error(exact_rotation_model(TURN), data, test_data, **options)
    assert float(right.rms("linear").max()) < 1e-5
    wrong = horizon_error(exact_rotation_model(TURN, lag=0), data, test_data, **options)
    assert float(wrong.rms("linear").min()) > 0.05


def test_ridge_uses_the_past_and_known_actions_only(linear, data, test_data):
    linear.fit_units(data)
    seen = linear.standardise(data.observations)
    predict = ridge(seen, data.actions, warm=WARM, horizon=HORIZON)
    o, a = linear.standardise(test_data.observations), test_data.actions
    base = predict(o, a, WARM)
    later, acted = o.clone(), a.clone()
    later[:, WARM:] += 1.0
    assert torch.equal(predict(later, a, WARM), base)
    acted[:, WARM + 3 :] += 1.0
    moved = (predict(o, acted, WARM) - base).abs().amax((0, 2))
    # o_{WARM + k} follows a_{WARM + k − 1}: the action at WARM + 3 first shows at k = 4.
    assert not moved[:4].any()
    assert float(moved[4]) > 0.01


@pytest.mark.parametrize("samples", [0, 2])
@pytest.mark.parametrize("lag", [0, 1])
def test_a_model_uses_the_past_and_known_actions_only(test_data, samples, lag):
    windows, model = test_data.windows((0,), WARM + HORIZON), LinearModel(LinearArchitecture(lag=lag), seed=2)

    def predict(observations, actions):
        with torch.no_grad():
            return open_loop(model, Episodes(observations, actions), warm=WARM, samples=samples)

    o, a = windows.observations, windows.actions
    base = predict(o, a)
    assert base.shape == (10, HORIZON, 2)
    later, earlier, acted = o.clone(), o.clone(), a.clone()
    later[:, WARM:] += 1.0
    assert torch.equal(predict(later, a), base)
    earlier[:, WARM - 1] += 1.0
    assert not torch.equal(predict(earlier, a)[:, 0], base[:, 0])
    acted[:, WARM + 3 :] += 1.0
    moved = (predict(o, acted) - base).abs().amax((0, 2))
    assert not moved[: 3 + lag].any()
    assert bool(moved[3 + lag :].all())


def test_samples_are_averaged_and_have_noise_of_their_own(unfitted, test_data):
    windows = test_data.windows((0,), WARM + HORIZON)
    with torch.no_grad():
        mean = open_loop(unfitted, windows, warm=WARM)
        one, again, other = (open_loop(unfitted, windows, warm=WARM, samples=1, seed=s) for s in (0, 0, 1))
        many = open_loop(unfitted, windows, warm=WARM, samples=64)
        few = open_loop(unfitted, test_data.windows((0,), WARM + HORIZON).windows((0,), WARM + HORIZON), warm=WARM)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(few, mean)
    # The model is linear: the mean over draws is the prediction without noise, 64 draws being 8 times nearer.
    ratio = (many - mean).square().mean().sqrt() / (one - mean).square().mean().sqrt()
    assert 0.05 < float(ratio) < 0.25


def test_no_global_random_state_is_touched(unfitted, test_data):
    before = torch.get_rng_state()
    with torch.no_grad():
        open_loop(unfitted, test_data, warm=WARM, samples=2, injection=Injection())
    assert torch.equal(torch.get_rng_state(), before)


def test_rewards_are_predicted_beside_their_baselines(rewarded):
    model = exact_rotation_model(TURN)
    with torch.no_grad():
        model.heads[0] = torch.tensor([0.0, 0.0, 2.0, -1.0])
    errors = horizon_error(model, rewarded, rewarded, warm=WARM, horizon=HORIZON)
    assert list(errors.reward) == ["linear", "mean", "persistence"]
    assert float(errors.rms("linear", "reward").max()) < 1e-5
    unit = (rewarded.rewards - rewarded.rewards.mean()) / rewarded.rewards.std()
    truth = unit[:, WARM - 1 : WARM - 1 + HORIZON]
    torch.testing.assert_close(errors.reward["mean"].float(), truth.square())
    last = unit[:, WARM - 2 : WARM - 1]
    torch.testing.assert_close(errors.reward["persistence"].float(), (truth - last).square(), rtol=1e-4, atol=1e-5)
    assert "persistence" not in horizon_error(model, rewarded, rewarded, warm=1, horizon=2).reward
    # Negative control: rewards that are one step off.
    late = replace(rewarded, rewards=rewarded.rewards.roll(1, 1))
    assert float(horizon_error(model, rewarded, late, warm=WARM, horizon=HORIZON).rms("linear", "reward").min()) > 0.1


def test_what_is_seen_may_differ_from_the_truth(data, test_data):
    model, options = exact_rotation_model(TURN), {"warm": WARM, "horizon": HORIZON}
    clean = horizon_error(model, data, test_data, **options)
    same = horizon_error(model, data, test_data, seen=test_data, **options)
    assert all(torch.equal(same.squared[name], clean.squared[name]) for name in clean.squared)
    shifted = replace(test_data, observations=test_data.observations + torch.tensor([0.5, 0.0]))
    errors = horizon_error(model, data, test_data, seen=shifted, **options)
    # The error turns with the state and shrinks by .97 a step.
    wanted = 0.5**2 / 2 * 0.97 ** (2.0 * torch.arange(1, HORIZON + 1))
    torch.testing.assert_close(errors.squared["linear"][3].float(), wanted, rtol=1e-4, atol=1e-6)
    assert torch.equal(errors.squared["mean"], clean.squared["mean"])
    assert not torch.equal(errors.squared["persistence"], clean.squared["persistence"])
    assert not torch.equal(errors.squared["ridge"], clean.squared["ridge"])
    # Held against what was seen, the model would look better at the start than it is.
    assert float(errors.rms("linear")[0]) > 0.1 > float(clean.rms("linear")[0])
    for other in (
        rotations(10, 41, seed=2),
        replace(test_data, actions=test_data.actions + 1.0),
        Episodes(test_data.observations.double(), test_data.actions),
    ):
        with pytest.raises(InvalidArgument, match="seen must be the episodes of test"):
            horizon_error(model, data, test_data, seen=other, **options)


@pytest.mark.parametrize("block", ["z", "h"])
def test_a_drift_in_a_rollout_is_summed_by_the_model(test_data, block):
    """x' = A x + … + d: after k steps the error is (A^{k−1} + … + I) d, read out by the decoder."""
    model = LinearModel(LinearArchitecture(), seed=2).double()
    windows = Episodes(test_data.observations.double(), test_data.actions.double()).windows((0,), WARM + HORIZON)
    injection = Injection(block, "drift", "raw", 0.2)
    with torch.no_grad():
        base = open_loop(model, windows, warm=WARM, seed=3)
        moved = {
            when: open_loop(model, windows, warm=WARM, seed=3, injection=injection, when=when) - base
            for when in ("filter", "rollout", "both")
        }
        pushed = injection.pushed(model, seed=3)
        d = torch.zeros(5, dtype=torch.float64)
        d[pushed.columns] = pushed.root @ pushed.direction
        sequence = model.sequence[:, :5]
        rollout = torch.cat((sequence, model.prior @ sequence))
        seen = torch.cat((sequence, model.posterior[:, :3] @ sequence))
        error, early = torch.zeros_like(d), torch.zeros_like(d)
        for _ in range(WARM):
            early = seen @ early + d
        for k in range(HORIZON):
            error, early = rollout @ error + d, rollout @ early
            torch.testing.assert_close(moved["rollout"][:, k], (model.decoder @ error).expand(10, 2))
            torch.testing.assert_close(moved["filter"][:, k], (model.decoder @ early).expand(10, 2))
    torch.testing.assert_close(moved["both"], moved["filter"] + moved["rollout"])
    assert float(moved["filter"][:, 0].abs().max()) > 1e-3


def test_zero_drift_in_a_rollout_has_its_size_and_no_mean(test_data):
    """A decoder that reads z alone, of a model that forgets z at once: one push is seen, of covariance c² T²."""
    model = LinearModel(LinearArchitecture(), seed=2).double()
    with torch.no_grad():
        model.sequence[:, 3:5] = 0.0
        model.decoder.copy_(torch.cat((torch.zeros(2, 3), torch.eye(2)), dim=1))
    windows = Episodes(test_data.observations.double(), test_data.actions.double()).windows(range(0, 20), 20)
    covariance = torch.diag(torch.tensor([1.0, 1.0, 1.0, 4.0, 0.25], dtype=torch.float64))
    with torch.no_grad():
        base = open_loop(model, windows, warm=10)
        moved = open_loop(model, windows, warm=10, injection=Injection(size=0.1), when="rollout", covariance=covariance)
    error = (moved - base).flatten(0, 1) / (0.1 * torch.tensor([2.0, 0.5], dtype=torch.float64))
    # 2000 rows: the standard error of a variance is .03, of a mean .02.
    torch.testing.assert_close(error.square().mean(0), torch.ones(2, dtype=torch.float64), rtol=0, atol=0.16)
    assert float(error.mean(0).abs().max()) < 0.11
    # Negative control: steps of one window are independent, so that the error is no drift.
    assert float((error.reshape(-1, 10, 2).mean(1).square().mean(0) * 10).max()) < 1.5


def test_units_are_by_default_those_of_the_windows(unfitted, test_data):
    windows = test_data.windows((0,), WARM + HORIZON)
    injection, options = Injection(kind="drift", size=0.5), {"warm": WARM, "seed": 1}
    with torch.no_grad():
        o, a = windows.observations[:, :WARM].transpose(0, 1), windows.actions[:, :WARM].transpose(0, 1)
        states = unfitted.filtered(o, a, seed=derived(1, "open loop: covariance")).states
        by_default = open_loop(unfitted, windows, injection=injection, **options)
        given = open_loop(unfitted, windows, injection=injection, covariance=state_covariance(states), **options)
        plain = open_loop(unfitted, windows, **options)
    assert torch.equal(by_default, given)
    assert not torch.allclose(by_default, plain, atol=1e-2)


def test_an_error_is_injected_into_the_table_as_well(data, test_data):
    options = {"warm": WARM, "horizon": HORIZON}
    model = exact_rotation_model(TURN)
    errors = horizon_error(model, data, test_data, injection=Injection(kind="drift", size=0.1), **options)
    assert float(errors.rms("linear").min()) > 0.01
    assert float(horizon_error(model, data, test_data, **options).rms("linear").max()) < 1e-5


@pytest.mark.slow
def test_a_model_that_is_trained_under_a_drift_meets_it_again(data, test_data):
    """The direction is a function of the seed: the seed of the training finds the direction of the training."""
    injection = Injection("z", "drift", "whitened", 1.0)
    settings = Settings(steps=400, batch=16, length=12, rate=1e-2, warmup=20, observation_scale=0.3)
    result = train(LinearModel(LinearArchitecture(), seed=0), data, settings, seed=6, injection=injection)
    options = {"warm": WARM, "horizon": 1, "injection": injection, "covariance": result.covariance}
    right = horizon_error(result.model, data, test_data, seed=6, **options).rms("linear")[0]
    others = [
        float(horizon_error(result.model, data, test_data, seed=s, **options).rms("linear")[0]) for s in (1, 2, 3)
    ]
    assert float(right) < min(others)


@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
def test_images_have_no_ridge_and_it_is_said(kind):
    draw = torch.Generator().manual_seed(0)
    seen = torch.randint(256, (3, 12, 1, 16, 16), generator=draw, dtype=torch.uint8)
    pictures = Episodes(seen, torch.zeros(3, 11, 1))
    model = RSSM(RSSMArchitecture((1, 16, 16), 1, hidden=5, kind=kind, latent=4, channels=2))
    errors = horizon_error(model, pictures, pictures, warm=4, horizon=5, samples=2)
    assert list(errors.squared) == ["RSSM", "mean", "persistence"]
    assert errors.omitted == {"ridge": "no linear regression on images"}
    truth = model.standardise(seen[:, 4:9])
    last = model.standardise(seen[:, 3:4])
    torch.testing.assert_close(errors.squared["persistence"].float(), (truth - last).square().flatten(2).mean(2))
    with torch.no_grad():
        assert open_loop(model, pictures, warm=4).shape == (3, 7, 1, 16, 16)


def test_a_categorical_model_is_sampled_by_its_draws():
    data = rotations(40, 12, seed=2)
    model = RSSM(RSSMArchitecture(2, 1, hidden=5, kind="categorical", groups=2, classes=3))
    # A decoder that tells a draw from its probabilities: the sum of squares of z.
    model.decode = lambda x: x[..., 5:].square().sum(-1, keepdim=True).expand(*x.shape[:-1], 2)
    with torch.no_grad():
        drawn, smooth = (open_loop(model, data, warm=4, samples=n) for n in (1, 0))
    torch.testing.assert_close(drawn, torch.full_like(drawn, 2.0))
    assert float(smooth.max()) < 1.9


def test_a_rollout_that_leaves_the_numbers_is_noticed(unfitted, test_data):
    with torch.no_grad():
        unfitted.sequence.mul_(1e30)
        with pytest.raises(NumericalFailure, match="steps ahead"):
            open_loop(unfitted, test_data, warm=1)


def test_windows_and_arguments_are_checked(linear, data, test_data):
    linear.fit_units(data)
    with pytest.raises(InvalidArgument, match="do not fit"):
        horizon_error(linear, data, test_data, warm=30, horizon=20)
    with pytest.raises(InvalidArgument, match="at least 50 steps"):
        ridge(data.observations, data.actions, warm=30, horizon=20)
    with pytest.raises(InvalidArgument, match="warm"):
        horizon_error(linear, data, test_data, warm=0)
    with pytest.raises(InvalidArgument, match="when must be one of"):
        open_loop(linear, test_data, warm=WARM, injection=Injection(), when="always")
    with pytest.raises(InvalidArgument, match="samples"):
        open_loop(linear, test_data, warm=WARM, samples=-1)
    with pytest.raises(InvalidArgument, match="warm must be less than the 40 steps"):
        open_loop(linear, test_data, warm=40)
    with pytest.raises(InvalidArgument, match="between 1 and the 40 steps"):
        filtered(linear, test_data, 41)
    with pytest.raises(InvalidArgument, match="at least the model's lag 3, got 2"):
        open_loop(LinearModel(LinearArchitecture(lag=3)), test_data, warm=2)
    errors = horizon_error(linear, data, test_data, warm=WARM, horizon=2)
    with pytest.raises(InvalidArgument, match="what must be one of"):
        errors.rms("linear", "return")
    with pytest.raises(InvalidArgument, match="what='reward' was not predicted"):
        errors.rms("linear", "reward")
    with pytest.raises(InvalidArgument, match="name must be one of 'linear'"):
        errors.rms("cubic")


def by_simulation(model, windows, warm, samples, seed):
    """Predictions of a neural SDE from its own systems, solved by torchsde."""
    total = 0.0
    for sample in range(max(samples, 1)):
        noise = samples > 0
        filtering, rollout = model.filtering(noise=noise), model.rollout(noise=noise)
        seen = model.standardise(windows.observations[:, :warm])
        inputs = torch.cat((windows.actions[:, :warm].to(seen), seen), dim=-1).transpose(0, 1)
        start = seen.new_zeros(len(windows), filtering.dim)
        grid = TimeGrid(T=warm, steps=warm)
        noise_seed = derived(seed, "open loop: filter", sample)
        final = simulate(filtering, start, grid, seed=noise_seed, actions=inputs, save="final").final
        actions = windows.actions[:, warm:].transpose(0, 1)
        grid = TimeGrid(T=len(actions), steps=len(actions))
        noise_seed = derived(seed, "open loop: rollout", sample)
        states = simulate(rollout, filtering.rollout_start(final), grid, seed=noise_seed, actions=actions).states[1:]
        blocks = rollout.split(states)
        total = total + model.read_out(blocks.hidden, blocks.predictor)
    return (total / max(samples, 1)).transpose(0, 1)


@pytest.mark.parametrize("samples", [0, 3])
def test_a_neural_sde_is_rolled_out_as_torchsde_solves_it(model, test_data, samples):
    windows, model = test_data.windows((0, 5), WARM + HORIZON), model.double()
    with torch.no_grad():
        found = open_loop(model, windows, warm=WARM, samples=samples, seed=4)
        expected = by_simulation(model, windows, WARM, samples, seed=4)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_neural_sde_keeps_its_name(model, data, test_data):
    errors = horizon_error(model, data, test_data, warm=WARM, horizon=2)
    assert list(errors.squared) == ["neural SDE", "mean", "persistence", "ridge"]
