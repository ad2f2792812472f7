"""What the figures of trained models share."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sdewm.claims.select import by_seed
from sdewm.run import Record
from sdewm.stats import student_interval

from ..kit import LEVEL, Cases, estimates

Array = NDArray[np.float64]
TASKS = ("pendulum-swingup", "cartpole-swingup")
MODELS = ("RSSM", "neural SDE")
BASELINES = ("mean", "persistence", "ridge")


def records_of(cases: Cases) -> list[Record]:
    """All records of a claim, each once."""
    found = {record.name: record for _, records in cases.values() for record in records}
    return list(found.values())


def arm(records: Sequence[Record], name: str, task: str = TASKS[0], model: str = "RSSM") -> list[Record]:
    """The records of one arm that did not diverge, in the order of their seeds."""
    found = by_seed([r for r in records if r.key["settings"]["measured"]], task=task, model=model, arm=name)
    return [record for record in found.values() if not record.values["diverged"]]


def paired_log_ratio(plain: Sequence[Record], other: Sequence[Record], read: Callable[[Record], float]) -> Array:
    """log(other / plain), one number a seed that both arms have."""
    of_plain, of_other = ({int(r.key["seed"]): read(r) for r in part} for part in (plain, other))
    return np.array([np.log(of_other[seed] / of_plain[seed]) for seed in of_plain if seed in of_other])


def geometric(rows: Array) -> tuple[Array, Array, Array]:
    """Geometric mean over seeds and its interval, for each column of (seeds, columns)."""
    logs = np.log(rows)
    ends = np.array([student_interval(column, LEVEL) for column in logs.T])
    return np.exp(logs.mean(0)), np.exp(ends[:, 0]), np.exp(ends[:, 1])


def band(ax: Axes, x: Array, rows: Array, colour: str, **line: object) -> list[tuple[float, float, float]]:
    """A line of geometric means over seeds with the band of its interval."""
    middle, low, high = geometric(rows)
    ax.fill_between(x, low, high, color=colour, alpha=0.22, lw=0)
    ax.plot(x, middle, color=colour, **line)  # type: ignore[arg-type]
    return estimates(middle, low, high)


def per_cent(values: Array, level: float = LEVEL) -> tuple[float, float, float]:
    """Mean and interval of log ratios as changes in per cent."""
    low, high = student_interval(values, level)
    middle, bottom, top = (100.0 * np.expm1(v) for v in (values.mean(), low, high))
    return float(middle), float(bottom), float(top)


def forest(ax: Axes, rows: Sequence[tuple[str, tuple[float, float, float]]], colours: Sequence[str]) -> None:
    """Changes in per cent with their intervals, one a line, from above; a dotted line says no change."""
    for i, ((_, (middle, low, high)), colour) in enumerate(zip(rows, colours, strict=True)):
        ax.plot([low, high], [-i, -i], color=colour, lw=1.6)
        ax.plot(middle, -i, "o", color=colour)
    ax.axvline(0.0, color="black", lw=0.8, ls=":")
    ax.set_yticks([-i for i in range(len(rows))], [name for name, _ in rows])
    ax.grid(visible=False, axis="y")


def predictor(record: Record) -> str:
    """What a record's arrays call its model: "RSSM" also where that has categorical latents."""
    names = [name.removeprefix("horizon/") for name in record.arrays if name.startswith("horizon/")]
    (own,) = (name for name in names if name not in BASELINES)
    return own


def error_at(steps: int) -> Callable[[Record], float]:
    """Root mean square open-loop error of the model so many steps ahead."""

    def read(record: Record) -> float:
        return float(np.sqrt(record.arrays[f"horizon/{predictor(record)}"][steps - 1]))

    return read
