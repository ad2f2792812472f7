"""An equidistant time grid with an integer index."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from .exceptions import InvalidArgument
from .validation import integer, positive, real


@final
@dataclass(frozen=True)
class TimeGrid:
    """The times 0 = t_0 < t_1 < ... < t_steps = T with t_n = n T / steps.

    The index n is the time of this package; float times are derived from it and never accumulated, so that no
    sliver of a step can remain at the end.

    Args:
        T: horizon, in the time unit of the drift.
        steps: number of steps.

    Raises:
        InvalidArgument: T is not a positive number or steps is not a positive whole number.

    Example:
        >>> grid = TimeGrid(T=1.0, steps=4)
        >>> grid.h, grid.time(3), grid.index(0.5)
        (0.25, 0.75, 2)
    """

    T: float
    steps: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "T", positive("T", self.T))
        object.__setattr__(self, "steps", integer("steps", self.steps, least=1))

    @property
    def h(self) -> float:
        """Step size T / steps."""
        return self.T / self.steps

    def time(self, n: float) -> float:
        """Time of index n; a fractional n (a solver's stage) lies between grid points."""
        return self.T * (n / self.steps)  # in this order the last time is T itself

    @property
    def times(self) -> tuple[float, ...]:
        """All steps + 1 times."""
        return tuple(self.time(n) for n in range(self.steps + 1))

    def index(self, t: float) -> int:
        """Index of the grid time t.

        Raises:
            InvalidArgument: t is not a time of this grid. States between grid points are never interpolated: a
                linear interpolation of a diffusion has too small a variance.
        """
        t = real("time", t)
        n = round(t / self.T * self.steps)
        if not 0 <= n <= self.steps or abs(self.time(n) - t) > 1e-9 * self.T:
            nearest = self.time(min(max(n, 0), self.steps))
            raise InvalidArgument(
                f"time {t:g} is not on the grid of {self.steps} steps to T = {self.T:g}; "
                f"the nearest grid time is {nearest:.12g}: use it or change steps."
            )
        return n

    def saved(self, save: str | Sequence[float]) -> tuple[int, ...]:
        """Indices for a `save` argument: "all", "final", or a strictly increasing sequence of grid times."""
        if isinstance(save, str):
            if save == "all":
                return tuple(range(self.steps + 1))
            if save == "final":
                return (self.steps,)
            raise InvalidArgument(f"save must be 'all', 'final' or a sequence of grid times, got {save!r}.")
        if not isinstance(save, Iterable):
            raise InvalidArgument(f"save must be 'all', 'final' or a sequence of grid times, got {save!r}.")
        indices = tuple(self.index(t) for t in save)
        if not indices or any(b <= a for a, b in pairwise(indices)):
            raise InvalidArgument(f"save must hold strictly increasing grid times, got {list(save)!r}.")
        return indices

    def coarsen(self, k: int) -> "TimeGrid":
        """The grid of every k-th time.

        Raises:
            InvalidArgument: k does not divide the number of steps.
        """
        k = integer("k", k, least=1)
        if self.steps % k:
            raise InvalidArgument(f"k must divide the number of steps {self.steps}, got {k}.")
        return TimeGrid(self.T, self.steps // k)
