"""The first-order bound, against closed forms and against the errors themselves."""

import math
from itertools import pairwise

import pytest
import torch
from systems import F64
from torch import Tensor

from sdewm import RepresentationError, StepMap, TimeGrid, perturb, simulate_coupled
from sdewm.drifts import DoubleWell, Linear, TanhNetwork
from sdewm.exceptions import InvalidArgument, Refused
from sdewm.theory.bounds import variational

GRID = TimeGrid(2.0, 32)


def tilt(t: Tensor, x: Tensor) -> Tensor:
    return torch.cos(x) + 0.2


def test_a_rotation_that_grows_attains_it() -> None:
    """For A = aI + bJ every step is a multiple of an orthogonal matrix, and a constant error turns with it or not."""
    a, b, h, n = 0.3, 2.0, GRID.h, GRID.steps
    system = Linear(a=torch.tensor([[a, -b], [b, a]], dtype=F64))
    k = math.hypot(1.0 + h * a, h * b)
    x0 = torch.zeros(2, dtype=F64)
    initial = variational(
        system, RepresentationError(initial=torch.tensor([0.6, 0.8], dtype=F64)), x0, GRID, 3, 0, eps=0.01
    )
    assert initial.value.tolist() == pytest.approx([0.01 * k**n] * 3, rel=1e-12)
    constant = RepresentationError(drift=lambda t, x: torch.full_like(x, 2.0**-0.5))
    drift = variational(system, constant, x0, GRID, 1, 0, eps=0.01)
    assert drift.value.tolist() == pytest.approx([0.01 * h * (k**n - 1.0) / (k - 1.0)], rel=1e-12)
    # What turns does not add up in one direction: here the bound is far from attained.
    run = simulate_coupled([system, perturb(system, constant, 0.01)], x0, GRID, 1, 0)
    assert float((run[1].final - run[0].final).norm()) < 0.5 * float(drift.value)


def test_in_one_dimension_it_is_attained_up_to_second_order() -> None:
    error = RepresentationError(drift=lambda t, x: torch.cos(0.3 * x), initial=0.4)
    x0 = torch.tensor([0.5], dtype=F64)
    gaps = []
    for eps in (0.005, 0.01, 0.02):
        bound = variational(DoubleWell(), error, x0, GRID, 64, 0, eps=eps)
        run = simulate_coupled([DoubleWell(), perturb(DoubleWell(), error, eps)], x0, GRID, 64, 0)
        gaps.append(float((bound.value - (run[1].final - run[0].final).abs()[:, 0]).abs().max()))
    for small, large in pairwise(gaps):
        assert large / small == pytest.approx(4.0, rel=0.15)


def test_it_bounds_the_error_of_a_network_and_not_by_half() -> None:
    system, eps = TanhNetwork(dim=8, gain=0.4, seed=3, noise=0.3, modulation=0.2), 1e-3
    error = RepresentationError(drift=tilt, initial=1.0)
    x0 = torch.full((8,), 0.3, dtype=F64)
    bound = variational(system, error, x0, GRID, 32, 0, eps=eps)
    run = simulate_coupled([system, perturb(system, error, eps)], x0, GRID, 32, 0)
    truth = (run[1].final - run[0].final).norm(dim=1)
    assert bool((truth <= bound.value * (1.0 + 20.0 * eps)).all())
    # The negative control: half the bound is exceeded.
    assert bool((truth > 0.5 * bound.value).any())


def test_a_step_map_takes_its_error_per_step() -> None:
    step = StepMap(lambda n, x, a: 0.9 * x, lambda n, x, a: torch.zeros_like(x), 1, 1)
    error = RepresentationError(drift=lambda n, x: torch.ones_like(x))
    found = variational(step, error, torch.zeros(1, dtype=F64), TimeGrid(3.0, 3), 1, 0, eps=0.1)
    assert float(found.drift) == pytest.approx(0.1 * (1.0 + 0.9 + 0.81), rel=1e-12)
    assert float(found.initial) == 0.0


def test_what_does_not_fit_is_refused() -> None:
    error = RepresentationError(diffusion=tilt)
    with pytest.raises(InvalidArgument, match="x0 must have shape"):
        variational(DoubleWell(), RepresentationError(initial=1.0), torch.zeros(3, 1), GRID, 2, 0, eps=0.1)
    with pytest.raises(Refused, match="diffusion part"):
        variational(DoubleWell(), error, torch.zeros(1, dtype=F64), GRID, 1, 0, eps=0.1)
