"""The tangent of compiled code against double precision."""

import torch

from sdewm.dynamics.elementary import tanh


def test_tanh_to_single_precision() -> None:
    """Everywhere, near zero relatively, and for what is not finite."""
    x = torch.cat((torch.linspace(-12, 12, 400_001), torch.logspace(-30, 0, 10_001)))
    exact = torch.tanh(x.double())
    assert float((tanh(x).double() - exact).abs().max()) < 4e-7
    assert float(((tanh(x).double() - exact) / exact).abs()[x != 0].max()) < 4e-7
    ends = torch.tensor([float("inf"), -float("inf"), float("nan")])
    assert torch.allclose(tanh(ends)[:2], torch.tensor([1.0, -1.0]), atol=2e-7)
    assert bool(torch.isnan(tanh(ends)[2]))


def test_other_precisions_are_left_alone() -> None:
    assert tanh(torch.zeros(1, dtype=torch.float64)) is NotImplemented


def test_its_slope_is_that_of_the_tangent() -> None:
    x = torch.linspace(-6, 6, 2001).requires_grad_()
    (slope,) = torch.autograd.grad(tanh(x).sum(), x)
    assert float((slope - (1 - torch.tanh(x.detach()) ** 2)).abs().max()) < 3e-6
