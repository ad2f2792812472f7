"""Injected errors: their size, their block, their units."""

import pytest
import torch

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.injection import (
    Injection,
    push,
    push_normals,
    state_covariance,
    symmetric_root,
    without_push,
)

from .linear_model import LinearArchitecture, LinearModel


def states_like(model, rows=4000):
    """Correlated states with a known covariance of full rank."""
    draw = torch.Generator().manual_seed(0)
    dim = model.hidden + model.latent
    mix = torch.randn(dim, dim, generator=draw, dtype=torch.float64)
    return torch.randn(rows, dim, generator=draw, dtype=torch.float64) @ mix


@pytest.mark.parametrize("block", ["z", "h"])
@pytest.mark.parametrize("unit", ["whitened", "raw"])
def test_a_drift_is_of_size_c_exactly(linear, block, unit):
    model = linear.double()
    covariance = state_covariance(states_like(model))
    pushed = Injection(block, "drift", unit, 0.3).pushed(model, covariance, seed=5)
    moved = push(torch.zeros(1, 5, dtype=torch.float64), pushed)[0]
    columns = slice(0, 3) if block == "h" else slice(3, 5)
    outside = torch.ones(5, dtype=torch.bool)
    outside[columns] = False
    assert not moved[outside].any()
    part = moved[columns]
    # In whitened units |T⁻¹ c T v|² / size = c², by a solve with the covariance and no root at all.
    square = part @ torch.linalg.solve(covariance[columns, columns], part) if unit == "whitened" else part @ part
    assert float((square / len(part)).sqrt()) == pytest.approx(0.3, rel=1e-6)
    # Negative control: in the other unit the size is another.
    wrong = part @ part if unit == "whitened" else part @ torch.linalg.solve(covariance[columns, columns], part)
    assert float((wrong / len(part)).sqrt()) != pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("block", ["z", "h"])
def test_zero_drift_has_the_covariance_that_it_must(linear, block):
    model = linear.double()
    covariance = state_covariance(states_like(model))
    pushed = Injection(block, "zero drift", "whitened", 0.3).pushed(model, covariance, seed=5)
    size = len(pushed.root)
    # With ω over an orthogonal basis, Σ (cTω)(cTω)ᵀ is the covariance of the error, without sampling.
    x = push(torch.zeros(size, 5, dtype=torch.float64), pushed, torch.eye(size, dtype=torch.float64))
    part = x[:, pushed.columns]
    torch.testing.assert_close(part.T @ part, 0.09 * covariance[pushed.columns, pushed.columns])


def test_a_singular_covariance_has_a_root():
    v = torch.tensor([[1.0, 2.0, 0.0]], dtype=torch.float64)
    covariance = v.T @ v
    root = symmetric_root(covariance)
    torch.testing.assert_close(root @ root, covariance, rtol=0, atol=1e-12)
    torch.testing.assert_close(root, root.T)
    # An estimate that rounding, or a difference, has made indefinite.
    root = symmetric_root(torch.diag(torch.tensor([4.0, -1e-9])))
    torch.testing.assert_close(root, torch.diag(torch.tensor([2.0, 0.0], dtype=torch.float64)))


def test_the_covariance_of_states(linear):
    states = states_like(linear).reshape(40, 100, 5)
    torch.testing.assert_close(state_covariance(states), torch.cov(states.flatten(0, 1).T))


def test_a_push_does_not_count_towards_its_own_units(linear):
    model = linear.double()
    states = states_like(model, 200_000)
    before = state_covariance(states)
    pushed = Injection("z", "zero drift", "whitened", 0.8).pushed(model, before, seed=0)
    omega = torch.randn(len(states), 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    after = state_covariance(push(states, pushed, omega))
    # The rest are covariances of ω and the states, and of ω itself, which are of order 1/√200000.
    scale = before[3:, 3:].norm()
    assert float((without_push(after, pushed) - before)[3:, 3:].norm() / scale) < 0.02
    # Negative control: left in, the units have grown by 1 + c².
    assert float((after - before)[3:, 3:].norm() / scale) > 0.5
    drift = Injection("z", "drift", "whitened", 0.8).pushed(model, before, seed=0)
    assert torch.equal(without_push(after, drift), after)


def test_the_direction_is_a_function_of_seed_and_number(linear):
    before = torch.get_rng_state()

    def direction(seed, number):
        return Injection(kind="drift", unit="raw", direction=number).pushed(linear, seed=seed).direction

    assert torch.equal(direction(0, 1), direction(0, 1))
    assert not torch.equal(direction(0, 1), direction(0, 2))
    assert not torch.equal(direction(0, 1), direction(1, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert Injection(unit="raw").pushed(linear, seed=0).direction is None


def test_normals_of_a_path_do_not_depend_on_the_others(linear):
    pushed = Injection(unit="raw").pushed(linear, seed=0)
    few, many = (push_normals(pushed, 3, paths, seed=4) for paths in (2, 7))
    assert torch.equal(few, many[:, :2])
    assert push_normals(Injection(kind="drift", unit="raw").pushed(linear, seed=0), 3, 2, seed=4) is None


def test_the_size_zero_moves_nothing(linear):
    pushed = Injection(unit="raw", size=0.0).pushed(linear, seed=0)
    x = torch.ones(2, 5)
    assert torch.equal(push(x, pushed, torch.ones(2, 2)), x)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block": "o"}, "block must be one of"),
        ({"kind": "bias"}, "kind must be one of"),
        ({"unit": "metres"}, "unit must be one of"),
        ({"size": -0.1}, "size must be at least 0"),
        ({"size": float("nan")}, "size must be a finite number"),
        ({"direction": -1}, "direction must be a whole number"),
    ],
)
def test_arguments_are_checked(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        Injection(**changes)


def test_covariances_and_normals_are_checked(linear):
    with pytest.raises(InvalidArgument, match="covariance is needed"):
        Injection().pushed(linear, seed=0)
    with pytest.raises(InvalidArgument, match=r"whole state, of shape \(5, 5\), got \(2, 2\)"):
        Injection().pushed(linear, torch.eye(2), seed=0)
    with pytest.raises(InvalidArgument, match="NaN"):
        Injection().pushed(linear, torch.full((5, 5), torch.nan), seed=0)
    with pytest.raises(InvalidArgument, match="normals are needed"):
        push(torch.zeros(1, 5), Injection(unit="raw").pushed(linear, seed=0))
    with pytest.raises(InvalidArgument, match="two rows"):
        state_covariance(torch.zeros(1, 5))


def test_the_root_is_in_the_dtype_of_the_model():
    model = LinearModel(LinearArchitecture()).double()
    assert Injection(kind="drift").pushed(model, torch.eye(5), seed=0).root.dtype == torch.float64
    assert Injection().pushed(model.float(), torch.eye(5), seed=0).root.dtype == torch.float32
