"""What the figures of trained agents share."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sdewm.claims.select import by_seed
from sdewm.run import Record
from sdewm.stats import student_interval
from sdewm.style import COLOURS

from ..kit import LEVEL, Cases, estimates

Array = NDArray[np.float64]
TASK = "cartpole-swingup"
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
MARKS = ("o", "s", "^", "D", "v", "P")


def records_of(cases: Cases) -> list[Record]:
    """All records of a claim, each once."""
    found = {record.name: record for _, records in cases.values() for record in records}
    return list(found.values())


def arms_of(records: Sequence[Record], names: Sequence[str] = (), task: str = TASK) -> dict[str, list[Record]]:
    """The records of each arm that did not diverge, in the order of their seeds; all arms where none are named."""
    whole = [record for record in records if "returns" in record.key["settings"]["measured"]]
    wanted = names or list(dict.fromkeys(record.key["settings"]["arm"] for record in whole))
    found = {
        name: [r for r in by_seed(whole, task=task, arm=name).values() if not r.values["diverged"]] for name in wanted
    }
    return {name: part for name, part in found.items() if len(part) > 1}


def mean_returns(found: Sequence[Record], key: str) -> Array:
    """Mean return of one kind of evaluation, one number a seed."""
    return np.array([np.mean(record.values["returns"][key]) for record in found])


def line(
    ax: Axes, x: Array, rows: Array, index: int, label: str, *, marks: bool = True
) -> list[tuple[float, float, float]]:
    """A line of means over seeds (rows) with their intervals: bars where there are marks, else a band."""
    ends = np.array([student_interval(column, LEVEL) for column in rows.T])
    middle, colour = rows.mean(0), COLOURS[index % len(COLOURS)]
    ls = LINES[index % len(LINES)]
    if marks:
        bars = np.abs(ends.T - middle)
        ax.errorbar(x, middle, bars, color=colour, ls=ls, marker=MARKS[index % len(MARKS)], label=label, elinewidth=0.9)
    else:
        ax.fill_between(x, ends[:, 0], ends[:, 1], color=colour, alpha=0.18, lw=0)
        ax.plot(x, middle, color=colour, ls=ls, label=label)
    return estimates(middle, ends[:, 0], ends[:, 1])
