"""The errors that are injected: initial, zero drift and drift, all of one size for one step."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...dynamics.brownian import BrownianMotion, generator
from ...grid import TimeGrid
from .units import Unit

KINDS = ("initial", "zero drift", "drift")

# What the error of a map that keeps distances grows like in N steps.
LAWS = {"initial": "1", "zero drift": "√N", "drift": "N"}


@final
@dataclass(frozen=True, eq=False)
class Injection:
    """What is added to some columns of the states, for size 1.

    Attributes:
        kind, unit: what it is called, and in which unit.
        start: T ω with |ω|² = rank, (paths, columns), added to the first states; or None.
        every: ω_n, (horizon, paths, columns), or one direction v, (columns,): T ω_n or T v is added after each step;
            or None.
    """

    kind: str
    unit: Unit
    start: Tensor | None = None
    every: Tensor | None = None

    def after(self, n: int) -> Tensor | None:
        """What is added after step n, (paths, columns) or (columns,)."""
        if self.every is None:
            return None
        return (self.every[n] if self.every.ndim == 3 else self.every) @ self.unit.root.T

    def rows(self, index: Tensor) -> "Injection":
        """The same for some of the paths."""
        start = None if self.start is None else self.start[index]
        every = self.every if self.every is None or self.every.ndim == 1 else self.every[:, index]
        return Injection(self.kind, self.unit, start, every)


def injections(kind: str, unit: Unit, paths: int, horizon: int, directions: int, seed: int) -> list[Injection]:
    """One injection, or as many as there are directions of a drift.

    The numbers of path i are fixed by the seed, the kind and i.
    """
    k = len(unit.root)
    if kind == "drift":
        draws = [
            torch.randn(k, generator=generator(seed, "divergence: direction", j), dtype=torch.float64)
            for j in range(directions)
        ]
        return [Injection(kind, unit, every=_on_sphere(unit, v)) for v in draws]
    steps = horizon if kind == "zero drift" else 1
    normals = BrownianMotion(seed, TimeGrid(steps, steps), k, f"divergence: {kind}").normals(paths)
    if kind == "zero drift":
        return [Injection(kind, unit, every=normals)]
    return [Injection(kind, unit, start=_on_sphere(unit, normals[0]) @ unit.root.T)]


def _on_sphere(unit: Unit, v: Tensor) -> Tensor:
    """v on the support of T, and there of norm √rank."""
    v = v @ (unit.inverse @ unit.root).T
    placed: Tensor = v * (unit.rank**0.5 / v.norm(dim=-1, keepdim=True))
    return placed
