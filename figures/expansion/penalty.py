"""X15: the effect of a zero-drift error against the Jacobian penalty."""

import numpy as np

from sdewm.style import COLOURS, GREY, new_figure, style

from ..kit import Cases, Drawing, remainders_of, row


def draw_penalty(cases: Cases) -> Drawing:
    """X15: R/ε² over systems, against the penalty and against the size of the error alone."""
    ((_, records),) = cases.values()
    points = {}
    for record in records:
        measured = remainders_of(record)
        penalty, plain = (measured.column(form, "c") for form in measured.forms)
        effect = penalty + measured.column(measured.forms[0], "missing 2")
        points[record.key["settings"]["system"]] = {
            "penalty": row(penalty),
            "size of the error": row(plain),
            "effect": row(effect),
        }
    ordered = sorted(points, key=lambda name: points[name]["penalty"][0])
    with style():
        figure, (ax,) = new_figure(6.6, 3.9)
        for i, name in enumerate(ordered):
            (x, left, right), (alone, least, most), (y, low, high) = points[name].values()
            bars = [[y - low], [high - y]]
            label = None if i else "½ E ∫‖σ̄‖², without Jacobian"
            ax.errorbar(
                alone, y, bars, [[alone - least], [most - alone]], fmt="s", color=COLOURS[1], mfc="white", label=label
            )
            label = None if i else "½ E ∫‖Φσ̄‖²"
            ax.errorbar(x, y, bars, [[x - left], [right - x]], fmt="o", color=COLOURS[0], label=label)
            # Neighbours on the line get their numbers on either side of it.
            beside = (5, -9) if i % 2 else (-9, 5)
            ax.annotate(f"{i + 1}", (x, y), xytext=beside, textcoords="offset points", fontsize=7, color=GREY)
        ends = np.array([each[0] for p in points.values() for each in p.values()])
        line = np.array([ends.min() * 0.8, ends.max() * 1.25])
        ax.plot(line, line, color="black", ls="--", lw=1.0, label="equal")
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("penalty, with the Jacobian (filled) and without it (open)")
        ax.set_ylabel("effect of the error, R/ε² at ε → 0")
        ax.set_title("At interpolation a zero-drift error is a Jacobian penalty")
        ax.legend(loc="upper left")
        key = "\n".join(f"{i + 1}  {name}" for i, name in enumerate(ordered))
        ax.text(1.02, 1.0, key, transform=ax.transAxes, fontsize=7, va="top", color=GREY)
    caption = (
        f"{len(points)} systems, σ̄ = ½ + ⅖ sin 2x with independent noise, loss ½|x − x⁰_t|², "
        f"t = {records[0].key['settings']['T']:g}. Filled: the effect "
        "against the penalty on the Jacobian Φ of the rollout, weighted by the error; open: against the error's size "
        "alone. Error bars: 95 % intervals."
    )
    return Drawing(figure, caption, points)
