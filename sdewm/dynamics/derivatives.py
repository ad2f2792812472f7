"""Directional derivatives of batched functions, by double backpropagation.

Nested forward mode gives the same numbers and is the tests' second opinion. It is not used because torch 2.13 sends the
zero tangents of constants through shape checks written in Python: a nested `torch.func.jvp` of a small step takes six
times as long as what is done here.

Each function maps rows (paths, dim) to rows, every path apart from the others, so that the derivative of a sum over
paths is the path-wise one.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..exceptions import Refused

Function = Callable[[Tensor], Tensor]
Derivative = Callable[[Tensor, Tensor], Tensor]


def directional(function: Function, x: Tensor, v: Tensor) -> Tensor:
    """D function(x) v; differentiable itself where gradients are enabled."""
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        y = x if keep and x.requires_grad else x.detach().requires_grad_()
        value = function(y)
        derivative = _forward(value, y, v, keep)
    return derivative if keep else derivative.detach()


def second_directional(function: Function, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
    """D² function(x)[v, w]."""
    with torch.enable_grad():
        return directional(lambda y: directional(function, y, v), x.detach().requires_grad_(), w).detach()


def curve_derivatives(function: Function, like: Tensor, order: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """c(0), c'(0) and c''(0) of a curve c of one scalar, with values shaped like `like`; c'' is zero for order 1."""
    with torch.enable_grad():
        s = torch.zeros((), dtype=like.dtype, device=like.device, requires_grad=True)
        value = function(s)
        dual = torch.zeros_like(like, requires_grad=True)
        zero = torch.zeros_like(like)
        if not value.requires_grad:
            return value.detach(), zero, zero
        # ⟨dual, c⟩' and ⟨dual, c⟩'' are linear in dual: their gradients by it are c' and c''.
        (slope,) = torch.autograd.grad(value, s, dual, create_graph=True, allow_unused=True, materialize_grads=True)
        (first,) = _gradient(slope, dual)
        second = _gradient(_gradient(slope, s)[0], dual)[0] if order == 2 else zero
    return value.detach(), first.detach(), second.detach()


def check_derivative(label: str, function: Function, x: Tensor, by_hand: Derivative | None = None) -> None:
    """Compare the derivative that will be used with a finite difference, along one direction.

    Args:
        label: name of the function in the message.
        function: rows to rows, of shape (paths, dim) or (paths, dim, m).
        x: states (paths, dim); a mismatch there and at a second point close by counts (at one it may be a kink).
        by_hand: hand-written derivative (x, v), in place of the automatic one.

    Raises:
        Refused: the two differ; inside the function there is a no_grad, a detach or a straight-through trick, or the
            hand-written derivative is wrong.
    """
    digits = float(torch.finfo(x.dtype).eps)
    wave = torch.cos(torch.arange(x.numel(), dtype=x.dtype).reshape(x.shape))
    for point in (x, x + 0.013 * (1.0 + x.abs()) * wave):
        # Each coordinate moves by a part of its own size: what is a step for one would be many periods of another.
        v = (1.0 + point.abs()) * wave
        used = (directional(function, point, v) if by_hand is None else by_hand(point, v)).detach()
        # A steep function needs the shorter step; the longer one sees a small derivative better.
        for fraction in (1.0, 0.1):
            step = fraction * digits ** (1 / 3)
            ahead, behind = function(point + step * v).detach(), function(point - step * v).detach()
            measured = (ahead - behind) / (2.0 * step)
            if used.shape != measured.shape:
                shapes = f"{tuple(used.shape)}, must be {tuple(measured.shape)}"
                raise Refused(f"the derivative of {label} has shape {shapes}.")
            size, gap = float(measured.abs().max() + used.abs().max()), float((measured - used).abs().max())
            rounding = 10.0 * digits / step * (1.0 + float(ahead.abs().max()))
            # Written so that a state at which something is not finite passes: that is another complaint.
            if not gap > 0.05 * size + rounding:
                return
    raise Refused(
        f"the derivative of {label} is not that of its values: it is off by {gap:.3g} of {size:.3g} where "
        f"each coordinate moves by its own size; leave out no_grad, detach and straight-through tricks inside it, or "
        f"mend its hand-written derivative."
    )


def _forward(value: Tensor, x: Tensor, v: Tensor, keep: bool) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(value)
    dual = torch.zeros_like(value, requires_grad=True)
    (pulled,) = torch.autograd.grad(value, x, dual, create_graph=True, allow_unused=True, materialize_grads=True)
    if not pulled.requires_grad:
        return torch.zeros_like(value)
    (pushed,) = torch.autograd.grad(pulled, dual, v, create_graph=keep, allow_unused=True, materialize_grads=True)
    return pushed


def _gradient(value: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    if not value.requires_grad:
        return (torch.zeros_like(x),)
    return torch.autograd.grad(value, x, create_graph=True, allow_unused=True, materialize_grads=True)
