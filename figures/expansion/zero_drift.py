"""X7 and X8: the first-order effect of a zero-drift error, and its dependence on the correlation."""

from typing import Any

import numpy as np

from sdewm.style import COLOURS, GREY, MARKERS, new_figure, style

from ..kit import LEVEL, Cases, Drawing, moments_of, row


def draw_zero_drift(cases: Cases) -> Drawing:
    """X7: the measured effect of a zero-drift error against its size, in the 2 × 2 design."""
    with style():
        figure, (ax,) = new_figure(5.4, 3.7)
        data: dict[str, dict[str, list[Any]]] = {}
        sizes = np.array(next(iter(cases.values()))[1][0].key["settings"]["sizes"])
        for i, (case, (_, records)) in enumerate(cases.items()):
            _, *effects, _ = moments_of(records).estimates()
            rows = [(float(eps), e.value, *e.interval(LEVEL)) for eps, e in zip(sizes, effects, strict=True)]
            data[case] = {"ε": sizes.tolist(), "effect": [tuple(each[1:]) for each in rows]}
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
        first = abs(data["shared noise, random base"]["effect"][0][0])
        last = max(abs(own["effect"][-1][0]) for case, own in data.items() if case != "shared noise, random base")
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


def draw_correlation(cases: Cases) -> Drawing:
    """X8: the first-order effect against the correlation."""
    ((_, records),) = cases.values()
    settings = records[0].key["settings"]
    odd = moments_of(records).estimates()[: len(settings["rho"])]
    rows = [(rho, *row(e)) for rho, e in zip(settings["rho"], odd, strict=True)]
    with style():
        figure, (ax,) = new_figure(5.0, 3.3)
        values = np.array(rows)
        top = values[-1, 1]
        line = np.linspace(-1.0, 1.0, 101)
        ax.plot(line, top * line, color=COLOURS[0], lw=1.2, label="affine, ρ P(1)")
        ax.plot(line, top * line**2, color=COLOURS[1], lw=1.2, ls="--", label="control, ρ² P(1)")
        bars = [values[:, 1] - values[:, 2], values[:, 3] - values[:, 1]]
        ax.errorbar(values[:, 0], values[:, 1], bars, fmt="o", color="black", label="measured, no formula")
        ax.axhline(0.0, color=GREY, lw=0.8)
        ax.set_xticks(settings["rho"], [f"{rho:g}".replace("-", "−") for rho in settings["rho"]])
        ax.set_xlabel("correlation ρ of the error's noise with the base's")
        ax.set_ylabel("first-order effect, odd part of R/ε")
        ax.set_title("The first-order effect of a zero-drift error is affine in ρ")
        ax.legend(loc="lower right")
    caption = (
        f"(R(ε) − R(−ε))/2ε at ε = {settings['eps']:g} for the double well with ḡ = ½ + 0.3 sin x, σ̄ = ½ + ⅖ sin 2x "
        f"and loss x⁴/4 − 0.3x, {settings['paths']} common paths; bars are 95 % intervals. Independent noise, ρ = 0, "
        f"has no first-order effect; with shared noise it flips its sign with that of σ̄."
    )
    return Drawing(figure, caption, {"ρ": [r[0] for r in rows], "odd part of R/ε": [tuple(r[1:]) for r in rows]})
