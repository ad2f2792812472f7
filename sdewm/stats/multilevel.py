"""Multilevel Monte Carlo: many paths on a coarse grid, and few that correct it on finer ones."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..estimate import Estimate
from ..exceptions import InvalidArgument
from ..validation import integer


def ladder(steps: int, factor: int | None = None, least: int = 2) -> tuple[int, ...]:
    """Numbers of steps from coarse to fine, each a multiple of the one before, by 2 where possible, else 3 or 5.

    Args:
        steps: of the finest grid.
        factor: between the two finest, by default like the others.
        least: the coarsest grid has at least so many steps.

    Raises:
        InvalidArgument: factor does not divide steps.

    Example:
        >>> ladder(48), ladder(48, 3, least=4), ladder(7)
        ((3, 6, 12, 24, 48), (4, 8, 16, 48), (7,))
    """
    result = [integer("steps", steps, least=1)]
    if factor is not None and (integer("factor", factor, least=2) > steps or steps % factor):
        raise InvalidArgument(f"factor must divide the {steps} steps, got {factor}.")
    while True:
        by = factor or next((k for k in (2, 3, 5) if result[-1] % k == 0), 0)
        if not by or result[-1] // by < least:
            return tuple(reversed(result))
        result.append(result[-1] // by)
        factor = None


def allocate(variances: ArrayLike, costs: ArrayLike, allowed: ArrayLike, least: int = 2) -> tuple[int, ...]:
    """How many observations each level needs, at the least total cost, for a sum of independent level means.

    For one quantity n_l = √(V_l / C_l) Σ_k √(V_k C_k) / v gives the sum of the means the variance v at the least cost
    (Giles); for several quantities each level takes the most that one of them asks for.

    Args:
        variances: V, (levels,) or (levels, quantities), of one observation, weights included.
        costs: C, (levels,), of one observation.
        allowed: v, a number or (quantities,), above zero.
        least: the fewest observations of a level.

    Raises:
        InvalidArgument: the shapes do not fit, or costs or `allowed` are not above zero.

    Source: Giles, Multilevel Monte Carlo path simulation, Operations Research 56 (2008).

    Example:
        >>> allocate([4.0, 1.0], [1.0, 4.0], 0.01)
        (800, 200)
    """
    c, v = np.asarray(costs, dtype=np.float64), np.atleast_1d(np.asarray(allowed, dtype=np.float64))
    spread = np.asarray(variances, dtype=np.float64)
    spread = spread[:, None] if spread.ndim == 1 else spread
    if c.ndim != 1 or spread.shape != (len(c), len(v)):
        raise InvalidArgument(
            f"variances must have shape (levels, quantities) = {(c.size, v.size)}, got {spread.shape}."
        )
    if not (c > 0.0).all() or not (v > 0.0).all():
        raise InvalidArgument(f"costs and allowed must be above zero, got {c.tolist()} and {v.tolist()}.")
    wanted = np.sqrt(spread / c[:, None]) * np.sqrt(spread * c[:, None]).sum(0) / v
    return tuple(max(least, math.ceil(n - 1e-9)) for n in wanted.max(1))


def telescoped(levels: Sequence[Sequence[Estimate]], weights: Sequence[float]) -> tuple[Estimate, ...]:
    """The weighted sum over levels of each quantity's estimates.

    The levels must come from independent noise: their variances add up. Student's interval of the sum has the degrees
    of freedom of the level with the fewest observations, which errs to the wide side.

    Args:
        levels: for each level the estimates of its quantities: on the coarsest grid, then differences of grids.
        weights: one for each level.

    Raises:
        InvalidArgument: there are not as many weights as levels, or two levels share their noise.

    Example:
        >>> from sdewm.estimate import Moments
        >>> levels = [Moments.of([1.0, 3.0], "a").estimates(), Moments.of([0.25, 0.75], "b").estimates()]
        >>> telescoped(levels, [1.0, 2.0])[0].value
        3.0
    """
    if not levels or len(levels) != len(weights):
        raise InvalidArgument(f"weights must be one for each of the {len(levels)} levels, got {len(weights)}.")
    result = [estimate * weights[0] for estimate in levels[0]]
    for level, weight in zip(levels[1:], weights[1:], strict=True):
        result = [total + estimate * weight for total, estimate in zip(result, level, strict=True)]
    return tuple(result)
