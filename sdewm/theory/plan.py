"""What a method promises to cost."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from ..stats.multilevel import allocate
from .effect import Effect
from .martingale import Control

Array = NDArray[np.float64]

PILOT_POINTS = 16
# Variances of replicate means are taken to fall by this power of the points: by more, in all that was measured.
_RATE = 1.25


@final
@dataclass(frozen=True)
class Plan:
    """A method, what one observation of it costs, and the variances of one, for P and Q + S/2."""

    name: str
    variances: Array  # (2,), or (levels, 2)
    costs: Array  # path-steps, (), or (levels,)
    levels: tuple[Effect, ...] = ()
    replicates: int = 0
    control: Control | None = None

    def work(self, allowed: Array) -> float:
        """Path-steps for these variances of the estimates."""
        return float(np.sum(self.observations(allowed) * self.costs))

    def observations(self, allowed: Array) -> Array:
        """Number of observations, one or one a level."""
        if self.levels:
            return np.asarray(allocate(self.variances, self.costs, allowed, 128), dtype=np.float64)
        n, pilot = max(float((self.variances / allowed).max()), 2.0), float(self.replicates * PILOT_POINTS)
        return np.asarray(pilot * (n / pilot) ** (1.0 / _RATE) if self.name == "sobol" and n > pilot else n)
