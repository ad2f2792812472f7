"""Every refusal of ground and dynamics: one sentence that names the argument and what was given.

The last test counts: a `raise InvalidArgument` or `raise Refused` that no case below reaches fails it.
"""

import ast
import multiprocessing
import re
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from systems import ETA, F64, RHO, Contracting, elementwise, fixed, sigma, sigma_bar
from torch import Tensor

import sdewm
from sdewm import validation
from sdewm.constant import Certified
from sdewm.dynamics import (
    BrownianMotion,
    CategoricalMap,
    ErrorCovariance,
    LatentSDE,
    RepresentationError,
    Sensitivity,
    StepMap,
    Terms,
    Variations,
    euler_map,
    perturb,
    simulate,
    simulate_coupled,
    tame,
)
from sdewm.dynamics.brownian import generator
from sdewm.dynamics.ensemble import prepare
from sdewm.dynamics.integer_time import IntegerBrownian
from sdewm.dynamics.martingale import Increments, Martingales, number
from sdewm.dynamics.noise import LARGEST, Antithetic
from sdewm.dynamics.sobol import Sobol, SobolMotion
from sdewm.dynamics.system import check_system
from sdewm.dynamics.waves import Waves
from sdewm.estimate import Moments
from sdewm.exceptions import HypothesisFails, InvalidArgument, Refused
from sdewm.grid import TimeGrid
from sdewm.hypothesis import Facts, declare, facts_of
from sdewm.verdict import Grade, Outcome, Verdict

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


class Hidden(LatentSDE):
    dim = 3

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        with torch.no_grad():
            return -3.0 * torch.tanh(x)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
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

# What is done, and what the sentence must say: the argument's name and the value that was given.
VERDICT = Verdict(Outcome.HOLDS, Grade.CERTIFIED, "a reason")
CASES: list[tuple[Callable[[], Any], type[Exception], list[str]]] = [
    # ground
    (lambda: TimeGrid(1.0, 2.5), InvalidArgument, ["steps", "2.5"]),  # type: ignore[arg-type]
    (lambda: TimeGrid(1.0, 0), InvalidArgument, ["steps", "got 0"]),
    (lambda: TimeGrid(-1.0, 4), InvalidArgument, ["T must be above zero", "-1.0"]),
    (lambda: TimeGrid(float("inf"), 4), InvalidArgument, ["T must be a finite number", "inf"]),
    (lambda: Certified(NAN, "nowhere"), InvalidArgument, ["value", "nan"]),
    (lambda: Certified(1.0, "a proof", 2.0), InvalidArgument, ["attained", "1.0", "2.0"]),
    (lambda: VERDICT.plot(), Refused, ["no curves"]),
    (lambda: sdewm.citation("Nobody"), InvalidArgument, ["thing", "'Nobody'", "'LogNorm'"]),
    (lambda: sdewm.citation(NoDiffusion), InvalidArgument, ["thing", "NoDiffusion names no source", "kreiss1962"]),
    (lambda: validation.one_of("colour", "red", ("blue",)), InvalidArgument, ["colour", "'blue'", "'red'"]),
    (lambda: validation.not_negative("colour", -1.0), InvalidArgument, ["colour must be at least 0", "-1.0"]),
    (lambda: validation.instance("colour", 3, str), InvalidArgument, ["colour must be a str", "int"]),
    (lambda: validation.strings("colour", 3), InvalidArgument, ["colour", "3"]),
    (lambda: Moments.of([1.0, 2.0]).estimates()[0].interval(2.0), InvalidArgument, ["level", "2.0"]),
    (lambda: GRID.index(0.3), InvalidArgument, ["time 0.3", "4 steps", "0.25"]),
    (lambda: GRID.index(NAN), InvalidArgument, ["time", "nan"]),
    (lambda: GRID.saved("some"), InvalidArgument, ["save", "'some'"]),
    (lambda: GRID.saved(0.5), InvalidArgument, ["save", "0.5"]),  # type: ignore[arg-type]
    (lambda: GRID.saved([0.5, 0.25]), InvalidArgument, ["save", "[0.5, 0.25]"]),
    (lambda: GRID.coarsen(3), InvalidArgument, ["k must divide", "4", "3"]),
    (lambda: Moments.of(np.zeros((2, 2, 2))), InvalidArgument, ["values", "(2, 2, 2)"]),
    (combine_two_runs, InvalidArgument, ["same noise", "another seed"]),
    (covariance_of_two_runs, InvalidArgument, ["same noise", "another seed"]),
    (lambda: coupled(DIAGONAL, compile="always"), InvalidArgument, ["compile", "'always'"]),
    (lambda: coupled(DIAGONAL, device="abacus"), InvalidArgument, ["device", "'abacus'"]),
    (lambda: coupled(DIAGONAL, executor=4), InvalidArgument, ["executor", "got 4"]),
    (lambda: coupled(DIAGONAL, executor=forking()), InvalidArgument, ["executor forks", "'spawn'"]),
    (lambda: coupled(NoDiffusion()), InvalidArgument, ["NoDiffusion has f and no g"]),
    (lambda: foreign(f=None, g=None, f_and_g=lambda t, x: -x), InvalidArgument, ["Foreign.f_and_g", "Tensor"]),
    (lambda: coupled(DIAGONAL, dtype="float32"), InvalidArgument, ["dtype", "'float32'"]),
    (lambda: coupled(DIAGONAL, dtype=torch.int32), InvalidArgument, ["dtype", "torch.int32"]),
    (lambda: tame(step(), GRID), Refused, ["system is a StepMap"]),
    (lambda: tame(None, GRID), InvalidArgument, ["system must be an SDE with f and g", "None"]),
    (lambda: coupled(Sensitivity(Detached(), {"a": 1.0})), Refused, ["the parameter 'a'", "detach"]),
    # what functions declare
    (lambda: Facts("cubic"), InvalidArgument, ["growth", "'explosive'", "'cubic'"]),
    (lambda: Facts(smoothness=-1), InvalidArgument, ["smoothness", "-1"]),
    (lambda: Facts(smoothness=NAN), InvalidArgument, ["smoothness", "nan"]),
    (lambda: declare(0.5), InvalidArgument, ["function must be callable", "0.5"]),  # type: ignore[arg-type]
    (lambda: declare(sigma, "fast"), InvalidArgument, ["growth", "'fast'"]),
    (lambda: facts_of(Foreign(facts="smooth")), InvalidArgument, ["facts of Foreign", "Facts(...)", "'smooth'"]),
    # noise
    (lambda: generator(-1, "paths"), InvalidArgument, ["seed", "-1"]),
    (lambda: BrownianMotion(1.5, GRID, 1), InvalidArgument, ["seed", "1.5"]),  # type: ignore[arg-type]
    (lambda: BrownianMotion(0, GRID, 0), InvalidArgument, ["dim", "got 0"]),
    (lambda: BrownianMotion(0, 1.0, 1), InvalidArgument, ["grid must be a TimeGrid", "float"]),  # type: ignore[arg-type]
    (lambda: BrownianMotion(0, GRID, 1).normals(0), InvalidArgument, ["paths", "got 0"]),
    (lambda: SobolMotion(0, 1.0, 1), InvalidArgument, ["grid must be a TimeGrid", "float"]),  # type: ignore[arg-type]
    (lambda: SobolMotion(0, GRID, 2, groups=(("paths", 3),)), InvalidArgument, ["groups", "('paths', 2)", "3"]),
    (lambda: SobolMotion(0, GRID, 5301), InvalidArgument, ["grid and dim", "4 steps x 5301", "21204", "21201"]),
    (lambda: SobolMotion(0, GRID, 0), InvalidArgument, ["dim", "got 0"]),
    (lambda: Sobol(48), InvalidArgument, ["points must be a power of two", "got 48"]),
    (lambda: Sobol(2 * LARGEST), InvalidArgument, ["points must be a power of two up to 262144", "got 524288"]),
    (lambda: Antithetic(Sobol(LARGEST)), InvalidArgument, ["of must have clusters", "131072", "262144"]),
    (lambda: prepare([DIAGONAL], 0.5, GRID, 5, motion=Antithetic()), InvalidArgument, ["paths", "multiple", "2", "5"]),
    (
        lambda: prepare([DIAGONAL], fixed(4, 3), GRID, 4, motion=Antithetic()),
        InvalidArgument,
        ["x0 differs from path to path", "(4, 3)"],
    ),
    (
        lambda: prepare([Driven()], 0.5, GRID, 4, actions=fixed(4, 4, 2), motion=Antithetic()),
        InvalidArgument,
        ["actions differs from path to path", "(4, 4, 2)"],
    ),
    (lambda: NOISE(0), Refused, ["interval of whole steps"]),
    (lambda: NOISE(0.5, 1.0), Refused, ["between grid points", "0.5 to 1"]),
    (lambda: NOISE(0, 1, return_U=True), Refused, ["space-time", "srk"]),
    # starts, paths, actions
    (lambda: single(x0="here"), InvalidArgument, ["x0", "'here'"]),
    (lambda: single(x0=[1.0, 2.0]), InvalidArgument, ["x0", "(3,)", "(2,)"]),
    (lambda: single(x0=torch.zeros(1, 1, 3)), InvalidArgument, ["x0", "(1, 1, 3)"]),
    (lambda: single(x0=NAN), InvalidArgument, ["x0 must be finite", "NaN"]),
    (lambda: foreign(x0=1.0), InvalidArgument, ["x0 must be a vector", "Foreign", "dim"]),
    (lambda: single(paths=None), InvalidArgument, ["paths is needed"]),
    (lambda: single(paths=2.0), InvalidArgument, ["paths", "2.0"]),
    (lambda: single(x0=fixed(4, 3)), InvalidArgument, ["x0 has 4 rows", "paths is 5"]),
    (lambda: single(seed=-3), InvalidArgument, ["seed", "-3"]),
    (lambda: coupled(DIAGONAL, seed=None), InvalidArgument, ["seed", "None"]),
    (lambda: single(Driven(), actions=fixed(3, 2)), InvalidArgument, ["actions", "steps = 4", "(3, 2)"]),
    (lambda: single(Driven(), actions=fixed(4, 7, 2)), InvalidArgument, ["actions", "paths = 5", "(4, 7, 2)"]),
    (lambda: single(Driven(), actions=[0.0] * 4), InvalidArgument, ["actions", "(4,)"]),
    (lambda: single(Driven(), actions=[[0.0], [0.0, 1.0]]), InvalidArgument, ["actions", "[[0.0], [0.0, 1.0]]"]),
    (lambda: single(x0=np.array(["a", None])), InvalidArgument, ["x0 must hold numbers", "array(['a', None]"]),
    (lambda: single(x0=np.array([1.0, 2.0, 3.0j])), InvalidArgument, ["x0 and dtype must be real"]),
    (lambda: single(x0=np.array([1.0, NAN, 3.0])), InvalidArgument, ["x0 must be finite"]),
    (lambda: single(Driven(), actions=torch.full((4, 2), NAN)), InvalidArgument, ["actions must be finite", "NaN"]),
    (lambda: single(Driven()), InvalidArgument, ["Driven takes actions of dimension 2", "pass actions=(steps, 2)"]),
    (
        lambda: single(Driven(), actions=fixed(4, 3)),
        InvalidArgument,
        ["actions must have 2 columns", "Driven", "got 3"],
    ),
    (lambda: single(actions=fixed(4, 3)), InvalidArgument, ["actions must have 0 columns", "Contracting", "got 3"]),
    (lambda: euler_map(Driven(), GRID, fixed(4, 3)), InvalidArgument, ["actions", "(4, 2)", "(4, 3)"]),
    (lambda: euler_map(Foreign(), GRID), InvalidArgument, ["x0 is needed", "Foreign", "dim"]),
    # systems
    (lambda: foreign(noise_type="white"), InvalidArgument, ["Foreign.noise_type", "'diagonal'", "'white'"]),
    (lambda: foreign(noise_type=None), InvalidArgument, ["Foreign.noise_type", "None"]),
    (lambda: foreign(sde_type="backward"), InvalidArgument, ["Foreign.sde_type", "'backward'"]),
    (lambda: foreign(action_dim=-1), InvalidArgument, ["Foreign.action_dim", "-1"]),
    (lambda: check_system(DIAGONAL, fixed(2, 4)), InvalidArgument, ["x0 must have 3 columns", "Contracting", "(2, 4)"]),
    (lambda: foreign(g=None), InvalidArgument, ["Foreign must define f(t, x) and g(t, x)"]),
    (lambda: foreign(f=lambda t, x: x @ fixed(9, 9)), InvalidArgument, ["Foreign.f failed", "(5, 3)", "float64"]),
    (lambda: foreign(f=lambda t: t), InvalidArgument, ["Foreign.f failed", "positional argument"]),
    (lambda: foreign(g=lambda t, x: 0.5), InvalidArgument, ["Foreign.g must return a tensor", "float"]),
    (lambda: foreign(f=lambda t, x: x[:, :2]), InvalidArgument, ["Foreign.f", "(5, 3)", "(5, 2)"]),
    (lambda: foreign(g=lambda t, x: x[0]), InvalidArgument, ["Foreign.g", "diagonal", "(5, 3)", "got (3,)"]),
    (lambda: foreign(noise_type="general"), InvalidArgument, ["Foreign.g", "general", "(5, 3, m)", "got (5, 3)"]),
    (
        lambda: foreign(noise_type="scalar", g=lambda t, x: torch.stack((x, x), 2)),
        InvalidArgument,
        ["Foreign.g", "one column", "2"],
    ),
    (lambda: foreign(noise_dim=7), InvalidArgument, ["Foreign.noise_dim is 7", "3 columns"]),
    (lambda: foreign(f=lambda t, x: x.float()), InvalidArgument, ["Foreign.f returned torch.float32", "torch.float64"]),
    (lambda: single(x0=torch.ones(3)), InvalidArgument, ["Contracting.f failed", "(5, 3)", "torch.float32"]),
    (
        lambda: foreign(sde_type="stratonovich", g=lambda t, x: Undifferentiable.apply(x)),
        Refused,
        ["Foreign is Stratonovich", "no derivative here", "sde_type = 'ito'"],
    ),
    # errors
    (lambda: RepresentationError(), InvalidArgument, ["error is empty", "drift, diffusion, initial"]),
    (lambda: RepresentationError(drift=0.5), InvalidArgument, ["drift must be a function", "0.5"]),  # type: ignore[arg-type]
    (lambda: error(diffusion=sigma_bar, correlation="both"), InvalidArgument, ["correlation", "'both'"]),
    (lambda: error(diffusion=sigma_bar, correlation=1.5), InvalidArgument, ["correlation", "[-1, 1]", "1.5"]),
    (lambda: error(diffusion=sigma_bar, correlation=NAN), InvalidArgument, ["correlation", "nan"]),
    (lambda: error(diffusion=sigma_bar, correlation=None), InvalidArgument, ["correlation", "a matrix", "NoneType"]),
    (
        lambda: error(diffusion=sigma_bar, correlation=["a"]),
        InvalidArgument,
        ["correlation must hold numbers", "['a']"],
    ),
    (lambda: error(diffusion=sigma_bar, correlation=2 * np.eye(2)), InvalidArgument, ["spectral norm at most 1", "2"]),
    (
        lambda: error(diffusion=sigma_bar, correlation=3 * RHO),
        InvalidArgument,
        ["correlation", "spectral norm", TRIPLE],
    ),
    (
        lambda: error(diffusion=sigma_bar, correlation=NAN * RHO),
        InvalidArgument,
        ["correlation", "spectral norm", "nan"],
    ),
    (lambda: error(diffusion=sigma_bar, correlation=ETA), InvalidArgument, ["correlation", "matrix", "(3,)"]),
    (lambda: error(diffusion=sigma_bar, correlation=RHO), InvalidArgument, ["correlation", "(3, 2)", "(2, 2)"]),
    (lambda: error(diffusion=sigma_bar), InvalidArgument, ["correlation 'shared'", "2 and 3", "independent"]),
    (lambda: error(diffusion=sigma_bar, correlation=0.5), InvalidArgument, ["correlation 0.5", "2 and 3"]),
    (lambda: error(drift=lambda t, x: 0.5), InvalidArgument, ["error's drift", "(2, 3)", "float", "full_like"]),
    (lambda: error(drift=lambda t, x: x[0]), InvalidArgument, ["error's drift", "(2, 3)", "(3,)"]),
    (lambda: error(drift=lambda t, x: x.float()), InvalidArgument, ["error's drift", "float32", "float64"]),
    (lambda: error(diffusion=lambda t, x: x[:, :2]), InvalidArgument, ["error's diffusion", "(2, 3)", "(2, 2)"]),
    (lambda: error(diffusion=lambda t, x: 1.0), InvalidArgument, ["error's diffusion", "float"]),
    (lambda: error(diffusion=lambda t, x: x.float()), InvalidArgument, ["error's diffusion", "float32", "float64"]),
    (lambda: single(error(initial=ETA[:2])), InvalidArgument, ["initial", "dim = 3", "(2,)"]),
    (lambda: single(error(initial=fixed(5, 2))), InvalidArgument, ["initial", "dim = 3", "(5, 2)"]),
    (lambda: single(error(initial=fixed(4, 3))), InvalidArgument, ["initial has 4 rows", "paths is 5"]),
    (lambda: SHARED.scaled(NAN), InvalidArgument, ["factor", "nan"]),
    *[(lambda e=e: perturb(DIAGONAL, SHARED, e), InvalidArgument, ["eps", repr(e)]) for e in (0, -0.1, NAN, "1", None)],
    (
        lambda: single(perturb(Contracting("diagonal", torch.float32), SHARED, 1e-5)),
        InvalidArgument,
        ["eps = 1e-05", "float32"],
    ),
    (lambda: perturb(Foreign(), SHARED, 0.1), InvalidArgument, ["x0 is needed", "Foreign", "dim"]),
    (
        lambda: perturb(Contracting("diagonal", sde_type="stratonovich"), SHARED, 0.1),
        Refused,
        ["Contracting is Stratonovich"],
    ),
    # step maps and coupled runs
    (lambda: coupled(), InvalidArgument, ["members is empty"]),
    (lambda: coupled(DIAGONAL, grid=1.0), InvalidArgument, ["grid must be a TimeGrid", "float"]),
    (lambda: coupled(DIAGONAL, GENERAL), InvalidArgument, ["member 1", "2 noise columns", "3", "noise_dim"]),
    (lambda: coupled(DIAGONAL, observe=lambda s: s[0].sum()), InvalidArgument, ["observe", "()"]),
    (lambda: coupled(DIAGONAL, observe=lambda s: 1.0), InvalidArgument, ["observe", "float"]),
    (lambda: coupled(step(), actions=fixed(4, 1)), InvalidArgument, ["actions must have 0 columns", "1"]),
    (lambda: coupled(step(action_dim=1)), InvalidArgument, ["actions must have 1 columns", "none"]),
    (lambda: coupled(step(lambda n, x, a: x[:, :1])), InvalidArgument, ["mean", "(2, 2)", "(2, 1)"]),
    (lambda: coupled(step(lambda n, x, a: x.float())), InvalidArgument, ["mean", "float32", "float64"]),
    (lambda: coupled(step(None, lambda n, x, a: x[:, :1])), InvalidArgument, ["scale", "(2, 2)", "(2, 1)"]),
    (lambda: coupled(step(noise_dim=3)), InvalidArgument, ["scale", "(2, 2, 3)", "(2, 2)"]),
    (
        lambda: prepare([Driven()], 0.5, GRID, 5, actions=fixed(4, 2), coarsen=2),
        InvalidArgument,
        ["actions", "coarsen=1"],
    ),
    (lambda: prepare([DIAGONAL], 0.5, GRID, 5, coarsen=3), InvalidArgument, ["k must divide", "3"]),
    (lambda: coupled(DIAGONAL, save=[0.3]), InvalidArgument, ["time 0.3", "0.25"]),
    # torchsde
    (lambda: single(grid=10), InvalidArgument, ["grid must be a TimeGrid", "int"]),
    (lambda: single(method="heun"), InvalidArgument, ["method", "'euler'", "'heun'"]),
    (lambda: single(step()), Refused, ["StepMap", "simulate_coupled"]),
    (lambda: single(GENERAL, method="milstein"), Refused, ["'milstein'", "general noise of Contracting", "'euler'"]),
    (lambda: single(Driven(), actions=fixed(4, 2), method="srk"), Refused, ["'srk'", "next action"]),
    (lambda: single(Driven(), actions=fixed(4, 2), adjoint=True), Refused, ["adjoint=True", "next action"]),
    (lambda: single(Foreign(dim=3), adjoint=True), Refused, ["adjoint=True", "Foreign"]),
    (lambda: single().at(0.3), InvalidArgument, ["time 0.3"]),
    (lambda: single(save="final").at(0.25), InvalidArgument, ["time 0.25 was not saved"]),
    # what only shows later, or in silence
    (lambda: foreign(f=late(lambda x: x[:, :1])), InvalidArgument, ["Foreign.f", "(5, 1)", "t = 0.5"]),
    (lambda: foreign(f=late(lambda x: x.float())), InvalidArgument, ["Foreign.f", "torch.float32", "t = 0.5"]),
    (lambda: foreign(g=late(lambda x: None)), InvalidArgument, ["Foreign.g", "NoneType", "t = 0.5"]),
    (
        lambda: foreign(noise_type="additive", g=lambda t, x: x[:, :, None]),
        InvalidArgument,
        ["Foreign.noise_type is 'additive'", "depends on the state"],
    ),
    (
        lambda: coupled(perturb(DIAGONAL, RepresentationError(late(lambda x: x[:, :1])), 0.1)),
        InvalidArgument,
        ["the error's drift", "1)", "t = 0.5"],
    ),
    (
        lambda: single(perturb(DIAGONAL, RepresentationError(late(lambda x: x[:, :1])), 0.1)),
        InvalidArgument,
        ["the error's drift", "(5, 1)", "t = 0.5"],
    ),
    (lambda: error(drift=lambda t, x: x @ fixed(7, 7)), InvalidArgument, ["the error's drift failed", "(2, 3)"]),
    (lambda: coupled(Variations(Hidden(), SHARED)), Refused, ["derivative of Hidden.f", "no_grad"]),
    (
        lambda: coupled(Variations(DIAGONAL, RepresentationError(sigma, drift_jvp=lambda t, x, v: v[:, :1]))),
        Refused,
        ["derivative of the error's drift has shape", "(2, 1)"],
    ),
    (lambda: coupled(perturb(DIAGONAL, RepresentationError(initial=NAN), 0.1)), InvalidArgument, ["initial", "NaN"]),
    (lambda: simulate_coupled(DIAGONAL, 0.5, GRID, 5), InvalidArgument, ["members", "Contracting", "[ ]"]),
    (lambda: single(Contracting), InvalidArgument, ["system", "the class Contracting"]),
    (lambda: single(None), InvalidArgument, ["system", "None"]),
    (lambda: single(x0=torch.ones(5, 3) * 1j), InvalidArgument, ["x0", "complex"]),
    (lambda: single(dtype=torch.complex64), InvalidArgument, ["dtype", "complex"]),
    (lambda: single(Driven(), actions=fixed(4, 2) * 1j), InvalidArgument, ["actions", "complex"]),
    (lambda: perturb(DIAGONAL, None, 0.1), InvalidArgument, ["error", "NoneType"]),  # type: ignore[arg-type]
    (lambda: Variations(DIAGONAL, "big"), InvalidArgument, ["error", "str"]),  # type: ignore[arg-type]
    (lambda: Variations(DIAGONAL, SHARED, terms="all"), InvalidArgument, ["terms", "str"]),  # type: ignore[arg-type]
    # what is made from a system
    (lambda: tame(DIAGONAL, 0.1), InvalidArgument, ["grid must be a TimeGrid", "float"]),  # type: ignore[arg-type]
    (lambda: tame(Foreign(), GRID), InvalidArgument, ["x0 is needed", "Foreign", "dim"]),
    (lambda: tame(DIAGONAL, GRID, x0=fixed(2, 4)), InvalidArgument, ["x0 must have 3 columns", "(2, 4)"]),
    (lambda: ErrorCovariance(DIAGONAL, None), InvalidArgument, ["error", "NoneType"]),  # type: ignore[arg-type]
    (lambda: ErrorCovariance(DIAGONAL, SHARED), Refused, ["covariance", "independent", "correlation 'shared'"]),
    (lambda: Sensitivity(step(), {"W": 1.0}), InvalidArgument, ["system", "torch.nn.Module", "StepMap"]),
    (lambda: Sensitivity(DIAGONAL, {}), InvalidArgument, ["direction is empty", "at least one parameter"]),
    (lambda: Sensitivity(DIAGONAL, {"V": 1.0}), InvalidArgument, ["direction names 'V'", "W, C, B"]),
    (lambda: Sensitivity(DIAGONAL, {"W": ETA}), InvalidArgument, ["direction of 'W'", "(3, 3)", "(3,)"]),
    # categorical latents
    (lambda: categorical(hidden=0), InvalidArgument, ["hidden", "got 0"]),
    (lambda: categorical(groups=1.5), InvalidArgument, ["groups", "1.5"]),
    (lambda: categorical(classes=1), InvalidArgument, ["classes", ">= 2", "got 1"]),
    (lambda: categorical(action_dim=-1), InvalidArgument, ["action_dim", "-1"]),
    (lambda: coupled(categorical(lambda n, h, z, a: z)), InvalidArgument, ["recurrent", "(2, 2)", "(2, 4)"]),
    (lambda: coupled(categorical(None, lambda n, h: h)), InvalidArgument, ["logits", "(2, 4)", "(2, 2)"]),
    (lambda: euler_map(categorical(), GRID), Refused, ["CategoricalMap", "no differential equation"]),
    (
        lambda: coupled(perturb(categorical(), RepresentationError(drift=lambda t, h: h[:, :1]), 0.1)),
        InvalidArgument,
        ["the error's drift", "(2, 4)", "(2, 1)"],
    ),
    (lambda: coupled(categorical(), actions=fixed(4, 1)), InvalidArgument, ["actions must have 0 columns", "1"]),
    (lambda: coupled(categorical(), x0=ETA), InvalidArgument, ["x0", "(6,)", "(3,)"]),
    (lambda: perturb(categorical(), SHARED, 0.1), Refused, ["CategoricalMap", "drift σ(n, h)", "alone"]),
    (lambda: coupled(Variations(categorical(), SHARED)), HypothesisFails, ["continuous latents", "StepMap"]),
    # variations
    (lambda: Variations(DIAGONAL, SHARED, "magic"), InvalidArgument, ["derivatives", "'magic'"]),
    (lambda: Variations(DIAGONAL, SHARED, order=3), InvalidArgument, ["order", "3"]),
    (
        lambda: Variations(DIAGONAL, SHARED, "autodiff", Terms(half=False)),
        InvalidArgument,
        ["derivatives='autodiff'", "formula"],
    ),
    (lambda: Terms.without("everything"), InvalidArgument, ["term", "'everything'"]),
    (lambda: Increments("x"), InvalidArgument, ["of must be Variations", "'x'"]),  # type: ignore[arg-type]
    (lambda: martingales(4, dim=3, rows=5), InvalidArgument, ["weights must be", "(5, 1)"]),
    (lambda: martingales(4, dim=7), InvalidArgument, ["basis is of 7 coordinates"]),
    (lambda: martingales(5, dim=3), InvalidArgument, ["weights are for [5] steps"]),
    (lambda: Waves(torch.zeros(1), torch.zeros(1), 1), InvalidArgument, ["low and high", "below its high"]),
    (
        lambda: coupled(Variations(DIAGONAL, RepresentationError(initial=fixed(2, 3)))),
        InvalidArgument,
        ["initial has 2 rows"],
    ),
    (
        lambda: coupled(Variations(GENERAL, RepresentationError(sigma, elementwise))),
        InvalidArgument,
        ["correlation", "3 and 2"],
    ),
]


@pytest.mark.parametrize(("act", "kind", "says"), CASES, ids=[f"{i}: {' '.join(c[2])}" for i, c in enumerate(CASES)])
def test_the_sentence_names_the_argument_and_the_value(
    act: Callable[[], Any], kind: type[Exception], says: list[str]
) -> None:
    with pytest.raises(kind) as caught:
        act()
    assert type(caught.value) is kind
    message = str(caught.value)
    for part in says:
        assert part in message
    assert re.search(r"[.…]$", message)
    assert "\n" not in message


def raises() -> dict[tuple[str, int], range]:
    """Every `raise InvalidArgument(...)` and `raise Refused(...)` of the ground and of dynamics, by file and line."""
    root = Path(str(sdewm.__file__)).parent
    found = {}
    for path in [*root.glob("*.py"), *(root / "dynamics").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            call = node.exc if isinstance(node, ast.Raise) else None
            name = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else None
            if name in ("InvalidArgument", "Refused"):
                found[str(path), node.lineno] = range(node.lineno, int(node.end_lineno or node.lineno) + 1)
    return found


def test_no_refusal_is_left_out() -> None:
    places = []
    for act, kind, _ in CASES:
        try:
            act()
        except kind as caught:
            frame = traceback.extract_tb(caught.__traceback__)[-1]
            places.append((frame.filename, frame.lineno))
    unreached = [where for where, lines in raises().items() if not any(f == where[0] and n in lines for f, n in places)]
    assert len(raises()) > 50
    assert not unreached, unreached
