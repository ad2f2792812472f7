"""E1(b) and E3: prediction from perturbed observations against the strength of the perturbation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sdewm.style import COLOURS, new_figure, style

from ..kit import Cases, Drawing, strengths_of
from .reading import arm, band, error_at, records_of

STEPS = 25
KINDS = {
    "noise": "Gaussian noise / standard deviation",
    "rotation": "rotation of angles (°)",
    "masking": "share of masked numbers",
    "mass": "factor on all masses",
}


def draw_robust(cases: Cases) -> Drawing:
    """Trained with and without errors in the latent."""
    return _draw(cases, ("plain", "zero drift in training", "drift in training"))


def draw_withstands(cases: Cases) -> Drawing:
    """Trained with penalties, and with noise on the observations."""
    return _draw(cases, ("plain", "penalty, prior map", "penalty, filter map", "noise injection"))


def _draw(cases: Cases, arms: Sequence[str]) -> Drawing:
    records = records_of(cases)
    data: dict[str, dict[str, Any]] = {}
    with style():
        figure, axes = new_figure(7.2, 5.2, columns=2, rows=2)
        for ax, (kind, label) in zip(axes, KINDS.items(), strict=True):
            for i, name in enumerate(arms):
                found = arm(records, name)
                read = error_at(STEPS)
                strengths = strengths_of(found[0].values["perturbed"], kind)
                clean = [[read(r)] for r in found]
                rows = [[r.values["perturbed"][key][str(STEPS)] for key in strengths] for r in found]
                x = [1.0 if kind == "mass" else 0.0, *(float(key.split("/")[1]) for key in strengths)]
                values = np.hstack([np.array(clean), np.array(rows)])
                line = band(
                    ax,
                    np.array(x),
                    values,
                    COLOURS[i],
                    ls=("-", "--", "-.", ":")[i],
                    marker="os^D"[i],
                    ms=3.5,
                    label=name,
                )
                data.setdefault(kind, {"strength": x})[name] = line
            ax.set_xlabel(label)
            ax.set_ylim(bottom=0.0)
            ax.set_xticks(x, [f"{each:g}" for each in x], fontsize=8)
        axes[0].legend(loc="upper left")
        for ax in axes[::2]:
            ax.set_ylabel(f"RMS error {STEPS} steps ahead")
    caption = (
        f"Open-loop error of the true observations {STEPS} steps ahead, in standard deviations of the data, after 20 "
        "filtered steps with observations that are perturbed (masses: changed physics), against the strength; at the "
        f"left end clean ones. Geometric means over {len(arm(records, 'plain'))} training seeds and 95 % intervals. "
        "Judged are the middle strengths of noise, rotation and masking."
    )
    return Drawing(figure, caption, data)
