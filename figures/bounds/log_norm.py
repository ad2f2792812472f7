"""B3: how far the bounds are from the errors they bound."""

from typing import Any

import numpy as np

from sdewm.run import Record
from sdewm.style import COLOURS, MARKERS, new_figure, style

from ..kit import Cases, Drawing, estimates, legend_below

NAMES = {
    "Frobenius": "Gronwall, Frobenius",
    "spectral": "Gronwall, spectral",
    "log-norm": "log-norm",
    "weighted": "least of log-norm and weights",
    "supremum": "supremum, over the largest error",
}
_PANELS = (
    ("S1, non-normal", "initial", "S1: non-normal, initial error"),
    ("S3, gain 0.4", "drift and diffusion", "S3: tanh network, drift and diffusion"),
    ("rotation", "initial", "Turning planes, initial error"),
)


def ratios(record: Record, error: str, rule: str) -> Any:
    """Bound over observed root mean square error, and its 95 % interval, (times, 3)."""
    observed = record.arrays[f"{error}, {'largest' if rule == 'supremum' else 'error'}"]
    sizes = np.sqrt(np.maximum(observed[:, [0, 2, 1]], 1e-300))
    return record.arrays[f"{error}, {rule}"][0][:, None] / sizes


def systems(cases: Cases) -> dict[str, Record]:
    """The records of a claim by system, those with all bounds."""
    found: dict[str, Record] = {}
    for _, records in cases.values():
        for record in records:
            if len(record.key["settings"]["rules"]) >= len(NAMES):
                found.setdefault(record.key["settings"]["system"], record)
    return found


def draw_log_norm(cases: Cases) -> Drawing:
    """B3: ratio of bound to error against time, one panel a system."""
    found = systems(cases)
    data: dict[str, Any] = {}
    with style():
        figure, axes = new_figure(7.4, 3.6, columns=3)
        for ax, (system, error, title) in zip(axes, _PANELS, strict=True):
            record = found[system]
            times = record.arrays["times"]
            data[title] = {"t": times.tolist()}
            for i, (rule, name) in enumerate(NAMES.items()):
                rows = ratios(record, error, rule)
                dashed = "--" if rule == "weighted" else "-"
                ax.plot(times, rows[:, 0], color=COLOURS[i], ls=dashed, marker=MARKERS[i], markevery=(3, 4), label=name)
                data[title][rule] = estimates(*rows.T)
            ax.axhline(1.0, color="black", ls=":", lw=1.0)
            ax.set_yscale("log")
            ax.set_ylim(bottom=0.7)
            ax.set_xlabel("t")
            ax.set_title(title, fontsize=8.5)
        axes[0].set_ylabel("bound / RMS error")
        legend_below(figure, axes[0], 3)
    settings = found[_PANELS[0][0]].key["settings"]
    caption = (
        "Bounds on Euler steps, at certified constants, over the simulated root mean square error; 1 is attained "
        f"(dotted). ε = {settings['eps']:g}, 64 steps a unit of time. The norm of a drift's Jacobian takes every turn "
        "for growth; the log-norm does not, but takes the passing growth of a non-normal drift (S1) for one that goes "
        "on, which a weight does not. On S1 both Gronwall bounds coincide. Right: normal and contracting, where the "
        "log-norm bound is nearly attained. The supremum bound is held against the largest error so far."
    )
    return Drawing(figure, caption, data)
