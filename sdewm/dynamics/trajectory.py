"""States of an ensemble at saved grid times."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from ..output import frame, plain, table


@final
@dataclass(frozen=True, eq=False)
class Trajectory:
    """States at some times of a grid.

    Attributes:
        grid: the time grid.
        states: (saved, paths, dim).
        saved: index of each saved state on the grid.

    Example:
        >>> import torch
        >>> kept = Trajectory(TimeGrid(1.0, 2), torch.zeros(2, 3, 1), (0, 2))
        >>> kept.times, kept.numpy().shape, np.asarray(kept).shape
        ((0.0, 1.0), (2, 3, 1), (2, 3, 1))
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

    def numpy(self) -> NDArray[Any]:
        """The states as an array (saved, paths, dim), without their graph."""
        return np.asarray(self.states.detach().cpu())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        states = self.numpy() if dtype is None else self.numpy().astype(dtype, copy=False)
        return states.copy() if copy else states

    def to_dict(self) -> dict[str, Any]:
        """Horizon, steps, saved times and all states, as plain values for JSON."""
        return {"T": self.grid.T, "steps": self.grid.steps, "times": list(self.times), "states": plain(self.states)}

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for each saved time and path: time, path, x0, x1, ….

        Raises:
            MissingExtra: pandas is not installed.
        """
        return frame(
            {"time": t, "path": path, **{f"x{k}": value for k, value in enumerate(row)}}
            for t, rows in zip(self.times, self.numpy().tolist(), strict=True)
            for path, row in enumerate(rows)
        )

    def __str__(self) -> str:
        _, paths, dim = self.states.shape
        times = f"{len(self.times)} times from {self.times[0]:g} to {self.times[-1]:g}"
        return f"{times}, {paths} paths, dim {dim}, {str(self.states.dtype).removeprefix('torch.')}"

    def _repr_html_(self) -> str:
        states = self.states.detach().double()
        mean, spread = states.mean(1)[-1].tolist(), states.std(1, correction=0)[-1].tolist()
        rows = [(f"x{k}", f"{m:.5g}", f"{s:.5g}") for k, (m, s) in enumerate(zip(mean[:12], spread[:12], strict=True))]
        notes = [f"and {len(mean) - 12} more columns"] if len(mean) > 12 else []
        return table(str(self), ["at the last time", "mean", "standard deviation"], rows, notes)
