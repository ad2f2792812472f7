"""B8: the gap of values against the discount, and against its bound."""

import numpy as np

from sdewm.style import COLOURS, GREY, MARKERS, new_figure, style

from ..kit import Cases, Drawing


def draw_value_gap(cases: Cases) -> Drawing:
    """B8: affine loops on the left, finite chains on the right."""
    data: dict[str, dict[str, list[float]]] = {}
    with style():
        figure, axes = new_figure(7.2, 3.6, columns=2)
        loops = [record for case, (_, (record,)) in cases.items() if case.startswith("affine")]
        for i, record in enumerate(loops):
            s = record.key["settings"]
            prefix, discounts = ("drawn ", s["drawn discounts"]) if s["drawn discounts"] else ("", s["discounts"])
            gap, bound = record.arrays[f"{prefix}gap"], record.arrays[f"{prefix}bound"]
            name = f"κ = {s['kappa']:g}"
            line, curve = record.arrays["line discount"], record.arrays["line bound"]
            axes[0].plot(line, curve, color=COLOURS[i], ls=("-", "--")[i], label=f"bound, {name}")
            axes[0].plot(discounts, gap, MARKERS[i], color=COLOURS[i], label=f"gap, {name}")
            data[name] = {"discount": list(discounts), "gap": gap.tolist(), "bound": bound.tolist()}
            if s["kappa"] > 1.0:
                border = 1.0 / s["kappa"]
                axes[0].axvspan(border, 1.0, color=GREY, alpha=0.2, lw=0, label=f"γκ ≥ 1 at {name}: refused")
                data[name]["border"] = [border]
        axes[0].set_yscale("log")
        axes[0].set_xlim(0.0, 1.0)
        axes[0].set_xlabel("discount γ")
        axes[0].set_ylabel("gap of the values")
        axes[0].set_title("Affine loops attain the bound")
        axes[0].legend(loc="upper left", fontsize=7.5)
        chains = {case: record for case, (_, (record,)) in cases.items() if case.startswith("finite")}
        for i, (case, record) in enumerate(chains.items()):
            gap, bound = record.arrays["gap"], record.arrays["bound"]
            label = "action values" if case.endswith("action values") else "values"
            axes[1].plot(
                bound, gap, MARKERS[i], color=COLOURS[i], mfc="white" if i else COLOURS[i], ms=3.5, label=label
            )
            data[case] = {"gap": gap.tolist(), "bound": bound.tolist()}
        ends = np.array([v for d in (data[case] for case in chains) for key in ("gap", "bound") for v in d[key]])
        diagonal = [float(ends.min()) * 0.7, float(ends.max()) * 1.4]
        axes[1].plot(diagonal, diagonal, color="black", ls="--", lw=1.0, label="gap = bound")
        axes[1].set_xscale("log")
        axes[1].set_yscale("log")
        axes[1].set_xlabel("bound")
        axes[1].set_ylabel("largest gap over states")
        axes[1].set_title("Random finite chains stay below")
        axes[1].legend(loc="upper left", fontsize=7.5)
    caption = (
        "Left: z' = κz against z' = κz + d, with errors of the reward and of the start too; the gap, summed until "
        "nothing is added, lies on the bound. Beyond γ = 1/κ the bound does not exist. Right: values of random "
        "chains on a line from linear equations, with W₁ constants from their distribution functions."
    )
    return Drawing(figure, caption, data)
