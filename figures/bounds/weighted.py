"""B4: what a weight does for a non-normal drift."""

from typing import Any

import numpy as np

from sdewm.style import COLOURS, GREY, MARKERS, new_figure, style

from ..kit import Cases, Drawing, estimates
from .log_norm import ratios


def draw_weighted(cases: Cases) -> Drawing:
    """B4: ratios against time with the crossing on the left, the errors themselves in the middle, random matrices."""
    record = next(r[0] for _, r in cases.values() if "times" in r[0].arrays)
    matrices = next(r[0] for _, r in cases.values() if "curves" in r[0].arrays)
    times = record.arrays["times"]
    data: dict[str, Any] = {}
    with style():
        figure, axes = new_figure(7.4, 3.2, columns=3)
        for ax, error in zip(axes, ("initial", "drift and diffusion"), strict=False):
            data[error] = {"t": times.tolist(), "crossing": record.values[f"{error}, crossing"]}
            for i, (rule, name) in enumerate((("log-norm", "log-norm bound"), ("weighted", "least over weights"))):
                rows = ratios(record, error, rule)
                ax.plot(times, rows[:, 0], color=COLOURS[i], marker=MARKERS[i], markevery=(3, 4), label=name)
                data[error][rule] = estimates(*rows.T)
            ax.axvline(record.values[f"{error}, crossing"], color=GREY, ls="--", lw=1.0)
            ax.annotate(
                f"a weight is better\nfrom t = {record.values[f'{error}, crossing']:.2f}",
                (record.values[f"{error}, crossing"], 0.6),
                xycoords=("data", "axes fraction"),
                xytext=(4, 0),
                textcoords="offset points",
                fontsize=7.5,
                color=GREY,
            )
            ax.axhline(1.0, color="black", ls=":", lw=1.0)
            ax.set_yscale("log")
            ax.set_xlabel("t")
            ax.set_xticks([0, 2, 4, 6, 8])
            ax.set_title(f"S1, {error} error", fontsize=8.5)
        axes[0].set_ylabel("bound / RMS error")
        axes[0].legend(loc="upper left", fontsize=7.5)
        identity, searched, log_norm = matrices.arrays["curves"].swapaxes(0, 1)
        ax, t = axes[2], np.linspace(0.0, matrices.key["settings"]["T"], log_norm.shape[1])
        for label, curves, colour, look in (
            ("weight alone", searched, GREY, ":"),
            ("least with I", None, COLOURS[1], "-"),
        ):
            shown = (np.minimum(identity, searched) if curves is None else curves) / log_norm
            ax.plot(t, shown.T, color=colour, ls=look, lw=0.9, label=[label, *[None] * (len(shown) - 1)])
            data[label] = shown[:, -1].tolist()
        ax.axhline(1.0, color="black", ls=":", lw=1.0)
        ax.set_yscale("log")
        ax.set_xlabel("t")
        ax.set_yticks([0.1, 0.2, 0.5, 1, 2, 5, 10], ["0.1", "0.2", "0.5", "1", "2", "5", "10"])
        ax.minorticks_off()
        ax.set_ylabel("bound / log-norm bound")
        ax.set_title(f"{len(log_norm)} random systems", fontsize=8.5)
        ax.legend(loc="lower left", fontsize=7.5)
    rate = f"exp({record.values['log-norm rate'] / 2.0:.2f} t)"
    nu = f"{record.values['nu']:.3f}".replace("-", "−")
    caption = (
        "Left and middle: bounds on Euler steps of S1 over the simulated error; 95 % intervals are narrower than the "
        f"markers. The log-norm bound grows like {rate} for ever; a weight certifies ν = {nu} and pays at the start, "
        "which is why I is among the weights. Right: bounds of the equation for random drifts, noises and errors; with "
        "I among the weights the least bound never exceeds the log-norm bound."
    )
    return Drawing(figure, caption, data)
