"""B10: Kreiss's bracket."""

import math
from typing import Any

import numpy as np

from sdewm.style import COLOURS, MARKERS, new_figure, style

from ..kit import Cases, Drawing, estimates


def draw_kreiss(cases: Cases) -> Drawing:
    """B10: the growth over K, against K, with the factor e n of each dimension."""
    record = next(iter(cases.values()))[1][0]
    n, k_low, k_high, low, high = record.arrays["rows"].T
    data: dict[str, dict[str, list[Any]]] = {}
    with style():
        figure, (ax,) = new_figure(5.4, 3.9)
        ax.axhline(1.0, color="black", ls="--", lw=1.0)
        ax.annotate(
            "1, lower side",
            (0.99, 1.0),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            fontsize=7.5,
            ha="right",
        )
        for i, dim in enumerate(sorted(set(n.tolist()))):
            at = n == dim
            x, y = np.sqrt(k_low * k_high)[at], np.sqrt(low * high)[at] / np.sqrt(k_low * k_high)[at]
            sides = np.stack((y - low[at] / k_high[at], high[at] / k_low[at] - y))
            data[f"n = {dim:g}"] = {"K": x.tolist(), "growth over K": estimates(y, y - sides[0], y + sides[1])}
            ax.errorbar(x, y, sides, fmt=MARKERS[i], color=COLOURS[i], label=f"n = {dim:g}")
            ax.axhline(math.e * dim, color=COLOURS[i], ls=":", lw=1.2)
            ax.annotate(
                f"e n, n = {dim:g}",
                (0.99, math.e * dim),
                xycoords=("axes fraction", "data"),
                xytext=(0, 3),
                textcoords="offset points",
                fontsize=7.5,
                ha="right",
                color=COLOURS[i],
            )
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylim(0.8, 40.0)
        ax.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
        ax.set_xticks([1, 10, 100], ["1", "10", "100"])
        ax.minorticks_off()
        ax.set_xlabel("Kreiss constant K")
        ax.set_ylabel("sup ‖exp(At)‖ / K")
        ax.set_title("Transient growth lies in Kreiss's bracket")
        ax.legend(loc="upper left", ncols=4, fontsize=7.5)
    caption = (
        "Largest ‖exp(At)‖ over all t ≥ 0 as a multiple of Kreiss's constant, for random non-normal matrices of "
        "dimension n. Bars: certified sides of the ratio. The bracket is from 1 to e n (dotted)."
    )
    return Drawing(figure, caption, data)
