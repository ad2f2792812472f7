"""The order test where the gradient of the loss vanishes at the base, or nearly: ε²(Q + S/2) is then all there is."""

import functools

import pytest
import torch
from torch import Tensor

from sdewm.drifts import Cubic, Linear
from sdewm.dynamics import RepresentationError, simulate_coupled, tame
from sdewm.grid import TimeGrid
from sdewm.theory import order_test
from sdewm.verdict import Outcome

GRID = TimeGrid(1.0, 16)


def ones(t: Tensor, x: Tensor) -> Tensor:
    """σ̄ = 1."""
    return torch.ones_like(x)


@functools.cache
def end() -> float:
    """Where the base ends: Cubic has no noise of its own."""
    return float(simulate_coupled([tame(Cubic(), GRID)], 1.0, GRID, 1)[0].final)


@pytest.mark.slow
@pytest.mark.parametrize("correlation", ["independent", "shared"])
@pytest.mark.parametrize("off", [0.0, 1e-6, 1e-4, 1e-2, 0.3])
def test_the_correct_form_holds_at_every_distance(off: float, correlation: str) -> None:
    """What p leaves of a tolerance relative to itself is nothing; what an extrapolation leaves is not missing."""
    error = RepresentationError(diffusion=ones, correlation=correlation)

    def loss(x: Tensor) -> Tensor:
        return 0.5 * (x - end() - off).square().sum(-1)

    for seed in range(4):
        assert order_test(Cubic(), error, loss, 1.0, GRID, 1024, seed).verdict.outcome is Outcome.HOLDS


@pytest.mark.parametrize("left_out", ["drift_hessian", "half"])
def test_a_wrong_form_is_caught_beside_it(left_out: str) -> None:
    """The control: at a distance at which the drift's Hessian counts, leaving it out is seen."""
    error = RepresentationError(diffusion=ones, correlation="independent")

    def loss(x: Tensor) -> Tensor:
        return 0.5 * (x - end() - 0.3).square().sum(-1)

    assert order_test(Cubic(), error, loss, 1.0, GRID, 1024, without=left_out).verdict.outcome is Outcome.VIOLATED


@pytest.mark.parametrize("at", [0.0, 1.0])
def test_rounding_is_not_missing(at: float) -> None:
    """R = ½ε² E W² exactly, so that only rounding is left of the remainder, at zero too."""
    error = RepresentationError(diffusion=ones, correlation="independent")

    def loss(x: Tensor) -> Tensor:
        return 0.5 * (x - at).square().sum(-1)

    still = Linear(a=0.0, dim=1)
    assert order_test(still, error, loss, at, GRID, 512).verdict.outcome is Outcome.HOLDS
