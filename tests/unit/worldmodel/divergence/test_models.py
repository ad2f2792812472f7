"""Step maps, recurrent cells and networks of other people, with singular noise and without vmap."""

import importlib
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sdewm import StepMap, TimeGrid, divergence, euler_map
from sdewm.drifts import TanhNetwork
from sdewm.theory.bounds.rollout import draw_normals, move
from sdewm.worldmodel.divergence.injection import injections
from sdewm.worldmodel.divergence.units import raw_unit

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def fixed(module: nn.Module) -> nn.Module:
    """The same weights everywhere, without a global random state."""
    for k, weight in enumerate(module.parameters()):
        weight.data = normal(*weight.shape, seed=k).to(weight) / weight.shape[-1] ** 0.5
    return module


HIDDEN, LATENT, ACTION = 6, 3, 2
CELL, HEAD = fixed(nn.GRUCell(LATENT + ACTION, HIDDEN).double()), fixed(nn.Linear(HIDDEN, LATENT).double())


def mean(n: int, x: Tensor, a: Tensor) -> Tensor:
    h = CELL(torch.cat((x[:, HIDDEN:], a), 1), x[:, :HIDDEN])
    return torch.cat((h, HEAD(h)), 1)


def scale(n: int, x: Tensor, a: Tensor) -> Tensor:
    """Zero on h."""
    return torch.cat((torch.zeros_like(x[:, :HIDDEN]), 0.3 + 0.1 * torch.tanh(x[:, HIDDEN:])), 1)


RSSM = StepMap(mean, scale, HIDDEN + LATENT, HIDDEN + LATENT, ACTION)
STATES, ACTIONS = 0.5 * normal(16, HIDDEN + LATENT), normal(8, 16, ACTION, seed=1)
Z = slice(HIDDEN, HIDDEN + LATENT)


def test_a_step_map_with_singular_noise() -> None:
    d = divergence(RSSM, STATES, ACTIONS, of=Z, sizes=0.05)
    assert d.columns == LATENT
    for kind in ("initial", "zero drift", "drift"):
        assert d.curve(kind).within == 8
    exponents = d.jacobians.lyapunov
    for part in (exponents.value, exponents.low, exponents.high):
        assert not np.isnan(part).any()
    # z' is a function of h' and of z through the scale: with noise held fixed nothing is forgotten.
    assert np.isfinite(exponents.value).all()


def test_what_is_resampled_is_forgotten() -> None:
    """With a scale that does not read z, z' is a function of h' alone: as many directions are lost as z has."""
    d = divergence(
        lambda x, a, xi: mean(0, x, a) + 0.3 * torch.cat((0.0 * x[:, :HIDDEN], xi), 1),
        STATES,
        ACTIONS,
        of=Z,
        noise_dim=LATENT,
        sizes=0.05,
    )
    assert np.isneginf(d.jacobians.lyapunov.value).tolist() == [False] * HIDDEN + [True] * LATENT
    assert f"{LATENT} are −∞" in str(d)
    assert f"{LATENT} of {HIDDEN + LATENT} directions are forgotten" in d.explain()


def test_a_step_map_moves_as_simulations_do() -> None:
    """The same noise as `simulate_coupled` with this seed, step index and all."""
    system, grid = TanhNetwork(dim=4, gain=0.8, seed=1), TimeGrid(1.0, 5)
    step, x = euler_map(system, grid), normal(7, 4)
    normals = draw_normals(step, TimeGrid(5, 5), 7, seed=3)
    (v,) = (each.every for each in injections("drift", raw_unit(4), 7, 5, 1, 3))
    base, moved = x, x
    for n in range(5):
        base, moved = move(step, n, base, normals[n]), move(step, n, moved, normals[n]) + 1e-3 * v
    d = divergence(step, x, horizon=5, units="raw", sizes=1e-3, errors="drift", directions=1, seed=3)
    assert d.curve("drift").error.value[-1] == pytest.approx(float((moved - base).square().mean().sqrt()), rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_a_gru_cell(dtype: torch.dtype) -> None:
    cell = fixed(nn.GRUCell(ACTION, HIDDEN)).to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        d = divergence(lambda h, a: cell(a, h), STATES[:, :HIDDEN].to(dtype), ACTIONS, sizes=0.01)
    assert d.jacobians.looped is None
    assert all(c.within == 8 for c in d.curves)
    assert cell.weight_hh.grad is None
    assert all(b.tightest >= 1.0 - (1e-9 if dtype == F64 else 1e-3) for b in d.bounds)


def test_an_lstm_that_vmap_does_not_pass() -> None:
    """nn.LSTM has neither forward differentiation nor vmap on the CPU: products go backwards, matrices in a loop."""
    lstm = fixed(nn.LSTM(ACTION, HIDDEN, batch_first=True)).float()
    cell = nn.LSTMCell(ACTION, HIDDEN)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in lstm.state_dict().items()})

    def fused(x: Tensor, a: Tensor) -> Tensor:
        h, c = (part[None].contiguous() for part in x.split(HIDDEN, 1))
        _, (h, c) = lstm(a[:, None], (h, c))
        return torch.cat((h[0], c[0]), 1)

    def plain(x: Tensor, a: Tensor) -> Tensor:
        return torch.cat(cell(a, x.split(HIDDEN, 1)), 1)

    x = 0.5 * normal(16, 2 * HIDDEN).float()
    with pytest.warns(UserWarning, match="vmap does not go through step") as caught:
        one = divergence(fused, x, ACTIONS, sizes=0.01)
    assert len([each for each in caught if "vmap" in str(each.message)]) == 1
    assert one.jacobians.looped
    assert any("vmap" in flag for flag in one.flags)
    other = divergence(plain, x, ACTIONS, sizes=0.01)
    assert other.jacobians.looped is None
    for a, b in zip(one.curves, other.curves, strict=True):
        np.testing.assert_allclose(a.growth.value, b.growth.value, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(a.predicted.value, b.predicted.value, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(one.jacobians.lyapunov.value[:4], other.jacobians.lyapunov.value[:4], atol=1e-3)


def test_attention() -> None:
    """Fused attention can be differentiated once on the CPU; a model with it has its first order all the same."""
    layer = fixed(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)).double().eval()
    x = normal(12, 8)
    d = divergence(lambda x: layer(x.view(-1, 2, 4)).flatten(1), x, horizon=3, sizes=1e-5, bound_states=2)
    for c in d.curves:
        np.testing.assert_allclose(c.ratio.value[1:], 1.0, atol=1e-3)
        assert c.off is None
    assert d.jacobians is not None


def test_a_latent_neural_sde(model) -> None:
    """A model of this package, by its Euler step, whose time unit is one environment step."""
    step = euler_map(model.rollout(), TimeGrid(8, 8))
    x, a = normal(12, step.dim).float(), normal(8, 12, 1, seed=1)
    d = divergence(step, x, a, of=slice(6, 9), sizes=0.01)
    assert all(c.within == 8 for c in d.curves)
    assert np.isfinite(d.jacobians.lyapunov.value).all()


@pytest.mark.slow
@pytest.mark.parametrize(("step", "states"), [(lambda x: x, STATES), (torch.sin, STATES[:2, :1])], ids=["same", "two"])
@pytest.mark.parametrize("horizon", [1, 2])
def test_the_smallest_cases(step, states, horizon, tmp_path) -> None:
    d = divergence(step, states, horizon=horizon, sizes=0.1)
    # Two states leave intervals too wide to say how far first order goes, not wrong ones.
    assert all(c.off is None for c in d.curves)
    assert str(d)
    assert d.explain()
    d.plot(tmp_path / "small.png")


def test_a_map_to_one_point() -> None:
    d = divergence(torch.zeros_like, STATES, horizon=3, units="raw", sizes=0.1)
    assert np.isneginf(d.jacobians.lyapunov.value).all()
    assert d.curve("initial").lost == 1
    np.testing.assert_allclose(d.curve("drift").growth.value, [0.0, 1.0, 1.0, 1.0])


def test_large_jacobians_are_taken_of_fewer_states(monkeypatch) -> None:
    # By its name: the attribute of the package is the function.
    monkeypatch.setattr(importlib.import_module("sdewm.worldmodel.divergence.report"), "_ENTRIES", 4 * 9**2 * 5)
    d = divergence(torch.sin, STATES, horizon=4, sizes=0.1, bound_states=0)
    assert d.jacobians.states == 5
    assert any("Jacobians of 5 states in place of 16" in flag for flag in d.flags)


@pytest.mark.parametrize("name", ["_ENTRIES", "_WORK"])
def test_jacobians_that_are_too_large_are_left_out(monkeypatch, name: str) -> None:
    monkeypatch.setattr(importlib.import_module("sdewm.worldmodel.divergence.report"), name, 10)
    d = divergence(torch.sin, STATES, horizon=4, sizes=0.1)
    assert d.jacobians is None
    assert any("Jacobians left out: those of 9 columns over 4 steps" in flag for flag in d.flags)
    assert (d.bounds == ()) == (name == "_ENTRIES") == any("bounds left out" in flag for flag in d.flags)
    # Growth is predicted all the same.
    whole = divergence(torch.sin, STATES, horizon=4, sizes=0.1, jacobians=True, bound_states=0)
    assert [c.ratio.value[-1] for c in d.curves] == [c.ratio.value[-1] for c in whole.curves] != []
    assert str(d) + d.explain()
    assert len(d.plot().subfigs) == 1


def test_a_step_that_looks_at_its_data() -> None:
    def looks(x: Tensor) -> Tensor:
        return torch.sin(x) if bool((x < 1e9).all()) else x

    with pytest.warns(UserWarning, match="vmap"):
        d = divergence(looks, STATES, horizon=4, sizes=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = divergence(torch.sin, STATES, horizon=4, sizes=0.01)
    np.testing.assert_allclose(d.jacobians.lyapunov.value, plain.jacobians.lyapunov.value, rtol=1e-9)
    for a, b in zip(d.bounds, plain.bounds, strict=True):
        np.testing.assert_allclose(a.product, b.product, rtol=1e-9)


def test_modules_keep_their_gradients_and_modes() -> None:
    model = fixed(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Tanh())).eval()
    divergence(model, normal(8, 3).float(), horizon=3, sizes=0.1)
    assert not model.training


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_may_be_off_outside(mode) -> None:
    plain = divergence(torch.sin, STATES, horizon=3, sizes=0.1)
    with mode():
        states = STATES.clone()
        assert divergence(torch.sin, states, horizon=3, sizes=0.1).to_dict() == plain.to_dict()


def test_groups_widen_the_intervals() -> None:
    x = normal(8, 2).repeat_interleave(4, 0)
    step = lambda y: y + 0.3 * torch.sin(2.0 * y)  # noqa: E731
    alone = divergence(step, x, horizon=6, errors="initial", units="raw", sizes=0.01)
    grouped = divergence(
        step, x, horizon=6, errors="initial", units="raw", sizes=0.01, groups=torch.arange(8).repeat_interleave(4)
    )
    assert (alone.clusters, grouped.clusters) == (32, 8)
    assert "in 8 groups" in str(grouped)
    # So few are rough, and one says so; enough of them are not.
    assert any("intervals over 8 groups are rough" in flag for flag in grouped.flags)
    assert not any("rough" in flag for flag in alone.flags)
    a, b = (d.curve("initial").growth for d in (alone, grouped))
    np.testing.assert_allclose(a.value, b.value)
    assert not np.allclose(a.high, b.high)
