"""S4: the gradient that training sees, against the correlation."""

import numpy as np

from sdewm.estimate import Moments
from sdewm.run import Record
from sdewm.style import COLOURS, GREY, new_figure, style

from ..kit import Cases, Drawing, row


def draw_gradient(cases: Cases) -> Drawing:
    """S4: dR/da against ρ, with its closed form."""
    records: dict[float, Record] = {}
    for _, found in cases.values():
        records |= {record.key["settings"]["rho"]: record for record in found}
    rhos = sorted(records)
    rows = [row(Moments.from_arrays(records[rho].arrays).estimates()[0]) for rho in rhos]
    exact = [records[rho].values["closed form"] for rho in rhos]
    s, border = records[rhos[0]].key["settings"], records[rhos[0]].values["sign change"]
    with style():
        figure, (ax,) = new_figure(5.2, 3.4)
        ax.plot(rhos, exact, color=COLOURS[0], lw=1.2, label="closed form")
        values = np.array(rows)
        bars = [values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]]
        ax.errorbar(rhos, values[:, 0], bars, fmt="o", color="black", label="through the simulation")
        ax.axhline(0.0, color=GREY, lw=0.8)
        ax.axvline(border, color=COLOURS[1], ls="--", lw=1.2, label=f"sign change, ρ = {border:.3f}")
        ax.set_xticks(rhos, [f"{rho:g}".replace("-", "−") for rho in rhos], fontsize=8)
        ax.set_xlabel("correlation ρ of the error's noise with the base's")
        ax.set_ylabel("dR/da")
        ax.set_title("What training under an error does to the gain a")
        ax.legend(loc="upper right")
    caption = (
        f"dx = ax dt + bx dB + εc dW at a = {s['a']:g}, b = {s['b']:g}, c = {s['c']:g}, ε = {s['eps']:g}, x₀ = "
        f"{s['x0']:g}, t = {s['T']:g}, loss x². Positive: training shrinks the gain, as a Jacobian penalty does; "
        f"negative: it raises it. Bars: 95 % intervals of the gradient through the coupled simulation."
    )
    return Drawing(figure, caption, {"rho": rhos, "rows": rows, "closed form": exact, "sign change": border})
