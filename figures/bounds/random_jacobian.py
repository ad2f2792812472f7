"""B2: the right side over the error, against time."""

from typing import Any

import numpy as np

from sdewm.style import COLOURS, MARKERS, new_figure, style

from ..kit import Cases, Drawing, estimates

_FORMS = {"bound": ("-", "the bound"), "wrong form": ("--", "wrong form")}
_WRONG = {"linear": "noise left out"}


def draw_random_jacobian(cases: Cases) -> Drawing:
    """B2: one panel a system; limits of both sides together."""
    data: dict[str, dict[str, Any]] = {}
    with style():
        figure, axes = new_figure(7.2, 3.3, columns=3)
        for ax, (case, (_, (record,))) in zip(axes, cases.items(), strict=True):
            s = record.key["settings"]
            t = np.array(s["times"])
            data[case] = {"t": t.tolist()}
            wrong = _WRONG.get(case.split(",")[0], "Jacobians along x⁰")
            ax.axhline(1.0, color="black", lw=1.0)
            for form, (line, label) in _FORMS.items():
                for i, p in enumerate(s["powers"]):
                    error, right = record.arrays[f"error {p:g}"], record.arrays[f"{form} {p:g}"]
                    ratio = record.arrays[f"mean {form} {p:g}"] / record.arrays[f"mean error {p:g}"]
                    low, high = right[:, 0] / error[:, 1], right[:, 1] / error[:, 0]
                    known = np.isfinite(high)
                    bars = np.stack((ratio - low, np.where(known, high - ratio, 0.0)))
                    colour = COLOURS[2 * (form != "bound") + i]
                    name = label if form == "bound" else wrong
                    ax.errorbar(t, ratio, bars, fmt=MARKERS[i], ls=line, color=colour, label=f"{name}, p = {p:g}")
                    data[case][f"{form}, p = {p:g}"] = estimates(ratio, low, high)
            ax.set_yscale("log")
            ax.set_xlabel("t")
            ax.set_title(case.replace(", ", ",\n"))
            ticks = (0.5, 1.0, 2.0) if wrong == _WRONG["linear"] else (0.03, 0.1, 0.3, 1.0)
            ax.set_yticks(ticks, [f"{v:g}" for v in ticks])
            ax.minorticks_off()
            if ticks[-1] > 1.0:
                # Room for the legend below all lines.
                ax.set_ylim(0.3, 3.2)
            ax.legend(loc="lower left", fontsize=7)
        axes[0].set_ylabel("right side / E|e|ᵖ")
    caption = (
        "Below 1 a form is no bound. Bars: limits of both sides at a shared level, 99.9 %. Base and twin start on "
        "either side of an unstable point (left, middle), so that their difference stays although the drift contracts "
        "along both; only the Jacobians between them know. Right: without the noise in the exponent the bound fails."
    )
    return Drawing(figure, caption, data)
