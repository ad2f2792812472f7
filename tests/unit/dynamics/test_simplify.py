"""What is left out of a graph does not change its values; what looks alike but is not stays."""

from collections.abc import Callable

import pytest
import torch
from systems import F64, fixed
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from sdewm.dynamics.derivatives import curve_derivatives
from sdewm.dynamics.simplify import simplify

W = fixed(3, 3, seed=4)


def traced(function: Callable[..., Tensor], *arguments: Tensor) -> fx.GraphModule:
    return make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*arguments)


def operations(graph: fx.GraphModule) -> int:
    return sum(node.op == "call_function" for node in graph.graph.nodes)


def curve(x: Tensor, y: Tensor) -> Tensor:
    """What a second variation computes."""

    def along(s: Tensor) -> Tensor:
        z = x + s * (y + s * x)
        return torch.sin(z) * z + torch.tanh(z @ W.T)

    return torch.stack(curve_derivatives(along, x))


FUNCTIONS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], int]] = {
    "zeros": (lambda x, y: x * torch.zeros_like(y) + y, 0),
    "zeros of another shape": (lambda x, y: x * torch.zeros(1, 3, dtype=F64) + y, 0),
    "zero minus": (lambda x, y: torch.zeros_like(x) - y, 2),
    "ones": (lambda x, y: x * torch.ones_like(x) + y * 1.0, 1),
    "a one that widens": (lambda x, y: x[:1] * torch.ones_like(x) + y, 4),
    "twice": (lambda x, y: torch.sin(x) * torch.sin(x) + y, 3),
    "not twice": (lambda x, y: (x * 2) * (x * 2.0) + y, 4),
    "constants": (lambda x, y: x @ (W.T + 1.0).sin() + y, 2),
    "a view of a copy": (
        lambda x, y: x.t().clone(memory_format=torch.contiguous_format).view(-1)[:12].view(4, 3) + y,
        6,
    ),
    "a factor": (lambda x, y: torch.add(torch.zeros_like(x), y, alpha=3.0), 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_stay(name: str) -> None:
    """And so many operations are left, at most."""
    function, left = FUNCTIONS[name]
    x, y = fixed(4, 3, seed=1), fixed(4, 3, seed=2)
    graph = traced(function, x, y)
    simplify(graph)
    assert torch.equal(graph(x, y), function(x, y))
    assert operations(graph) <= left


def test_a_second_variation_loses_most_of_its_graph() -> None:
    x, y = fixed(5, 3, seed=1), fixed(5, 3, seed=2)
    graph = traced(curve, x, y)
    before = operations(graph)
    simplify(graph)
    assert operations(graph) < 0.6 * before
    assert torch.allclose(graph(x, y), curve(x, y), rtol=1e-14, atol=1e-14)
    assert not torch.allclose(graph(x, y), curve(y, x), rtol=1e-2)  # the control


def test_a_zero_that_somebody_wrote_keeps_what_is_not_finite() -> None:
    x = torch.tensor([[-1.0]], dtype=F64)
    graph = traced(lambda x: 0.0 * torch.log(x), x)
    simplify(graph)
    assert bool(torch.isnan(graph(x)).all())


def test_changes_are_kept_and_kept_in_order() -> None:
    """Two equal copies into one place are not one."""

    def write(x: Tensor, y: Tensor) -> Tensor:
        first = y * 2.0
        x.copy_(first)
        x.copy_(first)
        return x + 0.0

    x, y = fixed(2, 2), fixed(2, 2, seed=1)
    graph = traced(write, x.clone(), y)
    simplify(graph)
    assert torch.equal(graph(x.clone(), y), 2.0 * y)
    assert sum(node.target is torch.ops.aten.copy_.default for node in graph.graph.nodes) == 2
