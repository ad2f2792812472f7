"""B5: what the telescoping sum and its linear form leave over."""

from typing import Any

import numpy as np

from sdewm.style import COLOURS, MARKERS, new_figure, style

from ..kit import Cases, Drawing, reference_slope, size_axis

_FLOOR = 1e-18


def draw_identity(cases: Cases) -> Drawing:
    """B5: a histogram over paths, and the root mean square against ε."""
    with style():
        figure, axes = new_figure(7.2, 3.5, columns=2)
        data: dict[str, dict[str, list[float]]] = {}
        bins = np.linspace(-18.0, 0.5, 75)
        for i, (case, (_, records)) in enumerate(cases.items()):
            relative = np.concatenate([r.arrays["residual"] / r.arrays["error"][:, None] for r in records], axis=1)
            logs = np.log10(np.maximum(relative, _FLOOR)).ravel()
            look: dict[str, Any] = {"hatch": ("", "////")[i], "edgecolor": "white", "linewidth": 0.0}
            axes[0].hist(logs, bins.tolist(), color=COLOURS[i], alpha=0.85, label=case, **look)
            data[case] = {"log10 of residual/error, quantiles": np.quantile(logs, (0.0, 0.25, 0.5, 0.75, 1.0)).tolist()}
            for k, record in enumerate(records):
                settings = record.key["settings"]
                values = np.sqrt((record.arrays["residual"] ** 2).mean(1))
                if case == "linearised form":
                    axes[1].plot(
                        settings["sizes"], values, color=COLOURS[i], marker=MARKERS[k], label=settings["system"]
                    )
                data[case][settings["system"]] = values.tolist()
        axes[0].axvline(-12.0, color="black", ls="--", lw=1.0, label="allowed")
        ticks = [-18, -15, -12, -9, -6, -3, 0]
        names = {-18: "0", 0: "1"}
        axes[0].set_xticks(ticks, [names.get(t, f"$10^{{{t}}}$") for t in ticks])
        axes[0].set_xlabel("residual / RMS error, path by path")
        axes[0].set_ylabel("paths")
        axes[0].set_title("Exact to rounding, or not")
        axes[0].legend(loc="upper right")
        sizes = settings["sizes"]
        top = max(float(values[-1]) for name, values in data[case].items() if not name.startswith("log10"))
        reference_slope(axes[1], sizes, top * 2.5, 2.0, below=False)
        axes[1].set_yscale("log")
        size_axis(axes[1], sizes)
        axes[1].set_ylabel("RMS residual")
        axes[1].set_title("The linear form is off by order ε²")
        axes[1].legend(loc="lower right", fontsize=7.5)
    caption = (
        "Residual of the discrete Alekseev–Gröbner sum, and of its linear form with products of Jacobians along the "
        f"base path, over {settings['steps']} steps of three systems with drift, diffusion and initial errors, "
        f"{settings['paths']} paths each; on the left all sizes ε together, residuals of exactly zero at the left end. "
        "Differences of close numbers are exact in floating point, which is why most residuals of the sum are zero."
    )
    return Drawing(figure, caption, data)
