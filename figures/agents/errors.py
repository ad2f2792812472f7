"""E6: open-loop error of agents' models against the horizon."""

from typing import Any

import numpy as np

from sdewm.style import new_figure, style

from ..kit import Cases, Drawing, legend_below
from .reading import arms_of, line, records_of

WHERE = {"own": "episodes of its own policy", "random": "episodes of random actions"}


def draw_prediction(cases: Cases) -> Drawing:
    """On what the agent's own policy visits, and on common episodes."""
    arms = arms_of(records_of(cases), ("plain", "penalty, prior map", "penalty, filter map"))
    data: dict[str, dict[str, Any]] = {}
    with style():
        figure, axes = new_figure(7.4, 3.4, columns=2)
        for ax, (where, title) in zip(axes, WHERE.items(), strict=True):
            for i, (name, found) in enumerate(arms.items()):
                rows = np.sqrt(np.array([r.arrays[f"open loop/{where}"] for r in found], dtype=float))
                steps = np.arange(1, rows.shape[1] + 1, dtype=float)
                data.setdefault(where, {})[name] = line(ax, steps, rows, i, name, marks=False)
            ax.set_title(title)
            ax.set_xlabel("actions ahead, open loop")
            ax.set_xticks([1, 25, 50, 75, 100])
            ax.set_ylim(bottom=0.0)
        axes[0].set_ylabel("RMS error / standard deviation")
        legend_below(figure, axes[0], 3)
    caption = (
        "Open-loop prediction error of the observations with known actions after 20 filtered steps, in standard "
        "deviations of the first episodes. Means over seeds and 95 % intervals. Judged is the left panel at 25, 50 and "
        "100."
    )
    return Drawing(figure, caption, data)
