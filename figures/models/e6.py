"""E6: what a Jacobian penalty, and its controls, do to long-horizon prediction."""

from typing import Any

import numpy as np

from sdewm.style import COLOURS, new_figure, style

from ..kit import Cases, Drawing
from .reading import arm, band, error_at, forest, paired_log_ratio, per_cent, records_of

ARMS = (
    "penalty, prior map",
    "penalty, filter map",
    "whitened penalty, prior map",
    "more steps",
    "noise injection",
    "weight decay",
    "spectral norm",
)
HORIZONS = (25, 50, 100)


def draw_long_horizon(cases: Cases) -> Drawing:
    """Error against horizon, and changes by arm."""
    records = records_of(cases)
    plain = arm(records, "plain")
    with style():
        figure, (left, right) = new_figure(7.4, 4.2, columns=2)
        lines: dict[str, Any] = {}
        for i, name in enumerate(("plain", *ARMS)):
            found = arm(records, name)
            rows = np.sqrt(np.array([r.arrays["horizon/RSSM"] for r in found]))
            steps = np.arange(1, rows.shape[1] + 1)
            if i < 3:
                lines[name] = band(left, steps, rows, COLOURS[i], ls=("-", "--", "-.")[i], label=name)
        left.set_xlabel("steps ahead, open loop")
        left.set_ylabel("RMS error / standard deviation")
        left.set_ylim(bottom=0.0)
        left.set_xticks([1, 25, 50, 75, 100])
        left.legend(loc="lower right")
        rows_, colours = [], []
        for i, name in enumerate(ARMS):
            found = arm(records, name)
            for steps_ahead in HORIZONS:
                change = per_cent(paired_log_ratio(plain, found, error_at(steps_ahead)))
                rows_.append((f"{name}: {steps_ahead}", change))
                colours.append(COLOURS[(i + 1) % len(COLOURS)])
        forest(right, rows_, colours)
        right.set_xlabel("change of the error (%)")
        right.set_title("By arm and steps ahead")
    caption = (
        "Left: open-loop error of models trained without and with a Frobenius penalty on the Jacobian of the prior or "
        "the filter map. Right: changes against plain training for each arm and horizon. Means over "
        f"{len(plain)} pairs of one seed and 95 % intervals. Judged are the first three lines; the others are shown."
    )
    return Drawing(figure, caption, {"error": lines, "changes": dict(rows_)})
