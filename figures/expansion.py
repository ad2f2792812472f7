"""Figures of the claims about the expansion."""

from collections.abc import Mapping

import numpy as np

from sdewm.claims.style import COLOURS, GREY, MARKERS, new_figure, style

from .kit import Cases, Drawing, moments_of

LEVEL = 0.95


def draw_uncorrected_form(cases: Cases) -> Drawing:
    """X3: the uncorrected coefficients beside the measured ones and the closed form."""
    with style():
        figure, (ax,) = new_figure(5.4, 3.3)
        data: dict[str, dict[str, tuple[float, float, float]]] = {}
        width = 0.36
        for i, (case, (_, records)) in enumerate(cases.items()):
            form_p, form_s, true_p, true_s, *_ = moments_of(records).estimates()
            form, true = (form_s, true_s) if case == "S/2" else (form_p, true_p)
            exact = records[0].values["closed form"]["S/2" if case == "S/2" else "P"]
            bars = {
                "measured, no formula": (true, -0.5, COLOURS[0], ""),
                "uncorrected form": (form, 0.5, "white", "///"),
            }
            for label, (estimate, side, colour, hatch) in bars.items():
                low, high = estimate.interval(LEVEL)
                ax.bar(
                    i + side * width,
                    estimate.value,
                    width * 0.92,
                    color=colour,
                    edgecolor=COLOURS[0] if not hatch else COLOURS[1],
                    hatch=hatch,
                    label=label if not i else None,
                )
                ax.errorbar(
                    i + side * width,
                    estimate.value,
                    [[estimate.value - low], [high - estimate.value]],
                    color="black",
                    lw=1.0,
                )
                # Below a bar that points downwards, above one that points upwards.
                up = estimate.value >= 0.0
                ax.annotate(
                    f"{estimate.value:.3f}",
                    (i + side * width, high if up else low),
                    xytext=(0, 3 if up else -3),
                    textcoords="offset points",
                    ha="center",
                    va="bottom" if up else "top",
                    fontsize=8,
                )
                data.setdefault(case, {})[label] = (estimate.value, low, high)
            once = None if i else "closed form"
            ax.plot([i - width, i + width], [exact, exact], color="black", ls="--", lw=1.2, label=once)
            data[case]["closed form"] = (exact, exact, exact)
        ax.axhline(0.0, color=GREY, lw=0.8)
        ax.set_xticks(range(len(cases)), [_coefficient(case) for case in cases])
        ax.margins(y=0.14)
        ax.grid(axis="x", visible=False)
        ax.set_ylabel("coefficient")
        ax.set_title("Coefficients of the loss, measured and by the uncorrected form")
        ax.legend(loc="upper right")
    settings = next(iter(cases.values()))[1][0].key["settings"]
    caption = (
        f"dx = {settings['a']:g} x dt + ({settings['b']:g} x + {settings['c']:g} ε) dB from x₀ = {settings['x0']:g} "
        f"to t = {settings['T']:g}. Measured: central differences of the simulated loss in ε, without a formula; error "
        f"bars are 95 % intervals from {settings['paths']} paths, {settings['steps']} Euler steps; dashed: the exact "
        f"value in continuous time. Form over measurement: {_quotients(data)}."
    )
    return Drawing(figure, caption, data)


def _quotients(data: Mapping[str, Mapping[str, tuple[float, float, float]]]) -> str:
    """The form in units of the measurement, where that differs from zero."""
    parts = []
    for case, bars in data.items():
        value, low, high = bars["measured, no formula"]
        if low > 0.0 or high < 0.0:
            parts.append(f"{bars['uncorrected form'][0] / value:.2f} for {_coefficient(case)}")
    return ", ".join(parts) or "undetermined"


def _coefficient(case: str) -> str:
    return {"P": "P, loss x²", "S/2": "S/2, loss x²", "P, affine loss": "P, loss x"}.get(case, case)


def draw_zero_drift(cases: Cases) -> Drawing:
    """X7: the measured effect of a zero-drift error against its size, in the 2 × 2 design."""
    with style():
        figure, (ax,) = new_figure(5.4, 3.7)
        data: dict[str, list[tuple[float, float, float, float]]] = {}
        sizes = np.array(next(iter(cases.values()))[1][0].key["settings"]["sizes"])
        for i, (case, (_, records)) in enumerate(cases.items()):
            _, *effects = moments_of(records).estimates()
            rows = [(float(eps), e.value, *e.interval(LEVEL)) for eps, e in zip(sizes, effects, strict=True)]
            data[case] = rows
            values = np.array(rows)
            # On a logarithmic axis only what differs from zero can be drawn; an open marker says that zero is inside.
            clear = (values[:, 2] > 0) | (values[:, 3] < 0)
            size = np.abs(values[:, 1])
            low = np.where(clear, np.minimum(np.abs(values[:, 2]), np.abs(values[:, 3])), size * 1e-6)
            high = np.maximum(np.abs(values[:, 2]), np.abs(values[:, 3]))
            nudged = sizes * (1.0 + 0.03 * (i - 1.5))
            ax.plot(nudged[clear], size[clear], color=COLOURS[i], lw=1.2, alpha=0.8)
            ax.errorbar(nudged, size, [size - low, high - size], fmt="none", color=COLOURS[i], lw=1.0)
            ax.plot(nudged[clear], size[clear], MARKERS[i], color=COLOURS[i], label=case)
            ax.plot(nudged[~clear], size[~clear], MARKERS[i], mfc="white", color=COLOURS[i])
        ax.set_xscale("log")
        ax.set_yscale("log")
        first = abs(data["shared noise, random base"][0][1])
        last = max(abs(rows[-1][1]) for case, rows in data.items() if case != "shared noise, random base")
        for slope, anchor, start in ((1, first * 1.7, sizes[0]), (2, last * 0.45, sizes[-1])):
            ax.plot(sizes, anchor * (sizes / start) ** slope, color=GREY, ls=":", lw=1.1)
            at = 1
            ax.annotate(
                f"slope {slope}",
                (sizes[at], anchor * (sizes[at] / start) ** slope),
                xytext=(0, 5 if slope == 1 else -11),
                textcoords="offset points",
                color=GREY,
                fontsize=8,
                ha="right" if slope == 1 else "left",
            )
        ax.set_ylim(bottom=max(ax.get_ylim()[0], last * (sizes[0] / sizes[-1]) ** 2 * 0.08))
        ax.set_xticks(sizes, [f"{s:g}" for s in sizes])
        ax.minorticks_off()
        ax.set_xlabel("size of the error ε")
        ax.set_ylabel("|E ℓ(x^ε) − E ℓ(x⁰)|".replace("x^ε", "$x^ε$").replace("x⁰", "$x^0$"))
        ax.set_title("When does a zero-drift error act in first order?")
        ax.legend(loc="lower right")
    settings = next(iter(cases.values()))[1][0].key["settings"]
    caption = (
        "Effect of a zero-drift error σ̄ = ½ + ⅖ sin 2x on the loss x⁴/4 − 0.3x of the double well "
        f"dx = (x − x³)dt + ḡ dB from x₀ = {settings['x0']:g} to t = {settings['T']:g}, with ḡ = ½ + 0.3 sin x (random "
        "base) or ḡ = 0 (deterministic base). Slope 1 is an effect of first order, slope 2 one of second "
        "order. Bars: 95 % intervals; open markers: zero lies inside. Markers are "
        "shifted sideways a little to stay apart."
    )
    return Drawing(figure, caption, data)
