"""Everything that takes an executor, in two spawned processes: the same numbers to the bit."""

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import pytest
import torch
from systems import Geometric
from torch import Tensor

from sdewm.drifts import DoubleWell
from sdewm.dynamics import RepresentationError
from sdewm.grid import TimeGrid
from sdewm.run import workers
from sdewm.theory import effect_gradient, expand, order_test, rollout_penalty, weak_identity

GRID, PATHS = TimeGrid(1.0, 4), 5000


def wave(t: Tensor, x: Tensor) -> Tensor:
    """½ + ⅖ sin 2x."""
    return 0.5 + 0.4 * torch.sin(2 * x)


def square(x: Tensor) -> Tensor:
    """|x|²."""
    return (x**2).sum(-1)


APART, SHARED = RepresentationError(diffusion=wave, correlation="independent"), RepresentationError(diffusion=wave)


def _expanded(executor: Executor | None) -> list[float]:
    e = expand(DoubleWell(), SHARED, square, 0.6, GRID, PATHS, executor=executor)
    return [e.P.value, e.Q.value, e.S.value, e.measure(0.3).value, float(e.compare(0.3).remainder)]


def _tested(executor: Executor | None) -> list[float]:
    found = order_test(DoubleWell(), APART, square, 0.6, GRID, PATHS, executor=executor)
    return found.remainders.moments.mean.tolist()


def _penalty(executor: Executor | None) -> list[float]:
    return [rollout_penalty(DoubleWell(), APART, 0.6, GRID, PATHS, executor=executor).value]


def _gradient(executor: Executor | None) -> list[float]:
    return [
        e.value
        for e in effect_gradient(Geometric(), APART, square, 1.0, GRID, PATHS, eps=0.2, executor=executor).values()
    ]


def _identity(executor: Executor | None) -> list[float]:
    both = weak_identity(DoubleWell(), SHARED, square, 0.6, GRID, PATHS, eps=0.2, intervals=2, executor=executor)
    return [both.left.value, both.right.value]


@pytest.mark.slow
@pytest.mark.parametrize("work", [_expanded, _tested, _penalty, _gradient, _identity])
def test_processes_do_not_matter(work: Callable[[Any], list[float]]) -> None:
    with workers(2) as executor:
        assert work(executor) == work(None)
