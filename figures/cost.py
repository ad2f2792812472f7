"""How cost grows: curves of CPU time, and work against tolerance."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from sdewm.style import COLOURS, GREY, MARKERS, new_figure, style

from .kit import Drawing, legend_below

LABELS = {
    "paths": "paths",
    "steps": "steps",
    "dimension": "dimension, diagonal noise",
    "noise columns": "noise columns, dimension 8",
    "number of eps": "sizes ε in one run",
    "workers": "workers (wall time)",
}


def draw_cost_curves(bench: Mapping[str, Any]) -> Drawing:
    """Time against size, one panel a quantity, with the fitted slope."""
    curves: Sequence[Mapping[str, Any]] = bench["curves"]
    data: dict[str, Any] = {}
    with style():
        figure, axes = new_figure(7.4, 4.4, columns=3, rows=-(-len(curves) // 3))
        for ax, curve in zip(axes, curves, strict=False):
            sizes = np.array(curve["sizes"], dtype=float)
            rounds = [np.array(r) for r in curve.get("cpu_seconds", curve.get("wall_seconds", []))]
            best = np.array([r.min() for r in rounds])
            spread = np.array([np.median(r) for r in rounds]) - best
            ax.errorbar(sizes, best, [0.0 * best, spread], fmt="o", color=COLOURS[0])
            if "slope" in curve:
                ax.plot(sizes, np.exp(curve["intercept"]) * sizes ** curve["slope"], color=GREY, ls="--", lw=1.0)
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_xticks(sizes, [f"{s:g}" for s in sizes], fontsize=7)
            ax.xaxis.set_minor_locator(NullLocator())
            ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            ax.yaxis.set_minor_locator(NullLocator())
            ax.set_xlabel(LABELS.get(curve["curve"], curve["curve"]))
            interval = curve.get("interval")
            said = f"slope {curve['slope']:.2f}".replace("-", "−") if "slope" in curve else ""
            ax.set_title(said + ("" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]"))
            data[curve["curve"]] = {"sizes": sizes.tolist(), "seconds": best.tolist(), "median above": spread.tolist()}
        for ax in axes[len(curves) :]:
            ax.set_visible(False)
        for ax in axes[::3]:
            ax.set_ylabel("seconds")
    made = bench["made"]
    caption = (
        f"Time of a coupled pair x⁰, x^ε by the eager engine, one thread, {made['cpu']}: the best of several "
        "interleaved rounds, upwards to their median. Dashed: least squares in log-log; in brackets the 95 % interval "
        "of the slope. Below slope 1 a fixed cost is shared."
    )
    return Drawing(figure, caption, data)


def draw_tolerance(found: Mapping[str, Any]) -> Drawing:
    """Path-steps and seconds to an interval of Q + S/2: plain paths at equal bias, and what was chosen."""
    data: dict[str, Any] = {}
    with style():
        figure, axes = new_figure(8.4, 3.6, columns=2)
        for i, (name, case) in enumerate(found["problems"].items()):
            curve = sorted(case["curve"], key=lambda row: row["half-width"])
            width, chosen, plain, seconds, gain = (
                np.array([row[key] for row in curve])
                for key in ("half-width", "with pilot", "plain path-steps", "seconds", "gain in seconds")
            )
            for ax, one, other in zip(axes, (chosen, seconds), (plain, gain * seconds), strict=True):
                ax.plot(width, other, MARKERS[i], ls=":", color=COLOURS[i], mfc="white", label=f"{name}: plain")
                ax.plot(width, one, MARKERS[i], ls="-", color=COLOURS[i], label=f"{name}: chosen")
            data[name] = {
                "half-width": width.tolist(),
                "chosen": chosen.tolist(),
                "plain": plain.tolist(),
                "chosen, seconds": seconds.tolist(),
                "plain, seconds": (gain * seconds).tolist(),
            }
        ticks = (0.1, 0.03, 0.01, 0.003, 0.001)
        for ax, what in zip(axes, ("path-steps", "seconds on one thread"), strict=True):
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.invert_xaxis()
            ax.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set_xlabel("relative half-width of the 95 % interval of Q + S/2")
            ax.set_ylabel(what)
        axes[0].set_title("Fewer paths for the same truth")
        legend_below(figure, axes[0], 2)
    caption = (
        "Work of expand(tolerance=...), pilots included, and of plain paths with as many Euler steps as give the same "
        "bias and as many paths as give the same interval (from their measured variance and speed). Seconds are those "
        "of the whole call; the checks of the hypotheses and the pilots bound them from below. One run a point."
    )
    return Drawing(figure, caption, data)
