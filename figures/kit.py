"""What the drawing functions share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sdewm.estimate import Estimate, Moments
from sdewm.run import Record
from sdewm.stats import Remainders
from sdewm.style import COLOURS, GREY, MARKERS

LEVEL = 0.95


class Drawing(NamedTuple):
    """A figure, what there is to see in it, and the numbers that are drawn."""

    figure: Figure
    caption: str
    data: Mapping[str, Any]


# For each case its verdict line and its records.
Cases = Mapping[str, tuple[Mapping[str, Any], Sequence[Record]]]
Draw = Callable[[Cases], Drawing]


def moments_of(records: Sequence[Record]) -> Moments:
    """The moments that a case's only cell has recorded."""
    (record,) = records
    return Moments.from_arrays(record.arrays)


def remainders_of(record: Record) -> Remainders:
    """The remainders that a record holds."""
    return Remainders.from_record(record.values, record.arrays)


def row(estimate: Estimate) -> tuple[float, float, float]:
    """Value and interval, for the data beside a figure."""
    return (estimate.value, *estimate.interval(LEVEL))


def estimates(middle: Iterable[float], low: Iterable[float], high: Iterable[float]) -> list[tuple[float, float, float]]:
    """Values with the ends of their intervals, as they lie beside a figure."""
    return [(float(m), float(a), float(b)) for m, a, b in zip(middle, low, high, strict=True)]


def log_points(
    ax: Axes, x: Sequence[float], estimates: Sequence[Estimate], index: int, label: str, *, line: bool = True
) -> list[tuple[float, float, float]]:
    """|mean| with 95 % bars on logarithmic axes; an open marker says that zero lies inside the interval.

    Returns:
        The rows that were drawn.
    """
    rows = [row(e) for e in estimates]
    values = np.array(rows)
    clear = (values[:, 1] > 0.0) | (values[:, 2] < 0.0)
    size, ends = np.abs(values[:, 0]), np.abs(values[:, 1:])
    low = np.where(clear, ends.min(1), 1e-3 * size)
    at, colour, marker = np.asarray(x), COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    ax.errorbar(at, size, [size - low, ends.max(1) - size], fmt="none", color=colour, lw=1.0)
    if line:
        ax.plot(at, size, color=colour, lw=1.2)
    ax.plot(at, size, marker, color=colour, label=label)
    ax.plot(at[~clear], size[~clear], marker, mfc="white", color=colour)
    ax.set_xscale("log")
    ax.set_yscale("log")
    return rows


def reference_slope(ax: Axes, x: Sequence[float], anchor: float, slope: float, *, below: bool = True) -> None:
    """A dotted line of this slope through (last x, anchor), labelled at its middle."""
    at = np.asarray(x)
    line = anchor * (at / at[-1]) ** slope
    ax.plot(at, line, color=GREY, ls=":", lw=1.1)
    middle = len(at) // 2
    ax.annotate(
        f"slope {slope:g}",
        (at[middle], line[middle]),
        xytext=(2, -3) if below else (-2, 3),
        textcoords="offset points",
        color=GREY,
        fontsize=8,
        ha="left" if below else "right",
        va="top" if below else "bottom",
    )


def legend_below(figure: Figure, ax: Axes, columns: int) -> None:
    """One legend under all axes, where no line can run through it."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8)


def growth_laws(ax: Axes, steps: NDArray[Any]) -> None:
    """The laws of plain addition, √N and N, named at their ends, on logarithmic axes."""
    at = np.asarray(steps, dtype=float)
    for power, name in ((0.5, "√N"), (1.0, "N")):
        ax.plot(at, at**power, color=GREY, ls=":", lw=1.1)
        ax.annotate(name, (at[-1], at[-1] ** power), xytext=(3, -3), textcoords="offset points", color=GREY)
    ax.set_xscale("log")
    ax.set_yscale("log")
    marks = [1, 2, 5, 10, 20, 50]
    ax.set_xticks(marks, [str(m) for m in marks])
    ax.set_yticks(marks, [str(m) for m in marks])
    ax.minorticks_off()


def strengths_of(keys: Iterable[str], kind: str) -> list[str]:
    """The keys "kind/strength" of one kind, from weak to strong: a record's own are in the order of the alphabet."""
    return sorted((key for key in keys if key.startswith(f"{kind}/")), key=lambda key: float(key.split("/")[1]))


def size_axis(ax: Axes, sizes: Sequence[float]) -> None:
    """A logarithmic axis of sizes ε with their own ticks."""
    ax.set_xscale("log")
    ax.set_xticks(list(sizes), [f"{s:g}" for s in sizes])
    ax.minorticks_off()
    ax.set_xlabel("size of the error ε")
