"""B9: errors against the Frobenius norm of a Jacobian, and against measures that order them."""

from typing import Any

import numpy as np

from sdewm.style import COLOURS, GREY, new_figure, style

from ..kit import Cases, Drawing

_SYMBOLS = {
    "drift": (("Frobenius norm", "‖Dg‖, Frobenius"), ("log-norm", "log-norm μ"), ("product norm", "‖Φ(T, 0)‖")),
    "step": (
        ("Frobenius norm", "‖J‖, Frobenius"),
        ("spectral norm", "‖J‖, spectral"),
        ("product norm", "‖J ⋯ J‖, product of all steps"),
    ),
}
# Where the name of a point stands, beside it to the right or to the left.
_BESIDE: dict[bool, dict[str, Any]] = {
    right: {
        "xytext": (7, 0) if right else (-7, 0),
        "textcoords": "offset points",
        "ha": "left" if right else "right",
        "va": "center",
        "fontsize": 7.5,
    }
    for right in (False, True)
}


def draw_frobenius(cases: Cases) -> Drawing:
    """B9: one row a case, one column a measure; an arrow leads from the first of the pair to the second."""
    data: dict[str, dict[str, list[float]]] = {}
    with style():
        figure, axes = new_figure(7.2, 5.2, columns=3, rows=2)
        for row, (case, (_, (record,))) in enumerate(cases.items()):
            kind = "drift" if case.startswith("drift") else "step"
            error = record.arrays["error"]
            # What has died out is drawn at the floor, below all others.
            seen = error[error > 1e-12]
            floor = float(seen.min()) / 10.0
            drawn = np.maximum(error, floor)
            data[case] = {"error": error.tolist()}
            names = ("−2x", "0") if kind == "drift" else ("[[0, 2], [0, 0]]", "0.9 I")
            for column, (name, label) in enumerate(_SYMBOLS[kind]):
                ax, x = axes[3 * row + column], record.arrays[name]
                data[case][name] = x.tolist()
                log = name == "product norm"
                at = np.maximum(x, float(x[x > 1e-12].min()) / 10.0) if log else x
                ax.plot(at[2:], drawn[2:], ".", color=GREY, ms=4.0)
                for i in (0, 1):
                    ax.plot(at[i], drawn[i], "os"[i], color=COLOURS[i], ms=6.5, label=names[i], zorder=3)
                arrow = {"arrowstyle": "->", "color": "black", "lw": 0.9, "shrinkA": 5.0, "shrinkB": 5.0}
                ax.annotate("", (at[1], drawn[1]), xytext=(at[0], drawn[0]), arrowprops=arrow)
                if error[0] < floor:
                    ax.annotate("norm and error 0" if log else "error 0", (at[0], drawn[0]), **_BESIDE[log])
                ax.set_yscale("log")
                if log:
                    ax.set_xscale("log")
                ax.set_xlabel(label)
                if column == 0:
                    ax.set_ylabel("error at the end (RMS)")
                    ax.legend(loc="lower left" if kind == "drift" else "upper left", fontsize=7.5)
            axes[3 * row].set_title("Drifts ax, drift error" if kind == "drift" else "Step maps in R², initial error")
    caption = (
        "Errors of linear systems at the end, ε = 0.05, against three measures of their Jacobian. Arrows: the judged "
        "pairs, from the larger Frobenius norm to the smaller. An arrow to the upper left: the smaller measure has the "
        "larger error. Grey: other rates, and random step maps. [[0, 2], [0, 0]] has no error left after two steps; it "
        "is drawn at the bottom of its logarithmic axes."
    )
    return Drawing(figure, caption, data)
