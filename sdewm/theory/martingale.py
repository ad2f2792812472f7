"""Control variates that are martingales along the paths, with coefficients from a pilot of their own."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..dynamics.martingale import PARTS, Increments, Martingales, martingale_sums
from ..dynamics.variation import Terms
from ..dynamics.waves import Waves
from ..exceptions import NumericalFailure
from .effect import Effect, Observe

Array = NDArray[np.float64]

# Waves of a coordinate and degrees in time, from the least to the most.
_SIZES = ((0, 1), (0, 2), (0, 4), (2, 2), (4, 4), (8, 8), (12, 8))
_PATHS_EACH = 3  # paths of the fit for every coefficient, at least
_MARGIN = 0.25
_RIDGES = (1e-5, 1e-3)
_LEAST, _MOST = 1024, 8192
_NUMBERS = 1 << 27  # that a fit may keep of its paths
_FOLDS = 4


@final
@dataclass(frozen=True)
class Control:
    """Martingales with their coefficients.

    Attributes:
        basis, degree: what they are made of.
        weights: from a grid's number of steps to the coefficients (martingales, 3) of ∇ℓᵀy₁, ∇ℓᵀy₂, y₁ᵀ∇²ℓ y₁.
        variances: of P and of Q + S/2 of one path with them, as measured on paths that they were not fitted to.
    """

    basis: Waves
    degree: int
    weights: Mapping[int, Tensor]
    variances: Array

    def member(self, problem: Effect, terms: Terms) -> Martingales:
        """The variations of a problem with what is to be subtracted from their three coefficients."""
        return Martingales(problem.variations(terms), self.basis, self.degree, self.weights)


class OnGrid(NamedTuple):
    """What was seen on one grid: coefficients (paths, 3), and of all steps what `Increments` records."""

    values: Tensor
    mean: Tensor
    parts: Tensor


class Seen(NamedTuple):
    """One block of paths: observed columns with their corrections, and the grids by their numbers of steps."""

    columns: Tensor
    grids: Mapping[int, OnGrid]


def recorded(problem: Effect, members: Mapping[str, Any], observe: Observe, block: int = 0) -> Seen:
    """One block of paths with a member "varied" of `Increments`; columns are those of `Effect.paths_of_block`.

    Raises:
        NumericalFailure: a state is not finite.
    """
    columns, grids = [], {}
    for ensemble in problem.ensembles(members, save="all"):
        _, *along = ensemble.run(block)
        columns.append(torch.stack(observe(along[-1]), 1).detach())
        states = [each["varied"] for each in along]
        # Single precision: least squares with a ridge see no difference.
        mean = torch.stack([s.mean for s in states]).float()
        parts = torch.stack([s.parts.float() for s in states])
        grids[ensemble.grid.steps] = OnGrid(columns[-1][:, :3].double(), mean, parts)
    return Seen(problem.extrapolated(*columns), grids)


def size_for(paths: int, dim: int) -> tuple[tuple[int, int], ...]:
    """Waves of a coordinate and degree in time that a fit on so many paths may have; none where there are too few."""
    return tuple(size for size in _SIZES if functions(*size, dim) * _PATHS_EACH <= paths)


def functions(count: int, degree: int, dim: int) -> int:
    """Number of martingales."""
    return len(PARTS) * dim * (2 + count) * (degree + 1)


def paths_for(plain: float, dim: int, steps: int) -> int:
    """Paths of a fit for a problem that would take so many plain paths: a small part of them, a power of two.

    At least as many as the fewest functions in this dimension need, and 0 where that is too much for the memory.
    """
    part = 1 << int(np.clip(round(np.log2(max(plain / 1024.0, 1.0))), np.log2(_LEAST), np.log2(_MOST)))
    while not size_for(part, dim):
        part *= 2
    while part * steps * sum(PARTS) * dim > _NUMBERS and part > _LEAST:
        part //= 2
    return part if part <= _MOST and part * steps * sum(PARTS) * dim <= _NUMBERS and size_for(part, dim) else 0


def more(problem: Effect, terms: Terms, paths: int, seed: int) -> list[Seen]:
    """Fresh independent paths for a fit."""
    ready = replace(problem, paths=paths, seed=seed)
    members = {"varied": Increments(problem.variations(terms))}
    observe = partial(_coefficients_of, problem)
    return [recorded(ready, members, observe, block) for block in ready.ensembles(members)[0].blocks]


def _coefficients_of(problem: Effect, states: Mapping[str, Any]) -> list[Tensor]:
    return problem.coefficients(states["varied"])


def pilot(problem: Effect, terms: Terms, paths: int, seed: int) -> Control | None:
    """Controls fitted to fresh independent paths; None where they are too few, or a state is not finite."""
    try:
        return fitted(problem, more(problem, terms, paths, seed))
    except NumericalFailure:
        return None


def fitted(problem: Effect, seen: Sequence[Seen], allowed: Array | None = None) -> Control | None:
    """Martingale controls fitted to paths; None where they are too few for the dimension.

    Args:
        problem: the problem, on the grids of the paths.
        seen: the paths.
        allowed: variances of the estimates that are asked for, by which what is left of P and Q + S/2 is compared.
    """
    grids = {
        steps: OnGrid(
            torch.cat([each.grids[steps].values for each in seen]),
            torch.cat([each.grids[steps].mean for each in seen], 1),
            torch.cat([each.grids[steps].parts for each in seen], 1),
        )
        for steps in seen[0].grids
    }
    paths, dim = next(iter(grids.values())).mean.shape[1:]
    sizes = size_for(paths, dim)
    if not sizes:
        return None
    low = torch.stack([grid.mean.amin((0, 1)) for grid in grids.values()]).amin(0)
    high = torch.stack([grid.mean.amax((0, 1)) for grid in grids.values()]).amax(0)
    wider = _MARGIN * (high - low) + 1e-6 * (1.0 + torch.maximum(low.abs(), high.abs()))
    most, degree = max(count for count, _ in sizes), max(power for _, power in sizes)
    basis = Waves((low - wider).detach(), (high + wider).detach(), most)
    fits = {
        steps: _Fit.of(grid.values, martingale_sums(basis, degree, grid.mean, grid.parts))
        for steps, grid in grids.items()
    }
    shape = (degree + 1, len(PARTS), 2 + most, dim)
    numbers = torch.arange(functions(most, degree, dim)).reshape(shape)
    best: tuple[float, tuple[int, int], Tensor, float, Array] | None = None
    for (count, power), ridge in itertools.product(sizes, _RIDGES):
        index = numbers[: power + 1, :, : 2 + count].reshape(-1)
        left = problem.combined(*(fit.left_over(index, ridge) for fit in fits.values()))
        variances = torch.stack((left[:, 0], left[:, 1] + 0.5 * left[:, 2]), 1).var(0).numpy()
        worst = float((variances / (np.ones(2) if allowed is None else allowed)).max())
        if best is None or worst < best[0]:
            best = worst, (count, power), index, ridge, variances
    assert best is not None
    _, (count, degree), index, ridge, variances = best
    weights = {steps: fit.coefficients(index, ridge) for steps, fit in fits.items()}
    return Control(replace(basis, count=count), degree, weights, variances)


@final
@dataclass(frozen=True)
class _Fit:
    """Least squares on any of the controls, with and without each part of the paths."""

    values: Tensor
    controls: Tensor
    scale: Tensor
    parts: tuple[slice, ...]
    inner: Tensor
    right: Tensor

    @staticmethod
    def of(values: Tensor, controls: Tensor) -> "_Fit":
        """Values (n, k), controls (n, q), whose means are zero."""
        n = len(values)
        scale = controls.square().mean(0).sqrt()
        scale[scale == 0.0] = 1.0
        unit, centred = controls / scale, values - values.mean(0)
        parts = tuple(slice(a, b) for a, b in itertools.pairwise(n * k // _FOLDS for k in range(_FOLDS + 1)))
        inner = torch.stack([unit[p].T @ unit[p] for p in parts]).double()
        right = torch.stack([unit[p].T @ centred[p].to(unit) for p in parts]).double()
        return _Fit(values, unit, scale.double(), parts, inner, right)

    def coefficients(self, index: Tensor, ridge: float) -> Tensor:
        """Those of the controls `index`, (len(index), k)."""
        return _solved(self.inner.sum(0)[index][:, index], self.right.sum(0)[index], ridge) / self.scale[index, None]

    def left_over(self, index: Tensor, ridge: float) -> Tensor:
        """What the coefficients from the other paths leave of the deviations on each part of the paths."""
        inner, right = self.inner[:, index][:, :, index], self.right[:, index]
        result = torch.empty_like(self.values)
        for k, part in enumerate(self.parts):
            wide = torch.zeros(self.controls.shape[1], result.shape[1], dtype=self.controls.dtype)
            wide[index] = _solved(inner.sum(0) - inner[k], right.sum(0) - right[k], ridge).to(wide)
            rest = self.values[part] - self.controls[part] @ wide
            result[part] = rest - rest.mean(0)
        return result


def _solved(inner: Tensor, right: Tensor, ridge: float) -> Tensor:
    # Functions of time and state are almost dependent along the paths.
    inner.diagonal().add_(ridge * max(float(inner.trace()), 1e-300) / len(inner))
    factor, failed = torch.linalg.cholesky_ex(inner)
    return torch.zeros_like(right) if int(failed) else torch.cholesky_solve(right, factor)
