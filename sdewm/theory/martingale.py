"""Control variates that are martingales along the paths, with coefficients from a pilot of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..dynamics.brownian import BLOCK
from ..dynamics.ensemble import GROUP, prepare
from ..dynamics.martingale import Martingales, Waves
from ..dynamics.variation import Terms
from ..exceptions import NumericalFailure
from .effect import Effect

Array = NDArray[np.float64]

# Waves of a coordinate and degrees in time, from the least to the most.
_SIZES = ((0, 1), (2, 2), (4, 3), (8, 4), (12, 6))
_PATHS_EACH = 5  # paths of the fit for every coefficient, at least
_RANGE = 64
_BLOCK = BLOCK * GROUP
_MARGIN = 0.25
_RIDGE = 1e-8
_LEAST, _MOST = 512, 8192
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


def states_range(problem: Effect, terms: Terms) -> tuple[Tensor, Tensor, int]:
    """Ends (dim,) of an interval around the states of a few paths at all times, and the path-steps that it took."""
    ensemble = prepare(
        {"varied": problem.variations(terms)},
        problem.x0,
        problem.grid,
        _RANGE,
        problem.seed,
        save="all",
        actions=problem.actions,
    )
    seen = torch.cat([states["varied"].x for states in ensemble.run(0)])
    low, high = seen.amin(0), seen.amax(0)
    wider = _MARGIN * (high - low) + 1e-6 * (1.0 + seen.abs().amax(0))
    return (low - wider).detach(), (high + wider).detach(), _RANGE * problem.grid.steps


def functions(count: int, degree: int, dim: int) -> int:
    """Number of martingales."""
    return 3 * dim * (2 + count) * (degree + 1)


def size_for(paths: int, dim: int) -> tuple[int, int] | None:
    """Waves of a coordinate and degree in time for a fit on so many paths, or None where there are too few."""
    fit = [size for size in _SIZES if functions(*size, dim) * _PATHS_EACH <= paths]
    return fit[-1] if fit else None


def fitted(problem: Effect, terms: Terms) -> tuple[Control | None, int]:
    """Martingale controls fitted to the problem's own paths, and the path-steps that they took.

    None where the paths are too few for the dimension, or a state of theirs is not finite.
    """
    size = size_for(problem.paths, problem.x0.shape[-1])
    if size is None:
        return None, 0
    coarse = problem.grid.steps // problem.extrapolate if problem.extrapolate > 1 else 0
    work = problem.paths * (problem.grid.steps + coarse)
    try:
        low, high, used = states_range(problem, terms)
        basis = Waves(low, high, size[0])
        members = {"varied": Martingales(problem.variations(terms), basis, size[1])}
        observe = partial(_observed, problem)
        blocks = range(-(-problem.paths // _BLOCK))
        rows = torch.cat([problem.paths_of_block(members, observe, block) for block in blocks]).double().numpy()
    except NumericalFailure:
        return None, work
    if not np.isfinite(rows).all():
        return None, work
    grids = {problem.grid.steps: rows}
    if coarse:
        # What was observed is (fine + correction, correction), correction = (fine − coarse) / (factor − 1).
        both, correction = np.split(rows, 2, axis=1)
        fine = both - correction
        grids = {problem.grid.steps: fine, coarse: fine - (problem.extrapolate - 1) * correction}
    factors = {problem.grid.steps: 1.0}
    if coarse:
        k = problem.extrapolate
        factors = {problem.grid.steps: k / (k - 1), coarse: -1.0 / (k - 1)}
    left: Array = np.zeros((problem.paths, 3))
    for steps, columns in grids.items():
        left += factors[steps] * _left_over(columns[:, :3], columns[:, 3:])
    targets = np.stack((left[:, 0], left[:, 1] + 0.5 * left[:, 2]), 1)
    weights = {steps: torch.from_numpy(_coefficients(c[:, :3], c[:, 3:])) for steps, c in grids.items()}
    return Control(basis, size[1], weights, targets.var(0, ddof=1)), work + used


def _observed(problem: Effect, states: Mapping[str, Any]) -> list[Tensor]:
    state = states["varied"]
    return [*problem.coefficients(state), *state.martingales.unbind(1)]


def _coefficients(values: Array, controls: Array) -> Array:
    """Least squares of the deviations of `values` (n, k) on `controls` (n, q), whose means are zero, as (q, k)."""
    scale = np.sqrt((controls**2).mean(0))
    scale[scale == 0.0] = 1.0
    unit = controls / scale
    inner = unit.T @ unit / len(unit)
    # A ridge that is lost in the noise: functions of time and state may be almost dependent along the paths.
    inner[np.diag_indices_from(inner)] += _RIDGE * max(float(np.trace(inner)), 1e-300) / max(len(inner), 1)
    right = unit.T @ (values - values.mean(0)) / len(unit)
    result: Array = np.linalg.solve(inner, right) / scale[:, None]
    return result


def _left_over(values: Array, controls: Array) -> Array:
    """What the coefficients from the other paths leave of the deviations on each quarter of the paths."""
    result: Array = np.empty_like(values)
    for part in np.array_split(np.arange(len(values)), _FOLDS):
        others = np.ones(len(values), dtype=bool)
        others[part] = False
        rest = values[part] - controls[part] @ _coefficients(values[others], controls[others])
        result[part] = rest - rest.mean(0)
    return result


def fit_paths(plain: float, dim: int) -> int:
    """Paths of a fit for a problem that would take so many plain paths: a small part of them, a power of two.

    At least as many as the fewest functions in this dimension need.
    """
    part = 1 << int(np.clip(round(np.log2(max(plain / 64.0, 1.0))), np.log2(_LEAST), np.log2(_MOST)))
    needed = functions(*_SIZES[0], dim) * _PATHS_EACH
    while part < min(needed, _MOST):
        part *= 2
    return part


def pilot(problem: Effect, terms: Terms, paths: int, seed: int) -> tuple[Control | None, int]:
    """A fit on fresh independent paths."""
    return fitted(replace(problem, paths=paths, seed=seed), terms)
