"""S1, S2 and S3: the sign of the effect on convex losses."""

import numpy as np

from sdewm.estimate import Moments
from sdewm.style import COLOURS, GREY, MARKERS, new_figure, style

from ..kit import Cases, Drawing, legend_below, log_points, moments_of, reference_slope, row, size_axis


def draw_always_positive(cases: Cases) -> Drawing:
    """S1: R/ε² against the target, with the target at which its sign changes."""
    ((_, records),) = cases.values()
    (record,) = records
    s, at = record.key["settings"], record.values["threshold"]
    targets = s["targets"]
    rows = [row(e) for e in Moments.from_arrays(record.arrays).estimates()]
    border = at["x"] + 0.5 * at["variance"] / at["mean"]
    with style():
        figure, (ax,) = new_figure(5.2, 3.4)
        line = np.linspace(targets[0], targets[-1], 50)
        theory = (at["x"] - line) * at["mean"] + 0.5 * at["variance"]
        ax.plot(line, theory, color=COLOURS[0], lw=1.2, label="(xₜ − y) E y₂ + ½ Var y₁")
        values = np.array(rows)
        bars = [values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]]
        ax.errorbar(targets, values[:, 0], bars, fmt="o", color="black", label=f"measured, ε = {s['eps']:g}")
        ax.axhline(0.0, color=GREY, lw=0.8)
        ax.axvline(border, color=COLOURS[1], ls="--", lw=1.2, label=f"predicted sign change, y = {_number(border)}")
        ax.axvline(at["x"], color=COLOURS[2], ls=":", lw=1.2, label=f"interpolation, y = xₜ = {_number(at['x'])}")
        ax.set_xlabel("target y of the loss ½(x − y)²")
        ax.set_ylabel("effect of the error, R/ε²")
        ax.set_title("A zero-drift error can lower a convex loss")
        ax.legend(loc="upper left", fontsize=7.5)
    caption = (
        f"dx = −x³ dt + ε dW from x₀ = {s['x0']:g} to t = {s['T']:g}, {s['paths']} antithetic pairs, 95 % intervals "
        f"(most are smaller than the points). The concave drift moves the mean down, towards targets below the border: "
        f"there the error lowers the loss."
    )
    return Drawing(figure, caption, {"targets": targets, "rows": rows, "border": border})


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def draw_positive_cases(cases: Cases) -> Drawing:
    """S2: R against ε."""
    with style():
        figure, (ax,) = new_figure(5.0, 3.4)
        data = {}
        for i, (case, (_, records)) in enumerate(cases.items()):
            sizes = records[0].key["settings"]["sizes"]
            data[case] = log_points(ax, sizes, moments_of(records).estimates(), i, case)
        reference_slope(ax, sizes, min(rows[-1][0] for rows in data.values()) * 0.5, 2.0)
        size_axis(ax, sizes)
        ax.set_ylabel("effect of the error, R")
        ax.set_title("Affine drift, independent noise: R is positive")
        ax.legend(loc="upper left")
    caption = (
        "Effect of a zero-drift error with independent noise on the convex loss ½|x + 1|², up to "
        f"ε = {sizes[-1]:g}, where no expansion is meant. Bars: 95 % intervals."
    )
    return Drawing(figure, caption, data)


def draw_interpolation(cases: Cases) -> Drawing:
    """S3: R/ε² against the residual."""
    with style():
        figure, (ax,) = new_figure(5.4, 3.5)
        data = {}
        for i, (case, (_, records)) in enumerate(cases.items()):
            s = records[0].key["settings"]
            rows = [tuple(v / s["eps"] ** 2 for v in row(e)) for e in moments_of(records).estimates()]
            values = np.array(rows)
            bars = [values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]]
            ax.errorbar(s["residuals"], values[:, 0], bars, fmt=f"{MARKERS[i]}-", color=COLOURS[i], label=case)
            data[case] = rows
        ax.axhline(0.0, color=GREY, lw=0.8)
        ax.axvline(0.0, color=GREY, ls="--", lw=1.0)
        ax.set_xlabel("residual r of the loss ½|x − x⁰ − r|²")
        ax.set_ylabel("effect of the error, R/ε²")
        ax.set_title("At interpolation, r = 0, every error raises the loss")
        legend_below(figure, ax, 3)
    caption = (
        f"Cubic damping with noise, ε = {s['eps']:g}. Only at r = 0 is the sign guaranteed; away from it the mean "
        f"error decides, which a drift moves in first order. Bars: 95 % intervals."
    )
    return Drawing(figure, caption, data)
