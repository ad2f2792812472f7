"""Growth of injected errors against closed forms, and where first order ends."""

import numpy as np
import pytest
import torch
from alarm import FALSE_ALARM, assert_covers, assert_misses, spend
from torch import Tensor

import sdewm
from sdewm import divergence
from sdewm.worldmodel.divergence.arguments import driven_map
from sdewm.worldmodel.divergence.injection import injections
from sdewm.worldmodel.divergence.measure import base_states, measure_squares
from sdewm.worldmodel.divergence.spread import moments
from sdewm.worldmodel.divergence.units import raw_unit

F64 = torch.float64
A = torch.tensor([[0.9, 0.8, 0.0], [0.0, 0.7, -0.5], [0.1, 0.0, 0.6]], dtype=F64)
STEPS = 12


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def linear(x: Tensor) -> Tensor:
    return x @ A.T


def raw(step, states, **more):
    return divergence(step, states, **{"units": "raw", "horizon": STEPS, "bound_states": 0, **more})


def rms(e: Tensor) -> float:
    return float(e.square().mean().sqrt())


def test_a_linear_map_grows_as_it_must() -> None:
    d = raw(linear, normal(16, 3), sizes=(0.01, 10.0), directions=3)
    powers = [torch.linalg.matrix_power(A, n) for n in range(STEPS + 1)]
    start = injections("initial", raw_unit(3), 16, STEPS, 3, 0)[0].start
    every = injections("zero drift", raw_unit(3), 16, STEPS, 3, 0)[0].every
    v = torch.stack([i.every for i in injections("drift", raw_unit(3), 16, STEPS, 3, 0)])
    for size in (0.01, 10.0):
        for n in range(1, STEPS + 1):
            expected = {
                "initial": rms(start @ powers[n].T),
                "zero drift": rms(sum(every[k] @ powers[n - 1 - k].T for k in range(n))),
                "drift": rms(sum(v @ powers[k].T for k in range(n))),
            }
            for kind, value in expected.items():
                curve = d.curve(kind, size=size)
                assert curve.growth.value[n] == pytest.approx(value, rel=1e-9)
                assert curve.predicted.value[n] / size == pytest.approx(value, rel=1e-12)
                assert curve.ratio.value[n] == pytest.approx(1.0, abs=1e-9)
                assert curve.within == STEPS
                assert curve.off is None
    # Control: the spectral radius alone, or a step too few, is another growth of this non-normal map.
    radius = float(torch.linalg.eigvals(A).abs().max())
    assert abs(d.curve("initial").growth.value[6] / radius**6 - 1.0) > 0.1
    assert abs(rms(start @ powers[5].T) / rms(start @ powers[6].T) - 1.0) > 1e-3


def test_zero_drift_adds_squares_of_powers() -> None:
    paths, n = 1024, 8
    zero = measure_squares(
        driven_map(linear, normal(paths, 3), None, 0, n, 0),
        base_states(driven_map(linear, normal(paths, 3), None, 0, n, 0), normal(paths, 3)),
        injections("zero drift", raw_unit(3), paths, n, 1, 0),
        [0.1],
        torch.arange(3),
        None,
        True,
    )[0]
    estimate = moments(zero.error[0].numpy().T, np.arange(paths)).estimates()[n]
    truth = sum(float(torch.linalg.matrix_power(A, k).square().sum()) for k in range(n)) / 3.0
    assert_covers(estimate, 0.01 * truth)
    assert_misses(estimate, 0.01 * n)  # plain addition of a map that keeps distances
    assert_misses(estimate, 0.01 * truth * n**0.5)


def test_a_map_that_keeps_distances_follows_the_laws() -> None:
    d = raw(lambda x: x.clone(), normal(64, 5), sizes=0.1)
    for kind in ("initial", "drift"):
        np.testing.assert_allclose(d.curve(kind).growth.value, d.curve(kind).law, rtol=1e-12)
    zero = d.curve("zero drift")
    # 64 · 5 squared normals a step: 5 standard errors of their RMS are 20 %, at 12 steps.
    spend(2.0 * FALSE_ALARM)
    np.testing.assert_allclose(zero.growth.value[1:], zero.law[1:], rtol=0.2)
    assert "like N" in d.explain()
    assert "stays near" in d.explain()


def test_every_kind_has_one_size_for_one_step() -> None:
    step = lambda x: torch.zeros_like(x)  # noqa: E731
    d = raw(step, normal(512, 40), sizes=0.3, errors=("initial", "zero drift", "drift"), jacobians=False)
    assert d.curve("initial").error.value[0] == pytest.approx(0.3, rel=1e-12)
    assert d.curve("drift").error.value[1] == pytest.approx(0.3, rel=1e-12)
    # 20480 squared normals: 5 standard errors of their RMS are 2.5 %.
    spend(FALSE_ALARM)
    assert d.curve("zero drift").error.value[1] == pytest.approx(0.3, rel=0.025)


def logistic(x: Tensor) -> Tensor:
    return 3.9 * x * (1.0 - x)


def test_first_order_ends_where_chaos_saturates() -> None:
    x = torch.rand(256, 1, generator=torch.Generator().manual_seed(1), dtype=F64) * 0.8 + 0.1
    d = raw(logistic, x, sizes=(1e-9, 1e-4, 1e-2), horizon=25, errors="initial")
    tiny, small, large = (d.curve("initial", size=c) for c in (1e-9, 1e-4, 1e-2))
    assert tiny.within > small.within > large.within >= 1
    assert large.off is not None
    assert large.off > large.within
    # The error is no larger than the interval it lives in, while first order goes on.
    assert large.ratio.high[-1] < 0.3
    assert large.error.value[-1] < 1.0 < large.predicted.value[-1]
    # Near the maximum of the map its derivative vanishes, so that some differ at once.
    assert large.agreeing[1] > 0.7
    assert large.agreeing[-1] < 0.2
    # The exponent of the logistic map at r = 3.9 is .4945: half a unit of doubt for 25 steps.
    assert d.jacobians.lyapunov.value[0] == pytest.approx(0.4945, abs=0.05)
    assert "off from step" in d.explain()


def test_noise_of_a_path_does_not_depend_on_their_number() -> None:
    def step(x, a, noise):
        return torch.sin(3.0 * x) + a + 0.1 * noise

    results = []
    for paths in (4, 1500):
        states, actions = normal(1500, 3)[:paths], normal(6, 1500, 3, seed=1)[:, :paths]
        driven = driven_map(step, states, actions, 3, None, 7)
        each = [i for kind in ("initial", "zero drift", "drift") for i in injections(kind, raw_unit(3), paths, 6, 2, 7)]
        base = base_states(driven, states)
        results.append((base, measure_squares(driven, base, each, [0.1], torch.arange(3), None, True)))
    (few, few_squares), (many, many_squares) = results
    assert torch.equal(few, many[:, :4])
    for one, other in zip(few_squares, many_squares, strict=True):
        assert torch.equal(one.error, other.error[:, :, :4])
        assert torch.equal(one.first, other.first[:, :4])


def test_the_seed_fixes_everything() -> None:
    x = normal(8, 3)
    one, same, other = (raw(torch.sin, x, seed=seed).to_dict() for seed in (0, 0, 1))
    assert one == same
    assert one["curves"] != other["curves"]


def test_errors_go_into_the_chosen_columns_only() -> None:
    """h' = z, z' = 0: an error of z is in h a step later, and no error of z is left."""

    def step(x: Tensor) -> Tensor:
        return torch.cat((x[:, 1:], torch.zeros_like(x[:, :1])), 1)

    d = raw(step, normal(8, 2), of=1, sizes=0.1, errors="initial", measure=lambda x: 2.0 * x[:, :1])
    curve = d.curve("initial")
    np.testing.assert_allclose(curve.error.value[:3], [0.1, 0.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(curve.read.value[:3], [0.0, 0.2, 0.0], atol=1e-15)
    np.testing.assert_allclose(curve.read_predicted.value[:3], [0.0, 0.2, 0.0], atol=1e-15)
    assert "rounding" in str(d)
    assert bool(np.isneginf(d.jacobians.lyapunov.value).all())


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_both_dtypes_tell_the_same(dtype: torch.dtype) -> None:
    w = normal(6, 6, seed=3) / 6**0.5 * 1.2
    full = divergence(lambda x: torch.tanh(x @ w), normal(16, 6), horizon=8, sizes=0.1)
    half = divergence(lambda x: torch.tanh(x @ w.to(dtype)), normal(16, 6).to(dtype), horizon=8, sizes=0.1)
    for one, other in zip(full.curves, half.curves, strict=True):
        np.testing.assert_allclose(one.growth.value[1:], other.growth.value[1:], rtol=1e-3)
        np.testing.assert_allclose(one.predicted.value[1:], other.predicted.value[1:], rtol=1e-3)
    np.testing.assert_allclose(full.jacobians.lyapunov.value, half.jacobians.lyapunov.value, atol=1e-3)


def test_rounding_is_not_taken_for_growth() -> None:
    """In float32 the error of a contraction ends as rounding of states of size one, first order goes on to zero."""
    x = 1.0 + normal(32, 4).float()
    d = raw(lambda x: 1.0 + 0.3 * (x - 1.0), x, horizon=30, sizes=1e-3, errors="initial")
    curve = d.curve("initial")
    assert curve.lost is not None
    assert 4 <= curve.lost <= 12
    assert curve.off is None
    assert any("rounding" in flag for flag in d.flags)
    assert np.isnan(curve.ratio.value[-1])
    exact = raw(lambda x: 1.0 + 0.3 * (x - 1.0), x.double(), horizon=10, sizes=1e-3, errors="initial")
    assert exact.curve("initial").lost is None


@pytest.mark.parametrize(("dtype", "horizon"), [(torch.float32, 50), (F64, 100)])
def test_rounding_that_has_grown_is_not_an_error_that_has_died(dtype: torch.dtype, horizon: int) -> None:
    """Chaos makes rounding as large as the states, and with it each error: it has saturated."""
    x = torch.rand(64, 1, generator=torch.Generator().manual_seed(1), dtype=F64) * 0.8 + 0.1
    d = raw(logistic, x.to(dtype), sizes=1e-2, horizon=horizon, errors="initial")
    curve = d.curve("initial")
    assert curve.lost is None
    assert curve.error.value[-1] > 0.2
    assert curve.ratio.value[-1] < 1e-3
    assert "died away" not in str(d)
    assert "dies away" not in d.explain()
    assert any("rounding alone grows to 1% of the states' spread by step" in flag for flag in d.flags)
    # Controls: as long as rounding is small nothing is said, and an error that does die away is lost.
    assert not raw(logistic, x.to(dtype), sizes=1e-2, horizon=8, errors="initial").flags
    assert raw(lambda x: 0.5 * x, x.to(dtype), horizon=horizon, errors="drift").curve("drift").lost is None


def test_tiny_sizes_are_flagged() -> None:
    d = raw(torch.sin, 100.0 + normal(8, 2).float(), sizes=1e-5, horizon=2, errors="initial")
    assert any("hundred roundings" in flag for flag in d.flags)
    assert not any("hundred" in flag for flag in raw(torch.sin, normal(8, 2), sizes=1e-5, horizon=2).flags)


def test_no_random_state_is_touched() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    with pytest.raises(sdewm.Refused):
        raw(lambda x: x + torch.randn_like(x), normal(4, 2))
    raw(lambda x: x + 0.0 * torch.rand(1, dtype=F64) + 0.0 * np.random.random(), normal(4, 2), jacobians=False)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()
