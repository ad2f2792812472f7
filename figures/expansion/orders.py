"""X1, X2, X5, X9 and X14: remainders against the size of the error."""

from collections.abc import Mapping

import numpy as np

from sdewm.estimate import Moments
from sdewm.style import COLOURS, GREY, new_figure, style

from ..kit import Cases, Drawing, legend_below, log_points, reference_slope, remainders_of, row, size_axis

LABELS: Mapping[str, str] = {
    "ito": "correct",
    "without ito_correction": "no Itô correction",
    "without mixed": "no mixed terms",
    "without drift_hessian": "no drift Hessian",
    "without half": "no ½",
    "uncorrected": "uncorrected form",
    "without mixed and quadratic": "without the quadratic term and Dσ y₁",
}


def draw_variations(cases: Cases) -> Drawing:
    """X1: the root mean square remainder of the hand-written formulas."""
    with style():
        figure, (ax,) = new_figure(5.6, 3.9)
        data = {}
        for i, (case, (_, records)) in enumerate(cases.items()):
            measured = remainders_of(records[0])
            values = [e.value**0.5 for e in measured.mean_square(measured.forms[0])]
            ax.plot(measured.sizes, values, color=COLOURS[i % 7], marker="os^DvPX"[i % 7], label=case)
            data[case] = {"RMS": values, "gaps": records[0].values["gaps"]}
        low = min(d["RMS"][-1] for d in data.values())
        reference_slope(ax, measured.sizes, low * 0.35, 3.0)
        ax.set_yscale("log")
        size_axis(ax, measured.sizes)
        ax.set_ylabel("root mean square of the remainder")
        ax.set_title("Hand-written variations leave a remainder of order 3")
        ax.legend(loc="upper left", fontsize=7)
    largest = max(gap for d in data.values() for gap in d["gaps"].values())
    caption = (
        "Remainder ℓ(x^ε) − ℓ(x⁰) − ε∇ℓᵀy₁ − ε²(∇ℓᵀy₂ + ½y₁ᵀ∇²ℓ y₁) of the loss |x|², path by path, for drift, "
        "diffusion and initial error. The hand-written equations of y₁, y₂ and twice differentiating the simulated "
        f"step differ by at most {largest:.1g} of their size."
    )
    return Drawing(figure, caption, data)


def draw_second_order(cases: Cases) -> Drawing:
    """X2: the mean remainder of the correct form and of incomplete ones."""
    with style():
        figure, axes = new_figure(7.2, 5.8, columns=2, rows=2)
        data: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
        for ax, (case, (_, records)) in zip(axes, cases.items(), strict=False):
            measured = remainders_of(records[0])
            data[case] = {}
            for i, form in enumerate(measured.forms):
                data[case][form] = log_points(ax, measured.sizes, measured.mean(form), i, LABELS.get(form, form))
            top = max(abs(rows[-1][0]) for rows in data[case].values())
            right = abs(data[case]["ito"][-1][0])
            reference_slope(ax, measured.sizes, top * 3.0, 2.0, below=False)
            reference_slope(ax, measured.sizes, right * 0.3, 3.0)
            size_axis(ax, measured.sizes)
            ax.set_title(case, fontsize=8.5)
        for ax in axes[::2]:
            ax.set_ylabel("|mean remainder|")
        legend_below(figure, axes[0], 6)
        figure.suptitle("What a left-out term costs", fontsize=9.5, x=0.02, ha="left")
    caption = (
        "Mean of ℓ(x^ε) − ℓ(x⁰) − εp − ε²c for the correct form and for forms that leave one term out, or all that the "
        "paper's form (as reconstructed) leaves out. What is missing shows as slope 2, or 1, where the correct form "
        "has slope 3 (4 for independent noise, by antithetic pairs). Bars: 95 % intervals; open markers: zero lies "
        "inside."
    )
    return Drawing(figure, caption, data)


def draw_no_second_correction(cases: Cases) -> Drawing:
    """X5: the remainder over ε² of both forms."""
    ((_, records),) = cases.values()
    measured = remainders_of(records[0])
    with style():
        figure, (ax,) = new_figure(5.2, 3.3)
        data = {}
        for i, form in enumerate(measured.forms):
            rows = [row(e) for e in measured.scaled(form)]
            values = np.array(rows)
            bars = [values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]]
            ax.errorbar(measured.sizes, values[:, 0], bars, fmt="os"[i], color=COLOURS[i], label=LABELS[form])
            limit = measured.column(form, "missing 2")
            low, high = limit.interval()
            ax.axhspan(low, high, color=COLOURS[i], alpha=0.2, lw=0)
            ax.axhline(limit.value, color=COLOURS[i], ls=":", lw=0.9)
            data[form] = {"remainder/ε²": rows, "missing": row(limit)}
        allowed = 0.05 * measured.column(measured.forms[-1], "|c|").value
        for border in (-allowed, allowed):
            ax.axhline(border, color="black", ls="--", lw=1.0, label="allowed, ±5 % of E |c|" if border > 0 else None)
        ax.axhline(0.0, color=GREY, lw=0.8)
        size_axis(ax, measured.sizes)
        ax.set_ylabel("mean remainder / ε²")
        ax.set_title("Independent noise: the Hessian of ḡ needs its Itô correction")
        ax.legend(loc="center left", fontsize=7.5)
    s = records[0].key["settings"]
    caption = (
        f"dx = √(1+x²) dB + ε dW from x₀ = {s['x0']:g} to t = {s['T']:g}, loss x: the effect is zero at every ε. "
        "Points: mean remainder "
        "over ε² with 95 % intervals; bands: its limit at ε = 0, the coefficient that the form misses. The form "
        "without −G ½D²ḡ[y₁, y₁] (as reconstructed) claims an effect that is not there."
    )
    return Drawing(figure, caption, data)


def draw_fourth_order(cases: Cases) -> Drawing:
    """X9: the mean remainder over antithetic pairs."""
    with style():
        figure, (ax,) = new_figure(5.0, 3.5)
        data = {}
        for i, (case, (_, records)) in enumerate(cases.items()):
            measured = remainders_of(records[0])
            data[case] = log_points(ax, measured.sizes, measured.mean("ito"), i, case)
        low = min(abs(rows[-1][0]) for rows in data.values())
        reference_slope(ax, measured.sizes, low * 0.5, 4.0)
        reference_slope(ax, measured.sizes, max(abs(rows[-1][0]) for rows in data.values()) * 2.0, 3.0, below=False)
        size_axis(ax, measured.sizes)
        ax.set_ylabel("|mean remainder|")
        ax.set_title("Zero drift, independent noise: odd orders cancel")
        ax.legend(loc="upper left")
    caption = (
        "Mean remainder of the second-order expansion over pairs (W, −W) of the error's noise, loss |x + 1|². Order 3 "
        "is odd in the noise and cancels. Bars: 95 % intervals."
    )
    return Drawing(figure, caption, data)


def draw_drift_error(cases: Cases) -> Drawing:
    """X14: both forms, and the sum of an error and its mirror image."""
    mirror = next(case for case in cases if case.startswith("R(σ)"))
    first = next(case for case in cases if case != mirror)
    measured = remainders_of(cases[first][1][0])
    with style():
        figure, axes = new_figure(7.2, 3.5, columns=2)
        data = {}
        for i, form in enumerate(measured.forms):
            data[form] = log_points(axes[0], measured.sizes, measured.mean(form), i, LABELS.get(form, form))
        reference_slope(axes[0], measured.sizes, abs(data["ito"][-1][0]) * 0.3, 3.0)
        reference_slope(axes[0], measured.sizes, abs(data[measured.forms[-1]][-1][0]) * 2.5, 2.0, below=False)
        size_axis(axes[0], measured.sizes)
        axes[0].set_ylabel("|mean remainder|")
        axes[0].set_title("Remainder of two formulas")
        (record,) = cases[mirror][1]
        sizes = record.key["settings"]["sizes"]
        estimates = Moments.from_arrays(record.arrays).estimates()
        k = len(sizes)
        for i, (label, part) in enumerate((("R(σ) + R(−σ)", estimates[:k]), ("R(σ)", estimates[k : 2 * k]))):
            data[label] = log_points(axes[1], sizes, part, i, label)
        reference_slope(axes[1], sizes, abs(data["R(σ) + R(−σ)"][-1][0]) * 0.4, 2.0)
        reference_slope(axes[1], sizes, abs(data["R(σ)"][-1][0]) * 2.0, 1.0, below=False)
        size_axis(axes[1], sizes)
        axes[1].set_ylabel("|effect on the loss|")
        axes[1].set_title("A drift error is a bias, not a penalty")
        for ax in axes:
            ax.legend(loc="lower right", fontsize=7.5)
            ax.set_ylim(bottom=ax.get_ylim()[0] * 0.1)
    caption = (
        "Double well with a drift error ½ cos x + 0.3. Left: loss x², remainder of the full formula and of the one (as "
        "reconstructed) without the quadratic term and Dσ y₁. Right: loss x⁴/4 − 0.3x, the effect of an error, and of "
        "the error and its mirror image together. Bars: 95 % intervals."
    )
    return Drawing(figure, caption, data)
