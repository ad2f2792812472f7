"""L4: open-loop error of both models on both tasks against the horizon."""

from typing import Any

import numpy as np

from sdewm.style import COLOURS, new_figure, style

from ..kit import Cases, Drawing
from .reading import MODELS, TASKS, arm, band, records_of

BASELINES = ("mean", "persistence", "ridge")


def draw_baselines(cases: Cases) -> Drawing:
    """Both models with the interval over seeds, and what simple predictors reach."""
    records = records_of(cases)
    data: dict[str, dict[str, Any]] = {}
    with style():
        figure, axes = new_figure(7.2, 3.2, columns=2)
        for ax, task in zip(axes, TASKS, strict=True):
            own: dict[str, Any] = {}
            ends: list[tuple[float, str, str]] = []
            for i, model in enumerate(MODELS):
                found = arm(records, "plain", task, model)
                rows = np.sqrt(np.array([record.arrays[f"horizon/{model}"] for record in found]))
                steps = np.arange(1, rows.shape[1] + 1)
                own[model] = band(ax, steps, rows, COLOURS[i], ls=("-", "--")[i])
                ends.append((own[model][-1][0], model, COLOURS[i]))
            for i, name in enumerate(BASELINES):
                values = np.sqrt(found[0].arrays[f"horizon/{name}"])
                ax.plot(steps, values, color=COLOURS[i + 2], ls=("-.", ":", (0, (5, 1)))[i], lw=1.1)
                own[name] = values.tolist()
                ends.append((float(values[-1]), name, COLOURS[i + 2]))
            _name_ends(ax, float(steps[-1]), ends)
            ax.set_title(task)
            ax.set_xlabel("steps ahead, open loop")
            data[task] = own
        axes[0].set_ylabel("RMS error / standard deviation")
    seeds = len(arm(records, "plain"))
    caption = (
        "Open-loop prediction error of the observations with known actions after 20 filtered steps, in standard "
        "deviations of the data, over 256 held-out episodes. Lines and bands: geometric mean over "
        f"{seeds} training seeds and its 95 % interval. Baselines are fitted to the same 300 training episodes."
    )
    return Drawing(figure, caption, data)


def _name_ends(ax: object, x: float, ends: list[tuple[float, str, str]]) -> None:
    """The names of lines at their right ends, moved apart where they would touch."""
    from matplotlib.axes import Axes

    assert isinstance(ax, Axes)
    low, high = 0.0, 1.08 * max(value for value, _, _ in ends)
    ax.set_ylim(low, max(high, ax.get_ylim()[1]))
    gap, last = 0.075 * ax.get_ylim()[1], -np.inf
    for value, name, colour in sorted(ends):
        at = max(value, last + gap)
        ax.annotate(name, (x, at), xytext=(4, 0), textcoords="offset points", color=colour, va="center", fontsize=8)
        last = at
    ax.set_xlim(0, 1.34 * x)
    ax.set_xticks([1, 25, 50, 75, 100])
