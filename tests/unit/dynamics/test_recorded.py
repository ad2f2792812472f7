"""Recorded operations: those of the function for all numbers, or a refusal."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from systems import F64, fixed
from torch import Tensor

from sdewm.dynamics.recorded import NotRecorded, record
from sdewm.dynamics.simplify import simplify

W = fixed(3, 3, seed=5)
X, OTHER = fixed(4, 3), fixed(4, 3, seed=1)


def slope(x: Tensor) -> tuple[Tensor, ...]:
    with torch.enable_grad():
        y = x.detach().requires_grad_()
        (found,) = torch.autograd.grad(torch.tanh(y @ W).pow(2).sum(), y, create_graph=True)
        (second,) = torch.autograd.grad(found.sum(), y)
    return found.detach(), second.detach()


def in_place(x: Tensor) -> tuple[Tensor, ...]:
    out, copy = torch.zeros_like(x), x.clone()
    view = copy[:, 1]
    before = 2.0 * view
    out[:, 0] = x[:, 1] + before
    copy[:, 2] += W[0, 0]
    copy[:, 2] += W[0, 0]
    copy.mul_(3.0)
    return out + copy, 2.0 * view


def parts(x: Tensor) -> tuple[Tensor, ...]:
    first, second, third = x.unbind(1)
    value, index = torch.stack((third, second, first), 1).max(1)
    return value + torch.where(x > 0.0, x, -x).sum(1), index, x[:, [2, 0]], W


class Numpy(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return torch.from_numpy(np.sin(x.detach().numpy()))


COUNT = torch.zeros(())

ACCEPTED = {"derivatives": slope, "in place": in_place, "several results": parts}
REFUSED: dict[str, Callable[[Tensor], Any]] = {
    "if": lambda x: x if x.sum() > 0 else -x,
    "item": lambda x: x * x[0, 0].item(),
    "float": lambda x: x * math.sin(float(x[0, 0])),
    "equal": lambda x: x if torch.equal(x, x) else -x,
    "numpy": lambda x: torch.from_numpy(np.sin(x.numpy())),
    "array": lambda x: torch.from_numpy(np.sin(np.asarray(x + 1.0))),
    "numpy inside": lambda x: Numpy.apply(x),
    "list": lambda x: torch.tensor(x[0].tolist(), dtype=F64) + x,
    "mask": lambda x: x + x[x > 0.0].sum(),
    "nonzero": lambda x: x + len(x.nonzero()),
    "random": lambda x: x + torch.randn(4, 3, dtype=F64),
    "dropout": lambda x: torch.dropout(x, 0.5, True),
    "changes what is not its own": lambda x: x + COUNT.add_(1.0),
    "changes a view of what is not its own": lambda x: x + W.t().mul_(2.0),
    "changes its argument": lambda x: x.mul_(2.0),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_operations_are_those_of_the_function(name: str) -> None:
    """On other numbers than those that were recorded, as they are and simplified."""
    function = ACCEPTED[name]
    found = record(function, (X.clone(),), {})
    assert not found.in_place
    graph = found.graph()
    simplify(graph)
    for results in (found.replay(OTHER), graph(OTHER)):
        for one, other in zip(results, function(OTHER), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("name", REFUSED)
def test_what_depends_on_numbers_is_refused(name: str) -> None:
    """And nothing has changed: neither a tensor from elsewhere nor the random numbers of the process."""
    state, held = torch.get_rng_state(), W.clone()
    with pytest.raises(NotRecorded, match=r"^a step "):
        record(lambda x: (REFUSED[name](x),), (X.clone(),), {})
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(W, held)
    assert COUNT == 0.0


def test_equal_keys_are_those_of_equal_operations() -> None:
    """Numbers of tensors do not count, numbers that are written do."""

    def key(factor: Any, held: Tensor = W) -> Any:
        return record(lambda x: (x @ held * factor,), (X.clone(),), {}).key

    assert key(2.0) == key(2.0, fixed(3, 3, seed=8))
    assert hash(key(2.0)) == hash(key(2.0))
    assert key(2.0) != key(2.0, W.t())  # another layout
    assert key(1.0) != key(1)
    assert key(0.0) != key(-0.0)
    assert key(math.nan) == key(math.nan)
    assert key(2.0) != record(lambda x: (x @ W * 2.0, x), (X.clone(),), {}).key


def test_operations_of_the_table_are_replaced() -> None:
    table = {torch.ops.aten.tanh.default: lambda x: x * x if x.dtype == torch.float64 else NotImplemented}
    assert torch.equal(record(lambda x: (x.tanh(),), (X,), table).replay(OTHER)[0], OTHER * OTHER)
    assert torch.equal(record(lambda x: (x.tanh(),), (X.float(),), table).replay(OTHER)[0], OTHER.tanh())
