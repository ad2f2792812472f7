"""E1 and E3: return on perturbed observations against the strength of the perturbation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sdewm.style import new_figure, style

from ..kit import Cases, Drawing, legend_below, strengths_of
from .reading import arms_of, line, mean_returns, records_of

KINDS = {
    "noise": "Gaussian noise / standard deviation",
    "rotation": "rotation of the pole's angle (°)",
    "masking": "share of masked numbers",
}


def draw_error_in_training(cases: Cases) -> Drawing:
    """Trained without and with errors in the latent."""
    return _draw(cases, ("plain", "zero drift in training", "drift in training"))


def draw_penalties(cases: Cases) -> Drawing:
    """Trained without and with penalties."""
    return _draw(cases, ("plain", "penalty, prior map", "penalty, filter map", "noise injection", "weight decay"))


def _draw(cases: Cases, names: Sequence[str]) -> Drawing:
    arms = arms_of(records_of(cases), names)
    data: dict[str, dict[str, Any]] = {}
    with style():
        figure, axes = new_figure(7.4, 3.1, columns=3)
        for ax, (kind, label) in zip(axes, KINDS.items(), strict=True):
            for i, (name, found) in enumerate(arms.items()):
                keys = ["clean", *strengths_of(found[0].values["returns"], kind)]
                x = np.array([0.0, *(float(key.split("/")[1]) for key in keys[1:])])
                # Side by side, so that bars do not hide one another.
                shift = (i - 0.5 * (len(arms) - 1)) * 0.012 * x[-1]
                rows = np.stack([mean_returns(found, key) for key in keys], 1)
                data.setdefault(kind, {"strength": x.tolist()})[name] = line(ax, x + shift, rows, i, name)
            ax.set_xlabel(label)
            ax.set_xticks(x, [f"{each:g}" for each in x], fontsize=8)
            ax.set_ylim(0.0, 1000.0)
        axes[0].set_ylabel("return")
        legend_below(figure, axes[0], min(len(arms), 3))
    seeds = max(len(found) for found in arms.values())
    caption = (
        "Return of agents on cartpole-swingup, of at most 1000, where their observations are perturbed; at the left "
        f"end clean ones. Means over {seeds} training seeds and 95 % intervals, each agent's over the same episodes. "
        "Judged are the middle strengths."
    )
    return Drawing(figure, caption, data)
