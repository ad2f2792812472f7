"""Directional derivatives, against closed forms and against nested forward mode."""

from collections.abc import Callable

import pytest
import torch
from systems import fixed
from torch import Tensor
from torch.func import jvp

from sdewm.dynamics.derivatives import curve_derivatives, directional, second_directional

W = fixed(3, 3, seed=1)
PARAMETER = fixed(3).requires_grad_()
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "smooth": lambda x: torch.tanh(x @ W) * torch.exp(-x),
    "columns": lambda x: torch.sin(x @ W)[:, :, None] * torch.ones(2, dtype=x.dtype) * x[:, :1, None],
    "linear": lambda x: x @ W,
    "constant": lambda x: torch.ones_like(x),
    "detached": lambda x: torch.ones(len(x), 3, dtype=x.dtype),
    "parameter": lambda x: PARAMETER.expand(len(x), 3),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("grad", [False, True])
def test_directional_derivatives_equal_nested_forward_mode(name: str, grad: bool) -> None:
    function, x, v, w = FUNCTIONS[name], fixed(5, 3, seed=2), fixed(5, 3, seed=3), fixed(5, 3, seed=4)
    with torch.set_grad_enabled(grad):
        first, second = directional(function, x, v), second_directional(function, x, v, w)
    torch.testing.assert_close(first, jvp(function, (x,), (v,))[1], rtol=1e-13, atol=1e-14)
    expected = jvp(lambda y: jvp(function, (y,), (v,))[1], (x,), (w,))[1]
    torch.testing.assert_close(second, expected, rtol=1e-12, atol=1e-14)
    assert torch.is_grad_enabled()  # the caller's mode is left alone


def test_closed_form() -> None:
    x, v, w = fixed(4, 2, seed=1), fixed(4, 2, seed=2), fixed(4, 2, seed=3)
    torch.testing.assert_close(directional(lambda y: y**3, x, v), 3 * x**2 * v, rtol=1e-14, atol=0)
    torch.testing.assert_close(second_directional(lambda y: y**3, x, v, w), 6 * x * v * w, rtol=1e-14, atol=0)


def test_directional_is_differentiable_in_state_direction_and_parameter() -> None:
    x, v = fixed(4, 2, seed=1).requires_grad_(), fixed(4, 2, seed=2).requires_grad_()
    p = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, v, p: directional(lambda y: torch.sin(p * y) * y, x, v), (x, v, p))
    with torch.no_grad():
        assert not directional(torch.sin, x, v).requires_grad


@pytest.mark.parametrize("grad", [False, True])
def test_curve_derivatives(grad: bool) -> None:
    like, u = torch.zeros(3, 2, dtype=torch.float64), fixed(3, 2, seed=5)
    with torch.set_grad_enabled(grad):
        value, first, second = curve_derivatives(lambda s: torch.exp(s * u) + s**2 * u, like)
    torch.testing.assert_close(value, torch.ones_like(u))
    torch.testing.assert_close(first, u)
    torch.testing.assert_close(second, u**2 + 2 * u)
    for constant in (u, u.clone().requires_grad_()):
        assert not any(part.any() for part in curve_derivatives(lambda s, c=constant: c * 1.0, like)[1:])
    assert not curve_derivatives(lambda s: s * u, like)[2].any()
