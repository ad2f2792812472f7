"""Biases are added where the result is used; nothing else is changed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from sdewm.dynamics.bias import leave_biases_alone

aten = torch.ops.aten
X, W, B = (
    torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
    torch.full((4, 2), 0.5),
    torch.tensor([1.0, 2.0]),
)


@pytest.mark.parametrize(
    ("function", "rewritten"),
    [
        (lambda x, w, b: torch.tanh(x @ w + b), True),
        (lambda x, w, b: torch.tanh(b + x @ w), True),
        (lambda x, w, b: torch.nn.functional.linear(x, w.T, b), True),
        (lambda x, w, b: x @ w + (x @ w) * b, True),
        # Other factors than one are part of the call.
        (lambda x, w, b: torch.addmm(b, x, w, beta=0.5), False),
        (lambda x, w, b: torch.add(x @ w, b, alpha=2.0), False),
        (lambda x, w, b: x @ w + 1.0, False),
        (lambda x, w, b: x[:, :2] + b, False),
    ],
)
def test_only_a_sum_of_a_product_and_a_tensor_is_written_anew(
    function: Callable[[Tensor, Tensor, Tensor], Tensor], rewritten: bool
) -> None:
    graph = make_fx(function)(X, W, B)
    before = [node.target for node in graph.graph.nodes]
    leave_biases_alone(graph)
    after = [node.target for node in graph.graph.nodes]
    torch.testing.assert_close(graph(X, W, B), function(X, W, B))
    assert (aten.sub.Tensor in after) is rewritten
    assert (before == after) is not rewritten
    if rewritten:
        assert aten.addmm.default not in after
