"""The constants of a bound, as they are seen between the first simulated pairs of paths."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from ...constant import Sampled
from ...exceptions import InvalidArgument
from ..bounds.bound import CONSTANTS
from ..bounds.weighted import Weighted
from ..constants.sampled import SampledConstants, samplable
from .pair import Pair, is_map

Array = NDArray[np.float64]

_PATHS, _LEAST_PATHS, _NUMBERS, _TIMES = 512, 64, 4096, 17


@final
@dataclass(frozen=True)
class Seen:
    """Constants as sampled, and what was noticed of the system on the way.

    Attributes:
        constants: by name.
        random_base: whether the base has noise anywhere.
        additive_error: whether σ̄ was the same everywhere.
        lowest, highest: the box that the states stayed in, (dim,) each.
        times: the times that were looked at.
        sizes: |e| of the paths at these times, (times, paths).
    """

    constants: Mapping[str, Sampled]
    random_base: bool
    additive_error: bool
    lowest: Array
    highest: Array
    times: Array
    sizes: Array

    def curve(self, power: float, running: bool) -> Array:
        """(E|e|^p)^(1/p) at these times, or that of the largest so far."""
        sizes = np.maximum.accumulate(self.sizes) if running else self.sizes
        return np.asarray(np.mean(sizes**power, axis=1) ** (1.0 / power))


def seen_constants(
    pair: Pair, names: Iterable[str], given: Collection[str] = (), weight: Weighted | None = None, points: int = 5
) -> Seen:
    """Suprema over points of the segments between the first paths of a pair, at some times of the grid.

    Args:
        pair: the base and its perturbed twin.
        names: the constants that are wanted.
        given: those that are known otherwise as well, so that they need not be seen.
        weight: the bound whose norm the weighted constants are for.
        points: points of each segment.

    Raises:
        InvalidArgument: a constant is not seen between paths, and not given either.
        NumericalFailure: a derivative is not finite.
    """
    grid = None if is_map(pair.system) else pair.grid
    there = samplable(pair.system, grid, weight)
    wanted = list(names)
    for name in wanted:
        if name not in there and name not in given:
            kind = "an equation" if grid is not None else "a step map"
            raise InvalidArgument(
                f"bound needs {name!r} ({CONSTANTS.get(name, 'an unknown constant')}), which is not seen between paths "
                f"of {kind}; take another bound, or give it in constants."
            )
    seen = SampledConstants(
        pair.system,
        pair.error,
        names=[name for name in wanted if name in there],
        grid=grid,
        weight=weight,
        points=points,
    )
    last, dim = pair.grid.steps - 1, pair.x0.shape[-1]
    # From the last time no step is made: there the error is measured, and nothing differentiated.
    steps = sorted({*(round(k * last / (_TIMES - 1)) for k in range(_TIMES)), last + 1})
    ensemble = pair.ensemble([pair.grid.time(n) for n in steps], max(_LEAST_PATHS, min(_PATHS, _NUMBERS // dim)))
    lowest, highest, sizes = np.full(dim, np.inf), np.full(dim, -np.inf), []
    for n, states in zip(ensemble.saved, ensemble.run(0), strict=True):
        base, moved = states["x"], states["xe"]
        sizes.append((moved - base).double().norm(dim=1).cpu().numpy())
        lowest = np.minimum(lowest, torch.minimum(base, moved).double().amin(0).cpu().numpy())
        highest = np.maximum(highest, torch.maximum(base, moved).double().amax(0).cpu().numpy())
        if n <= last:
            a = None if pair.actions is None else pair.actions[n]
            actions = a if a is None or a.ndim == 1 else a[: len(base)]
            seen.add(n if grid is None else grid.time(n), base, moved, actions)
    times = np.array([pair.grid.time(n) for n in steps])
    constants = seen.constants()
    return Seen(constants, seen.random_base, seen.additive_error, lowest, highest, times, np.stack(sizes))
