"""X10: both sides of the weak identity."""

from typing import Any

import numpy as np

from sdewm.style import COLOURS, new_figure, style

from ..kit import Cases, Drawing, legend_below, moments_of, row

TERMS = ("start", "drift", "cross", "square")
LABELS = (
    "start: u(0, x₀+εη) − u(0, x₀)",
    "drift: ε σ·∇u",
    "cross: ε Σ ρ ḡᵀ∇²u σ̄",
    "square: ½ε² Σ σ̄ᵀ∇²u σ̄",
)
HATCHES = ("", "..", "//", "xx")
SHADES = (COLOURS[4], COLOURS[5], COLOURS[1], COLOURS[2])


def draw_weak_identity(cases: Cases) -> Drawing:
    """X10: the simulated effect beside the stacked terms."""
    with style():
        figure, (ax,) = new_figure(5.8, 3.8)
        data = {}
        for i, (case, (_, records)) in enumerate(cases.items()):
            left, *terms = moments_of(records).estimates()[: 1 + len(TERMS)]
            right = sum(terms[1:], start=terms[0])
            scale = left.value
            bottom = 0.0
            own: dict[str, Any] = {}
            for k, term in enumerate(terms):
                height = term.value / scale
                (bar,) = ax.bar(i + 0.2, height, 0.36, bottom=bottom, color=SHADES[k], label=None if i else LABELS[k])
                bar.set(hatch=HATCHES[k], edgecolor="white", linewidth=0.0)
                bottom += height
                own[f"{TERMS[k]}, relative"] = height
            for place, side, colour in ((i - 0.2, left, COLOURS[0]), (i + 0.2, right, "black")):
                value, low, high = (v / scale for v in row(side))
                if side is left:
                    ax.bar(place, value, 0.36, color=colour, label=None if i else "simulated effect")
                ax.errorbar(place, value, [[value - low], [high - value]], color="black", lw=1.2)
                own["simulated effect, relative" if side is left else "sum of the terms, relative"] = (value, low, high)
            data[case] = {"simulated effect": row(left), **own}
        for border in (0.95, 1.05):
            ax.axhline(border, color="black", ls="--", lw=0.9, label="±5 %" if border < 1.0 else None)
        names = [case.replace(", u by nested simulation", "\n(u simulated)") for case in cases]
        ax.set_xticks(np.arange(len(cases)), names)
        ax.grid(axis="x", visible=False)
        ax.set_ylim(0.0, 1.15)
        ax.set_ylabel("relative to the simulated effect")
        ax.set_title("The weak identity at any size of the error")
        legend_below(figure, ax, 2)
    caption = (
        "E ℓ(x^ε) − E ℓ(x⁰), simulated, beside the four terms of the identity, for a geometric base in two dimensions "
        "with drift, diffusion and initial error and a full correlation matrix, loss |x|² + x₁x₂. No variation and no "
        "expansion: both sides agree at ε = 1 as well. Error bars: 95 % intervals."
    )
    return Drawing(figure, caption, data)
