"""Representation errors of a linear model, where they are known, and what must hold for any model."""

import json
import math

import pytest
import torch
from torch import nn

from sdewm.dynamics.step_map import StepMap
from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel import residuals
from sdewm.worldmodel.episodes import Episodes
from sdewm.worldmodel.model import Filtered, WorldModel
from sdewm.worldmodel.neural_sde import Architecture, NeuralSDE
from sdewm.worldmodel.noise import window_normals
from sdewm.worldmodel.residuals import latent_residuals, mean_square_values
from sdewm.worldmodel.rssm import RSSM, RSSMArchitecture
from sdewm.worldmodel.seeds import derived
from tests.alarm import assert_covers, assert_misses

from .conftest import rotations

A = torch.tensor([[0.9, 0.4], [-0.3, 0.7]]).double()
B = torch.tensor([[0.8, 0.0], [0.5, 0.3]]).double()
SIGMA = torch.tensor([0.3, -0.2]).double()
SPREAD = 0.25


class Linear(WorldModel):
    """y = A y + σ + B o + s ξ while filtering and A y in a rollout, seen as z = M y; h is one number, zero."""

    def __init__(self, basis=None, spread=SPREAD):
        super().__init__()
        self.hidden, self.latent, self.action, self.observation, self.lag = 1, 2, 1, (2,), 1
        self.basis = nn.Parameter(torch.eye(2).double() if basis is None else basis)
        self.spread = spread

    def standardise(self, observations):
        return observations.double()

    def check(self, episodes):
        assert episodes.shape == self.observation

    def filtered(self, observations, actions, *, seed, noise=True, pushed=None):
        length, windows, _ = actions.shape
        xi = window_normals(seed, "filter", length, windows, 2, torch.float64)
        y, rows = torch.zeros(windows, 2).double(), []
        for n in range(length):
            prior = y @ A.T
            posterior = prior + SIGMA + observations[n] @ B.T
            y = posterior + self.spread * xi[n]
            rows.append((y, prior, posterior))
        z, p, q = (torch.stack(column) @ self.basis.T for column in zip(*rows, strict=True))
        return Filtered(torch.cat((torch.zeros(length, windows, 1), z), dim=-1), torch.zeros(length, windows), p, q)

    def prior_map(self, *, noise=True):
        step = self.basis @ A @ torch.linalg.inv(self.basis)
        moved = lambda n, x, a: torch.cat((x[:, :1], x[:, 1:] @ step.T), dim=1)  # noqa: E731
        return StepMap(moved, lambda n, x, a: torch.zeros_like(x), 3, 3, 1)

    fit_units = embed = filter_map = whole_map = decode = reward = continuing = None


def white(episodes, steps, seed=0):
    source = torch.Generator().manual_seed(seed)
    return Episodes(torch.randn(episodes, steps + 1, 2, generator=source), torch.zeros(episodes, steps, 1))


def truth(k):
    """E|z̃_K − m_q|² / 2 after K steps: what was pushed in before is carried on, and the last step has no draw yet."""
    power, drift, total = torch.eye(2).double(), torch.zeros(2).double(), 0.0
    for j in range(k):
        drift = drift + power @ SIGMA
        noise = B @ B.T + (SPREAD**2 * torch.eye(2).double() if j else 0.0)
        total += float((power @ noise @ power.T).trace())
        power = power @ A
    return (total + float(drift.square().sum())) / 2.0


def test_a_linear_model_has_the_errors_that_it_has():
    found = latent_residuals(Linear(), white(1600, 60), warm=10, horizon=20)
    raw = found.sizes["raw"]
    assert tuple(raw.transition) == (1, 5, 10, 20)
    assert raw.residual.n == found.episodes == 1600
    assert_covers(raw.residual, float(SIGMA.square().sum() + (B @ B.T).trace()) / 2.0)
    assert_covers(raw.drift, float(SIGMA.square().sum()) / 2.0)
    assert_covers(raw.spread, SPREAD**2)
    for k in raw.transition:
        assert_covers(raw.transition[k], truth(k))
    # Negative controls: the spread of the last draw, and a mean square with the bias of its noise.
    assert_misses(raw.transition[1], truth(1) + SPREAD**2)
    assert_misses(raw.transition[5], truth(4))
    assert_misses(raw.drift, float(SIGMA.square().sum()) / 2.0 + 0.02)
    torch.testing.assert_close(found.drift, SIGMA, rtol=0, atol=0.03)
    torch.testing.assert_close(found.diffusion @ found.diffusion, B @ B.T, rtol=0, atol=0.05)
    value, low, high = raw.ratio(20)
    assert low < value < high
    assert value == pytest.approx(math.sqrt(raw.transition[20].value / raw.spread.value))
    assert low < math.sqrt(truth(20)) / SPREAD < high


def test_whitened_units_do_not_depend_on_the_basis():
    data = white(20, 60)
    turned = torch.tensor([[3.0, -1.0], [0.4, 0.2]]).double()
    one, other = (latent_residuals(Linear(m), data, warm=10, horizon=20) for m in (None, turned))
    for name in ("residual", "drift", "spread"):
        a, b = (getattr(r.sizes["whitened"], name) for r in (one, other))
        assert a.value == pytest.approx(b.value, rel=1e-9)
        assert a.standard_error == pytest.approx(b.standard_error, rel=1e-9)
        a, b = (getattr(r.sizes["raw"], name).value for r in (one, other))
        assert a != pytest.approx(b, rel=1e-2)
    for k, estimate in one.sizes["whitened"].transition.items():
        assert estimate.value == pytest.approx(other.sizes["whitened"].transition[k].value, rel=1e-9)
    torch.testing.assert_close(other.drift, turned @ one.drift)
    cov = other.root @ other.root
    torch.testing.assert_close(cov, turned @ one.root @ one.root @ turned.T)


def test_episodes_are_measured_in_pieces(monkeypatch):
    data, model = white(20, 60), Linear(spread=0.0)
    whole = latent_residuals(model, data, warm=10, horizon=20)
    monkeypatch.setattr(residuals, "_HELD", 2 * 30 * 2 * 3)
    pieces = latent_residuals(model, data, warm=10, horizon=20)
    assert _close(pieces.to_dict(), whole.to_dict())


def _close(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_close(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_close, one, other))
    return one == pytest.approx(other, rel=1e-9, abs=1e-12)


RSSMS = {
    "gaussian": RSSMArchitecture(2, 1, hidden=6, latent=3, width=8),
    "categorical": RSSMArchitecture(2, 1, hidden=6, kind="categorical", groups=2, classes=3, width=8),
}


def untrained(kind, data):
    model = NeuralSDE(Architecture(2, 1, latent=3, hidden=6, width=8)) if kind == "sde" else RSSM(RSSMS[kind])
    model.fit_units(data)
    return model


@pytest.mark.parametrize("kind", ["gaussian", "categorical", "sde"])
def test_the_first_step_of_a_rollout_misses_the_residual(kind, data):
    model = untrained(kind, data)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    found = latent_residuals(model, data, warm=10, horizon=1)
    for sizes in found.sizes.values():
        assert sizes.transition[1].value == pytest.approx(sizes.residual.value, rel=1e-9)
        assert sizes.transition[1].standard_error == pytest.approx(sizes.residual.standard_error, rel=1e-6)
        # A squared mean is smaller than a mean square.
        assert 0.0 < sizes.drift.value < sizes.residual.value
    assert found.rank == (4 if kind == "categorical" else 3)
    # The model is left as it was, in its own precision.
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert next(model.parameters()).dtype == torch.float32


@pytest.mark.parametrize("kind", ["gaussian", "categorical", "sde"])
def test_transition_errors_are_those_of_a_rollout_with_the_models_lag(kind, data):
    found = latent_residuals(untrained(kind, data), data, warm=10, horizon=20, seed=3)
    model = untrained(kind, data).double().requires_grad_(False)
    # One window an episode: its first 30 steps.
    seen = model.standardise(data.observations[:, :30]).transpose(0, 1)
    actions = data.actions[:, :30].double().transpose(0, 1)
    result = model.filtered(seen, actions, seed=derived(3, "residuals: filter"))
    h, step = slice(0, 6), model.prior_map(noise=False)

    def rolled(lag, k):
        x = result.states[9]
        for n in range(10, 10 + k):
            x = step.mean(0, x, actions[n - lag])
        return x

    # With its own lag, and not with the other, one step of a rollout and one of the filter agree in h.
    torch.testing.assert_close(rolled(model.lag, 1)[:, h], result.states[10][:, h])
    assert not torch.allclose(rolled(1 - model.lag, 1)[:, h], result.states[10][:, h], rtol=1e-4)
    for k in (1, 5, 20):
        miss = rolled(model.lag, k)[:, 6:] - result.posterior_mean[9 + k]
        expected = float(miss.square().mean())
        assert found.sizes["raw"].transition[k].value == pytest.approx(expected, rel=1e-9)
    miss = rolled(1 - model.lag, 20)[:, 6:] - result.posterior_mean[29]
    assert found.sizes["raw"].transition[20].value != pytest.approx(float(miss.square().mean()), rel=1e-4)


def test_the_spread_is_that_of_the_posterior():
    data = rotations(200, 40, seed=2)
    model = untrained("gaussian", data)
    found = latent_residuals(model, data, warm=5, horizon=30, seed=1)
    model = model.double().requires_grad_(False)
    seen = model.standardise(data.observations[:, :35]).transpose(0, 1)
    scale = model.filtered(seen, data.actions[:, :35].transpose(0, 1), seed=0).posterior_scale[5:]
    assert_covers(found.sizes["raw"].spread, float(scale.square().mean()), slack=1e-3)
    assert_misses(found.sizes["raw"].spread, float(scale.mean()))


def test_numbers_for_a_file_and_their_seed(data):
    model = untrained("categorical", data)
    one, two, other = (latent_residuals(model, data, warm=5, horizon=7, seed=s).to_dict() for s in (0, 0, 1))
    assert one == two == json.loads(json.dumps(one))
    assert one != other
    sizes = one["mean squares a coordinate, with intervals over episodes"]
    assert sizes.keys() == {"whitened", "raw"}
    for row in sizes.values():
        assert row["transition"].keys() == row["transition / spread"].keys() == {"1", "5", "7"}
        for value, low, high in (row["residual"], row["drift"], row["spread"], *row["transition"].values()):
            assert low <= value <= high


def test_the_squared_mean_has_no_bias_and_the_jackknifes_error():
    means = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)).double() + 0.5
    gram = means @ means.T

    def statistic(rows):
        pairs = [gram[i, j] for i in rows for j in rows if i != j]
        return torch.stack(pairs).mean()

    values = mean_square_values(means)
    torch.testing.assert_close(values.mean(), statistic(range(7)))
    without = torch.stack([statistic([i for i in range(7) if i != k]) for k in range(7)])
    jackknife = 6.0 / 7.0 * (without - without.mean()).square().sum()
    torch.testing.assert_close(values.var() / 7.0, jackknife)
    # Negative control: the plain square of the mean is larger by the variance of the mean.
    torch.testing.assert_close(means.mean(0).square().sum() - values.mean(), means.var(0).sum() / 7.0)


def test_what_does_not_fit_is_refused(data):
    model = untrained("gaussian", data)
    with pytest.raises(InvalidArgument, match="episodes must have at least 75 steps, got 40"):
        latent_residuals(model, data)
    few = Episodes(data.observations[:2], data.actions[:2])
    with pytest.raises(InvalidArgument, match="at least 3, for intervals over them, got 2"):
        latent_residuals(model, few, warm=5, horizon=5)
    with pytest.raises(InvalidArgument, match=r"sizes \(2, 1\), got \(1, 1\)"):
        latent_residuals(model, Episodes(data.observations[..., :1], data.actions), warm=5, horizon=5)
    for name in ("warm", "horizon"):
        with pytest.raises(InvalidArgument, match=f"{name} must be a whole number >= 1"):
            latent_residuals(model, data, **{"warm": 5, "horizon": 5, name: 0})
    with pytest.raises(InvalidArgument, match="horizon must be one of 1, 5, got 3"):
        latent_residuals(model, data, warm=5, horizon=5).sizes["raw"].ratio(3)
    still = Linear(torch.zeros(2, 2).double())
    still.prior_map = lambda *, noise=True: StepMap(lambda n, x, a: x, lambda n, x, a: x, 3, 3, 1)
    with pytest.raises(InvalidArgument, match="z does not vary"):
        latent_residuals(still, white(4, 12), warm=5, horizon=5)
