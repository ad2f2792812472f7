"""B6: the truth over the linear noise approximation, against the horizon."""

from typing import Any

import numpy as np

from sdewm.estimate import Moments
from sdewm.run import Record
from sdewm.style import COLOURS, new_figure, style

from ..kit import LEVEL, Cases, Drawing, estimates


def draw_linear_noise(cases: Cases) -> Drawing:
    """B6: ratios with their closed form."""
    long = {case: records[0] for case, (_, records) in cases.items() if len(records[0].key["settings"]["horizons"]) > 1}
    data: dict[str, Any] = {}
    with style():
        figure, (ax,) = new_figure(5.4, 3.6)
        ax.axhspan(0.9, 1.1, color=COLOURS[2], alpha=0.15, lw=0, label="allowed, ±10 %")
        for i, (case, record) in enumerate(long.items()):
            settings = record.key["settings"]
            horizons, kind = settings["horizons"], case.split(",")[0]
            if "square" in record.arrays:
                ratio = np.sqrt(record.arrays["square"]) / record.arrays["approximation"]
                t = np.linspace(0.0, horizons[-1], 200)
                closed = 1.0 / np.sqrt(1.0 + settings["eps"] ** 2 * (np.exp(2.0 * t) - 1.0))
                ax.plot(t, closed, color=COLOURS[i], label="1/√(1 + ε²(e²ᵀ − 1))")
                ax.plot(horizons, ratio, "o", color=COLOURS[i], label=f"{kind} ±ε, integrated")
                data[kind] = ratio.tolist()
            else:
                rows = np.array([_ratio(record, k) for k in range(len(horizons))])
                bars = [rows[:, 0] - rows[:, 1], rows[:, 2] - rows[:, 0]]
                ax.errorbar(horizons, rows[:, 0], bars, fmt="s--", color=COLOURS[i], label=f"{kind} ε dW, simulated")
                data[kind] = estimates(*rows.T)
        ax.set_ylim(0.0, 1.2)
        ax.set_xlabel("horizon T")
        ax.set_ylabel("RMS error, truth / approximation")
        ax.set_title("The linear noise approximation is good until the error is not small")
        ax.legend(loc="lower left")
    caption = (
        f"dx = (x − x³) dt from the unstable point 0, ε = {settings['eps']:g}. The approximation grows like eᵀ for "
        "ever; the true error stops at the size of a well, one. The curve is the closed form for the initial error. "
        "Bars: 95 % intervals, smaller than the markers."
    )
    return Drawing(figure, caption, data)


def _ratio(record: Record, k: int) -> tuple[float, float, float]:
    own = {name.removesuffix(f" {k}"): values for name, values in record.arrays.items() if name.endswith(f" {k}")}
    square = Moments.from_arrays(own).estimates()[0]
    approximation = float(record.arrays["approximation"][k])
    low, high = (max(end, 0.0) ** 0.5 / approximation for end in square.interval(LEVEL))
    return square.value**0.5 / approximation, low, high
