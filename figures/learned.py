"""Figures of the claims about trained models."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sdewm.run import Record
from sdewm.style import COLOURS, GREY, MARKERS, new_figure, style

from .kit import Cases, Drawing

Array = NDArray[np.float64]
KINDS = ("zero drift", "drift")


def records_of(cases: Cases) -> list[Record]:
    """All records of a claim, each once."""
    found = {record.name: record for _, records in cases.values() for record in records}
    return list(found.values())


def root_mean_square(records: Sequence[Record], name: str, size: float | None) -> Array:
    """For each model (models, steps): root mean square over episodes and directions, in units of the size."""
    models = sorted({int(r.key["settings"]["model"]) for r in records})
    rows = []
    for m in models:
        squares = []
        for record in records:
            sizes = record.key["settings"]["sizes"]
            if record.key["settings"]["model"] == m and (size is None or size in sizes):
                values = record.arrays[name]
                squares.append((values if size is None else values[:, sizes.index(size)] / size**2).mean(0))
        rows.append(np.sqrt(np.mean(squares, axis=0)))
    return np.array(rows)


def choose(records: Sequence[Record], kind: str, unit: str) -> list[Record]:
    """Records of one kind of error in one unit."""
    return [r for r in records if (r.key["settings"]["kind"], r.key["settings"]["unit"]) == (kind, unit)]


def all_sizes(records: Sequence[Record]) -> list[float]:
    """All sizes that occur."""
    return sorted({float(s) for r in records for s in r.key["settings"]["sizes"]})


def typical(rows: Array) -> Array:
    """Geometric mean over models."""
    result: Array = np.exp(np.log(rows).mean(0))
    return result


def draw_first_order(cases: Cases) -> Drawing:
    """L1: measured growth beside the prediction by y₁, and where the two part."""
    records = records_of(cases)
    sizes = all_sizes(records)
    with style():
        figure, axes = new_figure(7.2, 5.6, columns=2, rows=2)
        data: dict[str, dict[str, list[float]]] = {}
        for column, kind in enumerate(KINDS):
            chosen = choose(records, kind, "whitened")
            growth, ratio = axes[column], axes[2 + column]
            first = root_mean_square(chosen, "latent_first", None)
            steps = np.arange(1, first.shape[1] + 1)
            growth.fill_between(steps, first.min(0), first.max(0), color=GREY, alpha=0.2, lw=0)
            growth.plot(steps, typical(first), color="black", ls="--", lw=1.2, label="first order, y₁")
            own = {"first order": typical(first).tolist()}
            for i, size in enumerate(sizes):
                measured = root_mean_square(chosen, "latent", size)
                looks: dict[str, Any] = {"color": COLOURS[i], "marker": MARKERS[i], "ms": 3.0}
                at = [k for k in (0, 4, 14, 29, 49) if k < len(steps)]
                growth.plot(steps, typical(measured), markevery=at, label=f"size {size:g}", **looks)
                held = [r for r in chosen if size in r.key["settings"]["sizes"]]
                parts = measured / root_mean_square(held, "latent_first", None)
                ratio.plot(steps, typical(parts), markevery=(2 * i, 12), **looks)
                ratio.fill_between(steps, parts.min(0), parts.max(0), color=COLOURS[i], alpha=0.15, lw=0)
                own[f"size {size:g}"] = typical(measured).tolist()
                own[f"size {size:g}, measured over first order"] = typical(parts).tolist()
                outside = np.abs(parts - 1.0) > 0.1
                own[f"size {size:g}, first step off by more than 10 %, each model"] = [
                    float(row.argmax() + 1) if row.any() else float("nan") for row in outside
                ]
            _laws(growth, steps, typical(first)[0])
            growth.set_xscale("log")
            growth.set_yscale("log")
            ratio.axhspan(0.9, 1.1, color=GREY, alpha=0.2, lw=0)
            ratio.axhline(1.0, color=GREY, lw=0.8)
            ratio.set_ylim(0.0, 1.5)
            growth.set_title(f"{'Zero-drift' if kind == 'zero drift' else 'Drift'} error")
            ratio.set_xlabel("steps N of the rollout")
            data[kind] = own
        top = max(ax.get_ylim()[1] for ax in axes[:2])
        for ax in axes[:2]:
            ax.set_ylim(0.8, top)
            ax.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
            ax.minorticks_off()
        axes[0].set_ylabel("RMS latent error / size")
        axes[2].set_ylabel("measured / first order")
        axes[2].annotate("± 10 %", (2, 1.12), color=GREY, fontsize=8)
        axes[0].legend(loc="upper left")
    caption = (
        "Latent error of a trained neural SDE when an error of the given one-step size (whitened: 1 is the latent's "
        "own standard deviation) is injected at every step. Above: growth, with the model's own first variation y₁ "
        "(dashed; band: the three models) and the laws √N and N. Below: measured over predicted, with bands. "
        f"First order leaves the ±10 % band at step {_breakdown(data, 'zero drift')} (zero drift) and "
        f"{_breakdown(data, 'drift')} (drift) for sizes {', '.join(f'{s:g}' for s in sizes)}: median of the models."
    )
    return Drawing(figure, caption, data)


def _breakdown(data: dict[str, dict[str, list[float]]], kind: str) -> str:
    values = [v for name, v in data[kind].items() if name.endswith("each model")]
    medians = [float(np.median([n if n == n else np.inf for n in row])) for row in values]
    return ", ".join("more than 50" if np.isinf(m) else f"{m:.0f}" for m in medians)


def _laws(ax: Axes, steps: Array, first: float) -> None:
    for power, name, shift in ((0.5, "√N", (-2, 13)), (1.0, "N", (-9, 2))):
        ax.plot(steps, first * steps**power, color=GREY, ls=":", lw=1.1)
        at = 2 if power == 0.5 else len(steps) // 3
        ax.annotate(
            name,
            (steps[at], first * steps[at] ** power),
            xytext=shift,
            textcoords="offset points",
            color=GREY,
            fontsize=8,
            va="top" if power == 0.5 else "bottom",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
        )


def draw_compounding(cases: Cases) -> Drawing:
    """L2: growth of drift and zero-drift errors of equal one-step size, whitened and raw, latent and observation."""
    records = records_of(cases)
    size = 0.1
    with style():
        figure, axes = new_figure(7.2, 5.6, columns=2, rows=2)
        data: dict[str, dict[str, list[float]]] = {}
        for column, unit in enumerate(("whitened", "raw")):
            for row, name in enumerate(("latent", "observation")):
                ax = axes[2 * row + column]
                for i, kind in enumerate(KINDS):
                    rows = root_mean_square(choose(records, kind, unit), name, size)
                    # Growth: relative to the error after one step.
                    rows = rows / rows[:, :1]
                    steps = np.arange(1, rows.shape[1] + 1)
                    ax.fill_between(steps, rows.min(0), rows.max(0), color=COLOURS[i], alpha=0.2, lw=0)
                    ax.plot(steps, typical(rows), color=COLOURS[i], label=f"{kind} error")
                    marks = np.array([1, 2, 5, 10, 25, 50])
                    marks = marks[marks <= len(steps)]
                    ax.plot(marks, typical(rows)[marks - 1], MARKERS[i], color=COLOURS[i])
                    data[f"{unit}, {name}, {kind}"] = {
                        "growth": typical(rows).tolist(),
                        "least": rows.min(0).tolist(),
                        "largest": rows.max(0).tolist(),
                    }
                _laws(ax, steps, 1.0)
                ax.set_xscale("log")
                ax.set_yscale("log")
                ax.set_ylim(0.8, 60.0)
                ax.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
                ax.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
                ax.minorticks_off()
                if not row:
                    ax.set_title(f"{unit.capitalize()} one-step size {size:g}")
                else:
                    ax.set_xlabel("steps N of the rollout")
                if not column:
                    ax.set_ylabel(f"growth of the {name} error")
        axes[0].legend(loc="upper left")
    caption = (
        "Growth over a rollout of errors of equal one-step root mean square, relative to the first step, beside the "
        "laws of plain addition √N (independent errors) and N (one constant error). Lines: geometric mean of three "
        "trained models; bands: their range. Where a line is steeper than the law, the model's own Jacobians amplify "
        "what is injected; where it is flatter, they damp it, or the error is as large as the latent itself."
    )
    return Drawing(figure, caption, data)


def draw_baselines(cases: Cases) -> Drawing:
    """L3: open-loop error against the horizon, for the models and the baselines."""
    records = records_of(cases)
    with style():
        figure, (ax,) = new_figure(5.4, 3.5)
        data: dict[str, list[float]] = {}
        again = [r for r in records if r.key["settings"]["weights"] == "trained again"]
        kept = [r for r in records if r not in again]

        def error(record: Record, name: str) -> Array:
            values: Array = np.sqrt(record.arrays[name].mean(0))
            return values

        rows = np.array([error(r, "neural SDE") for r in kept])
        steps = np.arange(1, rows.shape[1] + 1)
        ends: list[tuple[float, str, str]] = []
        for i, name in enumerate(("persistence", "mean", "ridge")):
            values = error(kept[0], name)
            ax.plot(steps, values, color=COLOURS[i + 1], ls=("-.", ":", "--")[i])
            ends.append((values[-1], name, COLOURS[i + 1]))
            data[name] = values.tolist()
        ax.fill_between(steps, rows.min(0), rows.max(0), color=COLOURS[0], alpha=0.25, lw=0)
        middle = np.sqrt((rows**2).mean(0))
        ax.plot(steps, middle, color=COLOURS[0])
        ends.append((middle[-1], "neural SDE", COLOURS[0]))
        data["neural SDE"] = middle.tolist()
        for record in again:
            values = error(record, "neural SDE")
            shown = [n for n in (1, 10, 20, 30, 40, 50) if n <= len(steps)]
            ax.plot(shown, values[np.array(shown) - 1], "o", mfc="white", color="black", label="trained again, seed 0")
            data["neural SDE, trained again"] = values.tolist()
        for value, name, colour in ends:
            ax.annotate(name, (steps[-1], value), xytext=(4, 0), textcoords="offset points", color=colour, va="center")
        ax.set_xlim(0, steps[-1] * 1.22)
        ax.set_ylim(bottom=0.0)
        ax.set_xticks([1, 10, 20, 30, 40, 50])
        ax.set_xlabel("steps ahead, open loop")
        ax.set_ylabel("RMS error / standard deviation")
        ax.set_title("Open-loop prediction of pendulum-swingup")
        if again:
            ax.legend(loc="upper right")
    settings = records[0].key["settings"]
    caption = (
        "Open-loop prediction error of the observations with known actions, after 20 filtered steps, in standard "
        f"deviations of the data, over {settings['episodes']} held-out episodes. Line: three trained models together; "
        "band: their range; circles: the first of them trained again from its recipe in this run."
    )
    return Drawing(figure, caption, data)
