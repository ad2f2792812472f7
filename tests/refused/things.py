"""What is refused below is made of: systems with faults, and short names of what takes them."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import torch
from systems import F64, RHO, Contracting, elementwise
from torch import Tensor

from sdewm.dynamics import (
    BrownianMotion,
    CategoricalMap,
    LatentSDE,
    RepresentationError,
    StepMap,
    Variations,
    perturb,
    simulate,
    simulate_coupled,
)
from sdewm.dynamics.integer_time import IntegerBrownian
from sdewm.dynamics.martingale import Martingales, number
from sdewm.dynamics.waves import Waves
from sdewm.estimate import Moments
from sdewm.grid import TimeGrid

GRID = TimeGrid(1.0, 4)
DIAGONAL, GENERAL = Contracting("diagonal"), Contracting("general")
SHARED = RepresentationError(diffusion=elementwise)


class Foreign:
    """Takes its faults as attributes."""

    noise_type: Any = "diagonal"
    sde_type: Any = "ito"

    def __init__(self, **faults: Any) -> None:
        self.__dict__.update({"f": lambda t, x: -x, "g": lambda t, x: torch.ones_like(x)} | faults)


class Driven(LatentSDE):
    dim, action_dim = 1, 2

    def f(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return a[:, :1] - x

    def g(self, t: Tensor, x: Tensor, a: Tensor) -> Tensor:
        return torch.ones_like(x)


def late(fault: Callable[[Tensor], Any]) -> Callable[[Tensor, Tensor], Any]:
    """A field that goes wrong from t = ½ on."""
    return lambda t, x: fault(x) if float(t) >= 0.5 else torch.ones_like(x)


class Undifferentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor) -> Tensor:
        return y.clone()

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Tensor:  # type: ignore[override]
        raise RuntimeError("no derivative here")


def step(mean: Any = None, scale: Any = None, **options: Any) -> StepMap:
    return StepMap(
        mean or (lambda n, x, a: x),
        scale or (lambda n, x, a: torch.ones_like(x)),
        **({"dim": 2, "noise_dim": 2} | options),
    )


def coupled(*members: Any, x0: Any = 0.5, grid: Any = GRID, paths: Any = 5, **options: Any) -> Any:
    return simulate_coupled(members, x0, grid, paths, **options)


def single(system: Any = DIAGONAL, x0: Any = 0.5, grid: Any = GRID, paths: Any = 5, **options: Any) -> Any:
    return simulate(system, x0, grid, paths, **options)


def foreign(x0: Any = None, **faults: Any) -> Any:
    return single(Foreign(**faults), x0=torch.ones(3, dtype=F64) if x0 is None else x0)


def error(**parts: Any) -> Any:
    return perturb(DIAGONAL, RepresentationError(**parts), 0.1)


def martingales(steps: int, dim: int, rows: int | None = None) -> Any:
    basis = Waves(torch.zeros(dim), torch.ones(dim), 1)
    weights = torch.zeros(number(basis, 0) if rows is None else rows, 1)
    return coupled(Martingales(Variations(DIAGONAL, SHARED), basis, 0, {steps: weights}))


def forking() -> Any:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"))


class NoDiffusion:
    """Half an SDE."""

    noise_type, sde_type = "diagonal", "ito"

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return -x


class Detached(LatentSDE):
    """A parameter that is hidden from differentiation, in float32 and with a small step."""

    dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor(-0.5))

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return self.a.detach() * x

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def two_runs() -> Any:
    return (Moments.of(np.ones(3), "seed 0").estimates()[0] for _ in range(2))


def combine_two_runs() -> Any:
    a, b = two_runs()
    return a + b


def covariance_of_two_runs() -> Any:
    a, b = two_runs()
    return a.covariance(b)


def categorical(recurrent: Any = None, logits: Any = None, **sizes: Any) -> CategoricalMap:
    return CategoricalMap(
        recurrent or (lambda n, h, z, a: h),
        logits or (lambda n, h: h.repeat(1, 2)),
        **({"hidden": 2, "groups": 2, "classes": 2} | sizes),
    )


NOISE = IntegerBrownian([BrownianMotion(0, GRID, 1)], 3, F64)
NAN = float("nan")
TRIPLE = f"{float(torch.linalg.matrix_norm(3 * RHO, 2)):.6g}"

# What is done, how it is refused, and what the sentence must say.
Case = tuple[Callable[[], Any], type[Exception], list[str]]
