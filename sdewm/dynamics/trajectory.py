"""States of an ensemble at saved grid times."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor

from ..exceptions import InvalidArgument
from ..grid import TimeGrid


@final
@dataclass(frozen=True, eq=False)
class Trajectory:
    """States at some times of a grid.

    Attributes:
        grid: the time grid.
        states: (saved, paths, dim).
        saved: index of each saved state on the grid.
    """

    grid: TimeGrid
    states: Tensor
    saved: Sequence[int]

    @property
    def times(self) -> tuple[float, ...]:
        """Time of each saved state."""
        return tuple(self.grid.time(n) for n in self.saved)

    @property
    def final(self) -> Tensor:
        """(paths, dim) at the last saved time."""
        return self.states[-1]

    def at(self, t: float) -> Tensor:
        """(paths, dim) at the saved time t.

        Raises:
            InvalidArgument: t is not on the grid, or was not saved.
        """
        n = self.grid.index(t)
        if n not in self.saved:
            raise InvalidArgument(f"time {t:g} was not saved; add it to save.")
        return self.states[list(self.saved).index(n)]
