"""The problems that are timed, written once for torch, jax and numpy alike.

Every function takes the namespace `xp` (torch or jax.numpy) and its own constants as arrays of that namespace, so that
no peer solves a problem of its own.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdewm import RepresentationError, TimeGrid
from sdewm.dynamics import DifferentiableSDE, LatentSDE

X0, T = 0.6, 1.0
Coefficient = Callable[[Any, Mapping[str, Any], Any], Any]


@final
@dataclass(frozen=True)
class Problem:
    """dx = f dt + g dB and the same with ε σ̄ dB added, from X0 to time T in float32.

    Attributes:
        name: short name of the row.
        title: the row in words.
        kind: "pair" (x⁰, x^ε), "variations" (with y₁, y₂), or "antithetic" (x⁰, x^ε on W and on −W, W independent).
        drift, diffusion, error: f, g, σ̄ as functions of (xp, constants, x).
        general: whether g is dense, (paths, dim, noise).
        constants: float32 arrays.
        sines: sines that one step takes of each coordinate at the least.
        products: shapes (rows a path, inner, outer) of the matrix products of one step; tanh is taken of the first.
        by_hand: f', f'', g', g'', σ̄' of scalar coefficients, where an engine may be given them.
        quick: leave out what takes a compiler many seconds.
    """

    name: str
    title: str
    kind: str
    dim: int
    steps: int
    paths: int
    drift: Coefficient
    diffusion: Coefficient
    error: Coefficient
    eps: float = 0.1
    general: bool = False
    constants: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    sines: int = 0
    products: tuple[tuple[int, int, int], ...] = ()
    by_hand: tuple[Coefficient, ...] = ()
    quick: bool = False

    @property
    def grid(self) -> TimeGrid:
        """The time grid."""
        return TimeGrid(T, self.steps)

    @property
    def columns(self) -> int:
        """Normals of one path and step."""
        return self.dim * (2 if self.kind == "antithetic" else 1)

    @property
    def normals(self) -> int:
        """Normals that one run draws."""
        return self.paths * self.steps * self.columns

    @property
    def members(self) -> int:
        """Number of coupled states."""
        return {"pair": 2, "antithetic": 3, "variations": 4}[self.kind]

    def sized(self, paths: int, steps: int) -> "Problem":
        """The same problem in another size, without slow compilers."""
        return replace(self, paths=paths, steps=steps, quick=True)

    def step(self, xp: Any, c: Mapping[str, Any], states: tuple[Any, ...], normals: Any) -> tuple[Any, ...]:
        """One Euler step of the pair or the antithetic pair, as one would write it by hand."""
        h, root = T / self.steps, math.sqrt(T / self.steps)
        xi = root * normals[:, : self.dim]

        def move(x: Any) -> Any:
            g = self.diffusion(xp, c, x)
            return x + h * self.drift(xp, c, x) + ((g * xi[:, None, :]).sum(-1) if self.general else g * xi)

        if self.kind == "antithetic":
            zeta = (self.eps * root) * normals[:, self.dim :]
            x, plus, minus = states
            return (
                move(x),
                move(plus) + self.error(xp, c, plus) * zeta,
                move(minus) - self.error(xp, c, minus) * zeta,
            )
        x, xe = states
        return move(x), move(xe) + self.error(xp, c, xe) * (self.eps * xi)

    def observed(self, states: tuple[Any, ...]) -> tuple[Any, Any]:
        """Two numbers a path, of which each peer reports the means: a difference, and a size."""
        first, second = states[0], states[1]
        if self.kind == "variations":
            return ((second - first) ** 2).sum(-1), (states[2] ** 2 + states[3]).sum(-1)
        if self.kind == "antithetic":
            return (second + states[2] - 2 * first).sum(-1), (second**2).sum(-1)
        return ((second - first) ** 2).sum(-1), (second**2).sum(-1)


class System(LatentSDE):
    """A problem's base system, as a user of torch would write it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem, self.dim = problem, problem.dim
        self.noise_type = "general" if problem.general else "diagonal"
        self.noise_dim = problem.dim
        self.c = {k: torch.from_numpy(v) for k, v in problem.constants.items()}

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """Drift."""
        value: Tensor = self.problem.drift(torch, self.c, x)
        return value

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """Diffusion."""
        value: Tensor = self.problem.diffusion(torch, self.c, x)
        return value


class SystemByHand(System, DifferentiableSDE):
    """The same with hand-written derivatives."""

    def f_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """f' v."""
        value: Tensor = self.problem.by_hand[0](torch, self.c, x) * v
        return value

    def f_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """f'' v w."""
        value: Tensor = self.problem.by_hand[1](torch, self.c, x) * v * w
        return value

    def g_jvp(self, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """g' v."""
        value: Tensor = self.problem.by_hand[2](torch, self.c, x) * v
        return value

    def g_second(self, t: Tensor, x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """g'' v w."""
        value: Tensor = self.problem.by_hand[3](torch, self.c, x) * v * w
        return value


@final
@dataclass(frozen=True)
class ErrorField:
    """σ̄ of a problem, or σ̄' v; at module level, so that it travels to workers."""

    problem: Problem
    derivative: bool = False

    def __call__(self, t: Any, x: Tensor, *v: Tensor) -> Tensor:
        c = {k: torch.from_numpy(a) for k, a in self.problem.constants.items()}
        if self.derivative:
            value: Tensor = self.problem.by_hand[4](torch, c, x) * v[0]
        else:
            value = self.problem.error(torch, c, x)
        return value


def error_of(problem: Problem, by_hand: bool = False) -> RepresentationError:
    """The representation error of a problem."""
    return RepresentationError(
        diffusion=ErrorField(problem),
        correlation="independent" if problem.kind == "antithetic" else "shared",
        diffusion_jvp=ErrorField(problem, True) if by_hand else None,
    )


def _constant(*shape: int, scale: float, seed: int) -> NDArray[np.float32]:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def cubic_drift(xp: Any, c: Any, x: Any) -> Any:
    return x - x * x * x


def sine_diffusion(xp: Any, c: Any, x: Any) -> Any:
    return 0.5 + 0.3 * xp.sin(x)


def sine_error(xp: Any, c: Any, x: Any) -> Any:
    return 0.5 + 0.4 * xp.sin(2 * x)


def cubic_slope(xp: Any, c: Any, x: Any) -> Any:
    return 1 - 3 * x * x


def cubic_second(xp: Any, c: Any, x: Any) -> Any:
    return -6 * x


def sine_slope(xp: Any, c: Any, x: Any) -> Any:
    return 0.3 * xp.cos(x)


def sine_second(xp: Any, c: Any, x: Any) -> Any:
    return -0.3 * xp.sin(x)


def sine_error_slope(xp: Any, c: Any, x: Any) -> Any:
    return 0.8 * xp.cos(2 * x)


def linear_drift(xp: Any, c: Any, x: Any) -> Any:
    return -0.5 * x


def linear_diffusion(xp: Any, c: Any, x: Any) -> Any:
    return 0.6 * x


def unit_error(xp: Any, c: Any, x: Any) -> Any:
    return xp.ones_like(x)


def network_drift(xp: Any, c: Any, x: Any) -> Any:
    return xp.tanh(x @ c["W1"] + c["b1"]) @ c["W2"] - x


def constant_diffusion(xp: Any, c: Any, x: Any) -> Any:
    return xp.full_like(x, 0.3)


def dense_diffusion(xp: Any, c: Any, x: Any) -> Any:
    return c["C"] + c["D"] * xp.sin(x)[:, :, None]


# Paths are whole blocks of 1024, so that no engine draws normals for padding.
CUBIC = Problem(
    "pair, cubic",
    "x⁰, x^ε: x − x³, ½ + .3 sin x, σ̄ = ½ + .4 sin 2x; d = 8",
    "pair",
    8,
    100,
    20_480,
    cubic_drift,
    sine_diffusion,
    sine_error,
    sines=3,
    by_hand=(cubic_slope, cubic_second, sine_slope, sine_second, sine_error_slope),
)
GEOMETRIC = Problem(
    "pair, geometric",
    "x⁰, x^ε: −.5 x, .6 x, σ̄ = 1; d = 8",
    "pair",
    8,
    100,
    20_480,
    linear_drift,
    linear_diffusion,
    unit_error,
)
VARIATIONS = replace(
    CUBIC,
    name="variations",
    title="x⁰, x^ε, y₁, y₂ of the cubic system; d = 8",
    kind="variations",
    paths=8_192,
    # sin x, cos x of the base, sin 2x and cos 2x of its error, sin and sin 2x of the perturbed member
    sines=6,
)
NETWORK = Problem(
    "network",
    "x⁰, x^ε with drift 32 → 200 → 32 (tanh), g = .3, σ̄ = ½ + .4 sin 2x",
    "pair",
    32,
    50,
    4_096,
    network_drift,
    constant_diffusion,
    sine_error,
    constants={
        "W1": _constant(32, 200, scale=32**-0.5, seed=1),
        "b1": _constant(200, scale=0.1, seed=2),
        "W2": _constant(200, 32, scale=200**-0.5, seed=3),
    },
    sines=1,
    products=((2, 32, 200), (2, 200, 32)),
)
DENSE = Problem(
    "general noise",
    "x⁰, x^ε: x − x³, dense g of 8 columns, σ̄ = ½ + .4 sin 2x; d = 8",
    "pair",
    8,
    100,
    10_240,
    cubic_drift,
    dense_diffusion,
    sine_error,
    general=True,
    constants={"C": _constant(8, 8, scale=0.15, seed=4), "D": _constant(8, 8, scale=0.1, seed=5)},
    sines=3,
)
WIDE = replace(CUBIC, name="wide", title="x⁰, x^ε of the cubic system; d = 64", dim=64, paths=3_072)
ANTITHETIC = replace(
    CUBIC,
    name="antithetic",
    title="x⁰, x^ε on W and on −W (W independent of B), cubic; d = 8",
    kind="antithetic",
    paths=10_240,
    # three members' sin x and two sin 2x
    sines=5,
)
PROBLEMS = (CUBIC, GEOMETRIC, VARIATIONS, NETWORK, DENSE, WIDE, ANTITHETIC)
