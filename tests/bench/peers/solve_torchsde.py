"""torchsde: as a user would call it, tuned; and on this package's Brownian motion, the members stacked."""

import math
from typing import Any

import torch
import torchsde
from torch import Tensor

from sdewm.dynamics.brownian import BrownianMotion
from sdewm.dynamics.integer_time import IntegerBrownian

from ..harness import Absent, Job
from ..problems import X0, Problem, System, T
from .varied_torchsde import Augmented, AugmentedByHand

# Tried on the cubic pair, in ns a normal. Two solves: blocks of 1024, 4096, 8192 and 20 000 paths 26, 20, 15 and 13.
# cache_size=None lets the second solve find the first one's increments, the default makes them again. Members stacked:
# blocks of the same sizes 18, 13, 12.4 and 11.7 alone, but among other peers 4096 is the steadiest, since the noise of
# more does not fit the cache. The augmented state: blocks of 512, 1024, 2048 and 4096 paths 91, 70, 65 and 66, with
# f_and_g_prod 71, 50, 43 and 39. Integer time and whole steps throughout: in real time the solver may leave slivers of
# steps and not return.
TWO_ROWS, ROWS = 20_480, 4096


class InIntegerTime(torch.nn.Module):
    """h f and √h g of one member or of several stacked ones, so that a step is 1 and an increment a unit normal."""

    sde_type = "ito"

    def __init__(self, problem: Problem, eps: tuple[float, ...], both: bool) -> None:
        super().__init__()
        self.noise_type = "general" if problem.general else "diagonal"
        self.problem, self.system, self.eps = problem, System(problem), eps
        self.h, self.root = T / problem.steps, math.sqrt(T / problem.steps)
        if both:
            self.f_and_g = self._both

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return self.h * self.system.f(t, x)

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        rows = len(x) // len(self.eps)
        g = self.system.g(t, x)
        parts = []
        for k, eps in enumerate(self.eps):
            part, here = g[k * rows : (k + 1) * rows], x[k * rows : (k + 1) * rows]
            if eps:
                extra = eps * self.problem.error(torch, self.system.c, here)
                part = part + (torch.diag_embed(extra) if self.problem.general else extra)
            parts.append(part)
        return self.root * (parts[0] if len(parts) == 1 else torch.cat(parts))

    def _both(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.f(t, x), self.g(t, x)


class Stacked(torchsde.BaseBrownian):
    """One Brownian motion for several members below each other."""

    def __init__(self, inner: IntegerBrownian, members: int) -> None:
        super().__init__()
        self.inner, self.members = inner, members

    def __call__(self, ta: Any, tb: Any = None, return_U: bool = False, return_A: bool = False) -> Any:
        return self.inner(ta, tb, return_U, return_A).repeat(self.members, 1)

    def __repr__(self) -> str:
        return f"Stacked({self.inner!r}, {self.members})"

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the increments."""
        return self.inner.dtype

    @property
    def device(self) -> torch.device:
        """Device of the increments."""
        return self.inner.device

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.inner.shape[0] * self.members, self.inner.shape[1]

    @property
    def levy_area_approximation(self) -> str:
        """torchsde's name for what is available."""
        return "none"


def _times(problem: Problem) -> Tensor:
    return torch.tensor([0.0, float(problem.steps)])


def two_solves(problem: Problem) -> Job:
    """Two solves on one BrownianInterval."""
    if problem.kind != "pair":
        raise Absent("not one of its kind")
    one, two = (InIntegerTime(problem, (eps,), both=False) for eps in (0.0, problem.eps))
    rows = min(TWO_ROWS, problem.paths)
    blocks = -(-problem.paths // rows)
    x0 = torch.full((rows, problem.dim), X0)

    @torch.no_grad()
    def run(seed: int) -> Tensor:
        values = []
        for block in range(blocks):
            motion = torchsde.BrownianInterval(
                0.0,
                float(problem.steps),
                (rows, problem.dim),
                torch.float32,
                entropy=seed * blocks + block,
                dt=1.0,
                cache_size=None,
            )
            ends = tuple(
                torchsde.sdeint(member, x0, _times(problem), bm=motion, method="euler", dt=1.0)[-1]
                for member in (one, two)
            )
            values.append(torch.stack(problem.observed(ends), dim=1))
        return torch.cat(values)

    run(0)
    drawn = blocks * rows * problem.steps * problem.columns
    return Job(run, drawn, f"BrownianInterval(dt=1, cache_size=None), integer time, blocks of {rows}")


def stacked(problem: Problem) -> Job:
    """All members in one solve, the rows of one below those of the other."""
    if problem.kind != "pair":
        raise Absent("not one of its kind")
    system = InIntegerTime(problem, (0.0, problem.eps), both=True)
    rows = min(ROWS, problem.paths)
    blocks = -(-problem.paths // rows)
    x0 = torch.full((2 * rows, problem.dim), X0)

    @torch.no_grad()
    def run(seed: int) -> Tensor:
        values = []
        for block in range(blocks):
            noise = BrownianMotion(seed, problem.grid, problem.dim, f"bench {block}")
            motion = Stacked(IntegerBrownian([noise], rows, torch.float32), 2)
            end = torchsde.sdeint(system, x0, _times(problem), bm=motion, method="euler", dt=1.0)[-1]
            values.append(torch.stack(problem.observed((end[:rows], end[rows:])), dim=1))
        return torch.cat(values)

    run(0)
    drawn = blocks * rows * problem.steps * problem.columns
    return Job(run, drawn, f"IntegerBrownian, f_and_g, members stacked, blocks of {rows}")


def _augmented(problem: Problem, system: Any, note: str) -> Job:
    rows = min(ROWS, problem.paths)
    blocks = -(-problem.paths // rows)
    d = problem.dim
    x0 = torch.cat((torch.full((rows, 2 * d), X0), torch.zeros(rows, 2 * d)), dim=1)

    @torch.no_grad()
    def run(seed: int) -> Tensor:
        values = []
        for block in range(blocks):
            noise = BrownianMotion(seed, problem.grid, d, f"bench {block}")
            motion = IntegerBrownian([noise], rows, torch.float32)
            end = torchsde.sdeint(system, x0, _times(problem), bm=motion, method="euler", dt=1.0)[-1]
            values.append(torch.stack(problem.observed(tuple(end.split(d, dim=1))), dim=1))
        return torch.cat(values)

    run(0)
    return Job(run, blocks * rows * problem.steps * d, f"{note}, integer time, our Brownian motion, blocks of {rows}")


def as_a_user(problem: Problem) -> Job:
    """(x⁰, x^ε, y₁, y₂) as one system of 4 d dimensions with general noise."""
    if problem.kind != "variations":
        raise Absent("not one of its kind")
    return _augmented(problem, Augmented(problem), "augmented state, general noise")


def with_products(problem: Problem) -> Job:
    """The same with g·ξ written out, which torchsde takes for a matrix product otherwise."""
    if problem.kind != "variations":
        raise Absent("not one of its kind")
    return _augmented(problem, AugmentedByHand(problem), "augmented state, f_and_g_prod by hand")


PEERS = {
    "torchsde, two solves": two_solves,
    "torchsde, our Brownian motion, stacked": stacked,
    "torchsde, augmented state": as_a_user,
    "torchsde, augmented, f_and_g_prod": with_products,
}
