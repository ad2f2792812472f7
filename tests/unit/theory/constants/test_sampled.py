"""Suprema between coupled paths: closed forms, finite differences, and the ends that miss them."""

import itertools
import math
from typing import Any, final

import numpy as np
import pytest
import torch
from systems import F64, Contracting, CoupledDiagonal, fixed
from torch import Tensor

from sdewm import InvalidArgument, LatentSDE, NumericalFailure, RepresentationError, StepMap, TimeGrid, euler_map
from sdewm.constant import Sampled, joined
from sdewm.drifts import Cubic, DoubleWell, Geometric, Linear, TanhNetwork
from sdewm.jacobian import jacobians, log_norm
from sdewm.theory.bounds import Weighted
from sdewm.theory.constants import SampledConstants, certified_constants, samplable
from sdewm.theory.constants.linearised import field_jacobians, joint
from sdewm.theory.constants.segments import segment_points


def test_the_middle_of_a_segment_counts() -> None:
    # dx = x − x³ from ±1: the slope is −2 on both paths, and the distance never shrinks.
    x, y = torch.tensor([[-1.0]], dtype=F64), torch.tensor([[1.0]], dtype=F64)
    seen = SampledConstants(DoubleWell(), points=3)
    seen.add(0.0, x, y)
    assert seen.constants()["mu"].value == pytest.approx(1.0, rel=1e-12)
    # The control: at the ends alone it is −2, which a sampled supremum may not say.
    t = torch.zeros((), dtype=F64)
    ends = field_jacobians(lambda z, a: DoubleWell().f(t, z), torch.cat((x, y)), None)
    assert float(ends.max()) == -2.0
    with pytest.raises(InvalidArgument, match="points must be a whole number >= 3"):
        SampledConstants(DoubleWell(), points=2)


def test_points_of_segments() -> None:
    x, y = fixed(4, 3), fixed(4, 3, seed=1)
    found = segment_points(x, y, 5).reshape(5, 4, 3)
    assert torch.equal(found[0], x)
    assert torch.equal(found[4], y)
    torch.testing.assert_close(found[2], (x + y) / 2)
    torch.testing.assert_close(found[1], 0.75 * x + 0.25 * y)
    with pytest.raises(InvalidArgument, match="shape"):
        segment_points(x, y[:2], 5)


def test_a_linear_system_is_exact() -> None:
    system = Linear(fixed(3, 3), fixed(2, 3, 3, seed=1))
    seen = SampledConstants(system)
    seen.add(0.0, fixed(5, 3, seed=2), fixed(5, 3, seed=3))
    known = certified_constants(system)
    for name, constant in known.items():
        assert seen.constants()[name].value == pytest.approx(constant.value, rel=1e-12)
    # The control: a column left out of the joint constant.
    less = SampledConstants(Linear(fixed(3, 3), fixed(2, 3, 3, seed=1)[:1]))
    less.add(0.0, fixed(5, 3, seed=2), fixed(5, 3, seed=3))
    assert less.constants()["diffusion"].value < 0.99 * known["diffusion"].value


@pytest.mark.parametrize("noise", ["diagonal", "scalar", "additive", "general"])
def test_any_kind_of_noise_by_finite_differences(noise: str) -> None:
    system = Contracting(noise)
    x, y, t = fixed(6, 3), fixed(6, 3, seed=1), torch.tensor(0.3, dtype=F64)
    seen = SampledConstants(system, points=3)
    seen.add(0.3, x, y)
    best = {"mu": -math.inf, "spectral": 0.0, "frobenius": 0.0, "diffusion": 0.0}
    for state in segment_points(x, y, 3):

        def slopes(function: Any, state: Tensor = state) -> np.ndarray:
            h = 1e-5 * torch.eye(3, dtype=F64)
            with torch.no_grad():
                ahead, behind = function(t, state + h).flatten(1), function(t, state - h).flatten(1)
            return ((ahead - behind) / 2e-5).T.numpy()

        j, g = slopes(system.f), slopes(system.g)
        # Entry (i, k) of the diffusion is row i m + k: columns are taken apart, and their squares summed.
        columns = np.stack([np.diag(np.eye(3)[i]) @ g for i in range(3)]) if noise == "diagonal" else None
        if columns is None:
            width = len(g) // 3
            columns = np.stack([g[k::width] for k in range(width)])
        gram = sum(c.T @ c for c in columns)
        best["mu"] = max(best["mu"], np.linalg.eigvalsh((j + j.T) / 2)[-1])
        best["spectral"] = max(best["spectral"], np.linalg.norm(j, 2))
        best["frobenius"] = max(best["frobenius"], np.linalg.norm(j))
        best["diffusion"] = max(best["diffusion"], math.sqrt(max(np.linalg.eigvalsh(gram)[-1], 0.0)))
    for name, value in best.items():
        assert seen.constants()[name].value == pytest.approx(value, abs=1e-7)


def test_joint_columns_are_more_than_the_largest_column() -> None:
    def two(x: Tensor, a: Tensor | None) -> Tensor:
        return torch.stack((0.3 * x, 0.4 * x), 2)

    x = fixed(4, 2)
    assert joint(field_jacobians(two, x, None)) == pytest.approx(0.5, rel=1e-12)
    assert joint(field_jacobians(lambda y, a: two(y, a)[:, :, 1], x, None)) == pytest.approx(0.4, rel=1e-12)


def test_the_joint_constant_bounds_differences_of_coupled_columns() -> None:
    system, t = CoupledDiagonal(), torch.zeros((), dtype=F64)
    x = fixed(500, 3)
    y = x + 1e-4 * fixed(500, 3, seed=1)
    seen = SampledConstants(system)
    seen.add(0.0, x, y)
    with torch.no_grad():
        ratio = (system.g(t, x) - system.g(t, y)).norm(dim=1) / (x - y).norm(dim=1)
    assert float(ratio.max()) <= seen.constants()["diffusion"].value * (1.0 + 1e-6)
    assert float(ratio.max()) > 0.8 * seen.constants()["diffusion"].value


def test_errors_are_taken_where_they_act() -> None:
    error = RepresentationError(drift=lambda t, x: x * (1.0 + t), diffusion=lambda t, x: torch.stack((x, 2.0 * x), 2))
    seen = SampledConstants(Linear(-1.0, dim=2), error)
    base, moved = torch.zeros(1, 2, dtype=F64) + 9.0, torch.tensor([[3.0, 4.0]], dtype=F64)
    seen.add(1.0, base, moved)
    found = seen.constants()
    assert found["drift_error"].value == pytest.approx(10.0)  # 2 |x^ε|, and not 2 |x⁰|
    assert found["diffusion_error"].value == pytest.approx(5.0 * math.sqrt(5.0))
    none = SampledConstants(Linear(-1.0, dim=2))
    none.add(0.0, base, moved)
    assert none.constants()["drift_error"].value == 0.0


def test_order_and_blocks_make_no_difference() -> None:
    system = Contracting("general")
    blocks = [(0.1 * k, fixed(3, 3, seed=k), fixed(3, 3, seed=10 + k)) for k in range(4)]
    results = []
    for order in itertools.permutations(range(4)):
        seen = SampledConstants(system, points=3)
        previous: dict[str, float] = {}
        for k in order:
            seen.add(*blocks[k])
            now = {name: c.value for name, c in seen.constants().items()}
            assert all(now[name] >= value for name, value in previous.items())
            previous = now
        results.append(previous)
    assert all(r == results[0] for r in results)
    halves = [SampledConstants(system, points=3) for _ in range(2)]
    for k, block in enumerate(blocks):
        halves[k % 2].add(*block)
    halves[0].merge(halves[1])
    assert {name: c.value for name, c in halves[0].constants().items()} == results[0]
    assert halves[0].count == 12


def test_more_points_see_more_or_the_same() -> None:
    x, y = fixed(50, 8), fixed(50, 8, seed=1)
    values = []
    for points in (3, 5, 9, 17):  # nested
        seen = SampledConstants(TanhNetwork(gain=1.5), points=points)
        seen.add(0.0, x, y)
        values.append(seen.constants()["mu"].value)
    assert values == sorted(values)
    assert values[-1] <= certified_constants(TanhNetwork(gain=1.5))["mu"].value


@final
class _Driven(LatentSDE):
    """dx = a x dt."""

    dim, action_dim = 1, 1

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return x * a

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return torch.zeros_like(x)


def test_actions_go_with_their_paths() -> None:
    x, y = torch.zeros(3, 1, dtype=F64), torch.ones(3, 1, dtype=F64)
    seen = SampledConstants(_Driven(), points=3)
    seen.add(0.0, x, y, torch.tensor([[1.0], [5.0], [2.0]], dtype=F64))
    assert seen.constants()["mu"].value == pytest.approx(5.0)
    assert not seen.random_base
    one = SampledConstants(_Driven(), points=3)
    one.add(0.0, x, y, torch.tensor([3.0], dtype=F64))
    assert one.constants()["mu"].value == pytest.approx(3.0)
    with pytest.raises(InvalidArgument, match="actions"):
        one.add(0.0, x, y, torch.ones(2, 1, dtype=F64))


@final
class _Looking(LatentSDE):
    """A drift that looks at its data."""

    dim = 2

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return -2.0 * x if float(x.detach().sum()) > -1e9 else x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.ones_like(x)


def test_a_drift_that_looks_at_its_data_is_looped_over() -> None:
    seen = SampledConstants(_Looking(), points=3)
    with pytest.warns(UserWarning, match="vmap"):
        seen.add(0.0, fixed(3, 2), fixed(3, 2, seed=1))
    assert seen.constants()["mu"].value == pytest.approx(-2.0)
    assert seen.random_base


def test_names_are_those_that_can_be_seen() -> None:
    """Some need a grid or a weight; a step map has its own."""
    system, grid, weight = Linear(-1.0, dim=2), TimeGrid(1.0, 10), Weighted(np.diag([1.0, 4.0]))
    step = euler_map(system, grid)
    assert "step_norm" not in samplable(system)
    assert "step_norm" in samplable(system, grid)
    assert "weighted_step" in samplable(system, grid, weight)
    assert "weighted_step" not in samplable(system, None, weight)
    assert samplable(step)[:2] == ("step_mean", "step_scale")
    with pytest.raises(InvalidArgument, match=r"names must be among mu, .* got step_mean"):
        SampledConstants(system, names=("mu", "step_mean"))
    seen = SampledConstants(system, grid=grid, weight=weight)
    seen.add(0.0, fixed(4, 2), fixed(4, 2, seed=1))
    found = seen.constants()
    assert found["step_norm"].value == pytest.approx(0.9)
    # For A = −I any weight gives the rate −1.
    assert found["weighted_rate"].value == pytest.approx(-1.0)
    assert found["weighted_step"].value == pytest.approx(0.9)
    with pytest.raises(InvalidArgument, match="other must have the names"):
        seen.merge(SampledConstants(system))


@pytest.mark.parametrize("noise", ["diagonal", "general"])
def test_forward_and_reverse_derivatives_agree(noise: str) -> None:
    """More entries than states are differentiated forward; and columns are taken apart as they were put together."""
    system, t, x = Contracting(noise), torch.zeros((), dtype=F64), fixed(6, 3)

    def entries(y: Tensor, a: Tensor | None) -> Tensor:
        g = system.g(t, y)
        return torch.diag_embed(g) if g.ndim == 2 else g

    flat = field_jacobians(entries, x, None)
    exact = jacobians(lambda y: entries(y, None).flatten(1), x).detach().numpy()
    assert np.allclose(flat, exact, rtol=1e-12, atol=1e-14)
    seen = SampledConstants(system, points=3)._linearised(0.0, x, x, None)
    assert np.allclose(seen.by_column()[:6], exact.reshape(6, 3, -1, 3).swapaxes(1, 2), rtol=1e-12, atol=1e-14)


def test_what_is_not_finite_is_reported() -> None:
    seen = SampledConstants(DoubleWell())
    with pytest.raises(NumericalFailure):
        seen.add(0.0, torch.tensor([[1.0]]), torch.tensor([[math.inf]]))
    with pytest.raises(InvalidArgument, match="no states were added"):
        SampledConstants(DoubleWell()).constants()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "system",
    [
        Geometric(0.1, 0.3, dim=3),
        Linear(0.1, 0.3, dim=3),
        DoubleWell(modulation=0.1, dim=2),
        Cubic(dim=2),
        TanhNetwork(4),
    ],
    ids=lambda s: type(s).__name__,
)
def test_rounding_does_not_contradict_a_closed_form(system: Any, dtype: torch.dtype) -> None:
    # Suprema that are reached to the bit at 0, in float32 too: 0.1 in float32 is above 0.1.
    x = torch.cat((torch.zeros(1, system.dim), fixed(500, system.dim, dtype=torch.float32))).to(dtype)
    seen, t = SampledConstants(system), torch.zeros((), dtype=dtype)
    seen.add(0.0, x, x.flip(0))
    raw = log_norm(jacobians(lambda y: system.f(t, y), x)).max()
    for name, constant in certified_constants(system).items():
        both = joined(seen.constants()[name], constant)
        assert both.at_most == constant.value
    if dtype == torch.float32 and type(system) is Geometric:
        assert float(raw) > 0.1  # as it was seen: the certificate would have been called wrong


def test_steps_of_euler() -> None:
    h = 0.1
    system = Linear(fixed(3, 3), fixed(2, 3, 3, seed=1))
    step = euler_map(system, TimeGrid(1.0, 10))
    error = RepresentationError(drift=lambda n, x: torch.ones_like(x))
    seen = SampledConstants(step, error)
    seen.add(0, fixed(5, 3, seed=2), fixed(5, 3, seed=3))
    found = seen.constants()
    mean = np.eye(3) + h * system.A.numpy()
    assert found["step_mean"].value == pytest.approx(np.linalg.norm(mean, 2), rel=1e-12)
    assert found["step_scale"].value == pytest.approx(math.sqrt(h) * system.certified()["diffusion"].value, rel=1e-12)
    assert found["drift_error"].value == pytest.approx(math.sqrt(3.0))
    assert "mu" not in found
    assert all(isinstance(c, Sampled) for c in found.values())


def test_steps_see_the_middle_and_merge() -> None:
    step = StepMap(lambda n, x, a: x * (2.0 - x**2), lambda n, x, a: x * (n + 1), dim=1, noise_dim=1)
    halves = [SampledConstants(step, points=3) for _ in range(2)]
    x, y = torch.tensor([[-1.0]], dtype=F64), torch.tensor([[1.0]], dtype=F64)
    halves[0].add(0, x, y)
    assert halves[0].constants()["step_mean"].value == pytest.approx(2.0)  # 1 at both ends
    halves[1].add(4, x, y)
    halves[0].merge(halves[1])
    assert halves[0].constants()["step_scale"].value == pytest.approx(5.0)
