"""B7: quantiles of the error against those that the bound allows."""

import math
from typing import Any

import numpy as np

from sdewm.style import COLOURS, GREY, new_figure, style

from ..kit import Cases, Drawing

# The last is for what the theorem does not apply to.
LOOKS = ("-", "-.", ":", "--")


def draw_gaussian(cases: Cases) -> Drawing:
    """B7: one line a case; what lies above the diagonal exceeds the bound."""
    data: dict[str, dict[str, Any]] = {}
    with style():
        figure, axes = new_figure(7.2, 3.7, columns=2)
        for i, (case, (_, (record,))) in enumerate(cases.items()):
            arrays = record.arrays
            x = np.sqrt(-2.0 * np.log(arrays["probability"]))
            data[case] = {"probability": arrays["probability"].tolist(), "k": x.tolist()}
            for scale in record.key["settings"]["scales"]:
                ax = axes[1] if scale == "no growth" or "hypothesis" in record.values else axes[0]
                y = (arrays["quantile"] - arrays["mean"][1]) / arrays[f"scale, {scale}"][0]
                ax.plot(
                    x, y, color=COLOURS[i], ls=LOOKS[3] if "hypothesis" in record.values else LOOKS[i % 3], label=case
                )
                data[case][f"scale: {scale}"] = y.tolist()
        most = 4.1
        for ax in axes:
            ax.plot([0.0, most], [0.0, most], color="black", lw=1.0)
            ax.set_xlabel("k at which the bound allows P: √(2 ln 1/P)")
            ax.set_xlim(0.0, most)
            for probability in (0.1, 0.01, 0.001):
                at = math.sqrt(-2.0 * math.log(probability))
                ax.axvline(at, color=GREY, ls=":", lw=0.8)
                ax.annotate(
                    f"P = {probability:g}",
                    (at, 0.0),
                    xycoords=("data", "axes fraction"),
                    xytext=(-2, 3),
                    textcoords="offset points",
                    rotation=90,
                    ha="right",
                    va="bottom",
                    fontsize=7,
                    color=GREY,
                )
            ax.legend(loc="upper left", fontsize=7.5, frameon=True, framealpha=1.0, edgecolor="none")
        axes[0].set_ylim(-1.0, most)
        axes[0].annotate("the bound", (2.2, 2.25), rotation=35, ha="center", va="bottom", fontsize=7.5)
        axes[1].annotate("the bound", (0.9, 1.0), rotation=12, ha="center", va="bottom", fontsize=7.5)
        axes[0].set_ylabel("quantile of |e|, (|e| − E|e|) / εv")
        axes[0].set_title("Below the diagonal: the bound holds")
        axes[1].set_title("Growth left out of v, or noise in the base")
    caption = (
        "Quantiles of the simulated |e| about its mean in units of εv, against those which the Gaussian bound allows "
        "at the same probability; the diagonal is the bound. Right: with v² = ‖σ̄‖² t, and, with the right v, "
        "for a multiplicative base (dashed), to which the theorem does not apply and which is refused. Few paths are "
        "left beyond P = 0.001."
    )
    return Drawing(figure, caption, data)
