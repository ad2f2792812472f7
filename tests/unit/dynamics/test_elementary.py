"""The elementary functions of compiled code against double precision."""

import pytest
import torch
from torch import Tensor

from sdewm.dynamics.elementary import TABLE, cos, sin, tanh


def test_tanh_to_single_precision() -> None:
    """Everywhere, near zero relatively, and for what is not finite."""
    x = torch.cat((torch.linspace(-12, 12, 400_001), torch.logspace(-30, 0, 10_001)))
    exact = torch.tanh(x.double())
    assert float((tanh(x).double() - exact).abs().max()) < 4e-7
    assert float(((tanh(x).double() - exact) / exact).abs()[x != 0].max()) < 4e-7
    ends = torch.tensor([float("inf"), -float("inf"), float("nan")])
    assert torch.allclose(tanh(ends)[:2], torch.tensor([1.0, -1.0]), atol=2e-7)
    assert bool(torch.isnan(tanh(ends)[2]))


@pytest.mark.parametrize(("own", "exact"), [(sin, torch.sin), (cos, torch.cos)])
def test_sine_and_cosine_to_single_precision(own: object, exact: object) -> None:
    """To 2e-7 where they do not depend on the rounding of x, and beyond as if x had been rounded once more."""
    assert callable(own)
    assert callable(exact)
    for size in (1e-20, 1e-3, 3.0, 40.0, 1e4, 1e6):
        x = torch.linspace(-size, size, 400_001)
        error = (own(x).double() - exact(x.double())).abs()
        assert float((error - x.double().abs() * 2.0**-24).max()) < 2e-7
    huge = torch.tensor([1e9, -1e20, 3e38])
    assert bool((own(huge).abs() <= 1.0).all())
    assert bool(torch.isnan(own(torch.tensor([float("inf"), float("nan")]))).all())
    quarters = torch.arange(-40, 41, dtype=torch.float64) * (torch.pi / 2)
    assert float((own(quarters.float()).double() - exact(quarters.float().double())).abs().max()) < 3e-6


def test_small_sines_are_relatively_exact() -> None:
    x = torch.logspace(-30, 0, 10_001)
    exact = torch.sin(x.double())
    assert float(((sin(x).double() - exact) / exact).abs().max()) < 2e-7


def test_other_precisions_are_left_alone() -> None:
    other: Tensor = torch.zeros(1, dtype=torch.float64)
    assert all(function(other) is NotImplemented for function in TABLE.values())


def test_its_slope_is_that_of_the_tangent() -> None:
    x = torch.linspace(-6, 6, 2001).requires_grad_()
    (slope,) = torch.autograd.grad(tanh(x).sum(), x)
    assert float((slope - (1 - torch.tanh(x.detach()) ** 2)).abs().max()) < 3e-6
