"""X3, X4, X6 and X13: coefficients of a form beside what is measured, and closed forms where there are."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from scipy.integrate import solve_ivp

from sdewm.estimate import Estimate
from sdewm.style import COLOURS, GREY, new_figure, style

from ..kit import LEVEL, Cases, Drawing, legend_below, moments_of, remainders_of, row

WIDTH = 0.36
FORM, P_FORM, MEASURED = "uncorrected form", 0, 2


def draw_pair(
    ax: Axes,
    at: float,
    measured: Estimate,
    form: Estimate,
    *,
    label: str,
    first: bool,
    size: float = 8.0,
    truth: str = "measured, no formula",
) -> None:
    """Two bars side by side with 95 % intervals and their values."""
    looks = ((truth, measured, -0.5, COLOURS[0], ""), (label, form, 0.5, "white", "///"))
    for name, estimate, side, colour, hatch in looks:
        low, high = estimate.interval(LEVEL)
        place, value = at + side * WIDTH, estimate.value
        edge = COLOURS[1] if hatch else COLOURS[0]
        ax.bar(place, value, WIDTH * 0.92, color=colour, edgecolor=edge, hatch=hatch, label=name if first else None)
        ax.errorbar(place, value, [[value - low], [high - value]], color="black", lw=1.0)
        # Below a bar that points downwards, above one that points upwards.
        up = value >= 0.0
        # A pair that is as good as zero has no height to part its two values.
        aside = 0.0 if size >= 8.0 else np.sign(side) * 3.0
        ax.annotate(
            f"{value:.3f}".replace("-", "−"),
            (place, high if up else low),
            xytext=(aside, 3 if up else -3),
            textcoords="offset points",
            ha="center",
            va="bottom" if up else "top",
            fontsize=size,
        )


def finish(ax: Axes, labels: Sequence[str], title: str) -> None:
    """Axes of a bar chart."""
    ax.axhline(0.0, color=GREY, lw=0.8)
    ax.set_xticks(range(len(labels)), list(labels))
    ax.margins(y=0.14)
    ax.grid(axis="x", visible=False)
    ax.set_ylabel("coefficient")
    ax.set_title(title)


def draw_uncorrected_form(cases: Cases) -> Drawing:
    """X3: the uncorrected coefficients beside the measured ones and the closed form."""
    with style():
        figure, (ax,) = new_figure(5.4, 3.3)
        data: dict[str, dict[str, tuple[float, float, float]]] = {}
        for i, (case, (_, records)) in enumerate(cases.items()):
            form_p, form_s, true_p, true_s, *_ = moments_of(records).estimates()
            form, true = (form_s, true_s) if case == "S/2" else (form_p, true_p)
            exact = records[0].values["closed form"]["S/2" if case == "S/2" else "P"]
            draw_pair(ax, i, true, form, label=FORM, first=not i)
            once = None if i else "closed form"
            # Beside the measurement, not across the form's bar.
            ax.plot([i - WIDTH, i], [exact, exact], color="black", ls="--", lw=1.2, label=once)
            data[case] = {"measured": row(true), FORM: row(form), "closed form": (exact, exact, exact)}
        title = "Coefficients of the loss, measured and by the uncorrected form"
        finish(ax, [_coefficient(case) for case in cases], title)
        ax.legend(loc="upper right")
    settings = next(iter(cases.values()))[1][0].key["settings"]
    caption = (
        f"dx = {settings['a']:g} x dt + ({settings['b']:g} x + {settings['c']:g} ε) dB from x₀ = {settings['x0']:g} "
        f"to t = {settings['T']:g}. Measured: central differences of the simulated loss in ε, without a formula; error "
        f"bars are 95 % intervals from {settings['paths']} paths, {settings['steps']} Euler steps; dashed: the exact "
        f"value in continuous time. Form (as reconstructed) over measurement: {_quotients(data)}."
    )
    return Drawing(figure, caption, data)


def _quotients(data: Mapping[str, Mapping[str, tuple[float, float, float]]]) -> str:
    """The form in units of the measurement, where that differs from zero."""
    parts = []
    for case, bars in data.items():
        value, low, high = bars["measured"]
        if low > 0.0 or high < 0.0:
            parts.append(f"{bars[FORM][0] / value:.2f} for {_coefficient(case)}")
    return ", ".join(parts) or "undetermined"


def _coefficient(case: str) -> str:
    return {"P": "P, loss x²", "S/2": "S/2, loss x²", "P, affine loss": "P, loss x"}.get(case, case)


def draw_where_right(cases: Cases) -> Drawing:
    """X4: the same bars where the correction vanishes."""
    names = {
        "no base noise": "no base\nnoise",
        "shared noise, additive base": "shared,\nadditive\nbase",
        "shared noise, base noise of another coordinate": "shared,\nanother\ncoordinate",
        "independent noise, multiplicative base": "independent,\nmultiplicative\nbase",
    }
    title = "Where Σ ρ Dḡ σ̄ = 0 the uncorrected form is right"
    drawing = _two_coefficients(cases, names, title)
    caption = (
        "P and S/2 of the loss |x|², measured by central differences and by the form without Itô corrections (as "
        "reconstructed), on the same paths. Error bars: 95 % intervals. In all four cases the correction Σ ρ_kl Dḡ_k "
        "σ̄_l is zero, and both agree to rounding; with shared noise P is not zero."
    )
    return Drawing(drawing.figure, caption, drawing.data)


def draw_four_blocks(cases: Cases) -> Drawing:
    """X13: the same bars for the four blocks."""
    names = {
        "(a) f̄ = 0": "(a) f̄ = 0",
        "(a) f̄ independent of z": "(a) f̄ independent\nof z",
        "(b) f̄ depends on z": "(b) f̄ depends\non z",
    }
    drawing = _two_coefficients(cases, names, "The paper's four blocks: right in (a), wrong in (b)")
    caption = (
        "P and S/2 of the loss |x|² in the four blocks (z, h, z̃, õ) with a zero-drift error in z, measured by central "
        "differences and by the form without Itô corrections (as reconstructed). Error bars: 95 % intervals. The "
        "sequence model of a real recurrent state-space model has no noise, which is the first case."
    )
    return Drawing(drawing.figure, caption, drawing.data)


def _two_coefficients(cases: Cases, names: Mapping[str, str], title: str) -> Drawing:
    with style():
        figure, axes = new_figure(7.6, 3.6, columns=2)
        data: dict[str, dict[str, tuple[float, float, float]]] = {}
        for i, (case, (_, records)) in enumerate(cases.items()):
            form_p, form_s, true_p, true_s, *_ = moments_of(records).estimates()
            for ax, name, true, form in ((axes[0], "P", true_p, form_p), (axes[1], "S/2", true_s, form_s)):
                draw_pair(ax, i, true, form, label=FORM, first=not i, size=6.0)
                data.setdefault(case, {}).update({f"{name} measured": row(true), f"{name} {FORM}": row(form)})
        for ax, name in zip(axes, ("P", "S/2"), strict=True):
            finish(ax, [names.get(case, case) for case in cases], name)
            ax.tick_params(axis="x", labelsize=7)
        legend_below(figure, axes[0], 2)
        figure.suptitle(title, fontsize=9.5, x=0.02, ha="left")
    return Drawing(figure, "", data)


def draw_left_out(cases: Cases) -> Drawing:
    """X6: the second-order coefficient of each incomplete form beside the measured one."""
    names = {
        "(a) plain Hessian, no ½": "(a) plain Hessian,\nno ½; cubic",
        "(b) no drift Hessian": "(b) no drift\nHessian; cubic",
        "(c) no mixed terms": "(c) no mixed terms;\ndouble well",
    }
    settings = next(iter(cases.values()))[1][0].key["settings"]
    with style():
        figure, (ax,) = new_figure(5.4, 3.4)
        data: dict[str, dict[str, tuple[float, float, float]]] = {}
        for i, (case, (_, records)) in enumerate(cases.items()):
            measured = remainders_of(records[0])
            form = next(name for name in measured.forms if name != "ito")
            c = measured.column(form, "c")
            # What the form gives and what it misses add up to the truth, path by path.
            true = c + measured.column(form, "missing 2")
            truth = "form + what its remainder says is missing"
            draw_pair(ax, i, true, c, label="form with a term left out", first=not i, truth=truth)
            data[case] = {"measured": row(true), form: row(c)}
            if case.startswith(("(a)", "(b)")):
                for weight, side in ((1.0, -1), ({"(a)": 2.0, "(b)": 0.0}[case[:3]], 1)):
                    exact = _cubic(weight, settings["x0"], settings["T"])
                    ends = [i + min(side, 0) * WIDTH, i + max(side, 0) * WIDTH]
                    once = "closed form" if not i and side < 0 else None
                    ax.plot(ends, [exact, exact], color="black", ls="--", lw=1.2, label=once)
                    data[case][f"closed form, Hessian × {weight / 2:g}"] = (exact, exact, exact)
        title = "The coefficient Q + S/2 of ε², with one term left out of y₂"
        finish(ax, [names.get(case, case) for case in cases], title)
        ax.set_ylabel("Q + S/2")
        ax.legend(loc="lower right")
    caption = (
        f"(a), (b): dx = −x³ dt + ε dW from x₀ = {settings['x0']:g} to t = {settings['T']:g}, loss ½(x + 1)²; (c): "
        "double well with shared noise, loss x⁴/4 − 0.3x. Measured: the form plus what its remainder, extrapolated to "
        "ε = 0, says is missing. Error bars: 95 % intervals; dashed: exact in continuous time, from which "
        f"{settings['steps']} steps are a little off. Leaving a term out changes the size and even the sign."
    )
    return Drawing(figure, caption, data)


def _cubic(weight: float, x0: float, t: float, target: float = -1.0) -> float:
    """Q + S/2 of the cubic counterexample with `weight` times its Hessian term, from its moment equations."""

    def equations(_: float, y: Sequence[float]) -> list[float]:
        x, variance, mean = y
        slope = -3.0 * x**2
        return [-(x**3), 2.0 * slope * variance + 1.0, slope * mean - weight * 3.0 * x * variance]

    x, variance, mean = solve_ivp(equations, (0.0, t), np.array([x0, 0.0, 0.0]), rtol=1e-10, atol=1e-12).y[:, -1]
    return float((x - target) * mean + 0.5 * variance)
