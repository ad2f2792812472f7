"""The figure of a divergence: growth by kind, where first order ends, norms of the Jacobians, Lyapunov exponents."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...exceptions import InvalidArgument
from .injection import LAWS
from .result import Bounds, Curve, Divergence, Jacobians

# Bounds are drawn up to so many times what else is in the panel: the rest is told by the table.
_ROOM = 30.0
_SHADE = 0.22


def drawn(d: Divergence, path: str | Path | None, unit: str | None) -> Any:
    """The figure; arguments and errors as for `Divergence.plot`."""
    from matplotlib.figure import Figure  # here, so that importing the package stays quick

    from ...style import style

    units = list(dict.fromkeys(c.unit for c in d.curves))
    unit = units[-1] if unit is None else unit
    if unit not in units:
        raise InvalidArgument(f"unit must be one of {', '.join(map(repr, units))}, got {unit!r}.")
    own = [c for c in d.curves if c.unit == unit]
    kinds = list(dict.fromkeys(c.kind for c in own))
    handles: dict[str, Any] = {}
    with style():
        rows = 1 if d.jacobians is None else 2
        figure = Figure(figsize=(7.4, 0.7 + 2.35 * rows), layout="constrained")
        # Apart, so that names beside the curves below do not push the panels above from each other.
        parts = figure.subfigures(rows, 1, squeeze=False)[:, 0]
        for k, (kind, axes) in enumerate(zip(kinds, parts[0].subplots(1, len(kinds), squeeze=False)[0], strict=True)):
            bounds = next((b for b in d.bounds if (b.kind, b.unit) == (kind, unit)), None)
            _growth(axes, [c for c in own if c.kind == kind], bounds)
            if k == 0:
                axes.set_ylabel(f"error / one injection, {unit}")
            handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        parts[0].legend(list(handles.values()), list(handles), loc="outside upper center", ncols=3, columnspacing=1.6)
        if d.jacobians is not None:
            left, middle, right = parts[1].subplots(1, 3)
            _ratios(left, own, kinds, d.tolerance)
            _norms(middle, d.jacobians, unit)
            _exponents(right, d.jacobians)
        if path is not None:
            figure.savefig(path, dpi=200)
    return figure


def _growth(axes: Any, curves: list[Curve], bounds: Bounds | None) -> None:
    from ...style import COLOURS, GREY, MARKERS

    curves = sorted(curves, key=lambda c: c.size)
    shown = [curves[0], curves[-1]] if len(curves) > 1 else curves
    steps, top = np.arange(len(curves[0].law)), 1.0
    low = [1.0]
    for k, c in enumerate(shown):
        ok = _alive(c)
        colour, mark = COLOURS[k], MARKERS[k]
        label = f"error, size {c.size:g}"
        axes.fill_between(steps[ok], c.growth.low[ok], c.growth.high[ok], color=colour, alpha=_SHADE, lw=0)
        axes.plot(steps[ok], c.growth.value[ok], color=colour, marker=mark, markevery=_every(ok), label=label)
        top, low = max(top, float(c.growth.high[ok].max(initial=1.0))), [*low, *c.growth.value[ok].tolist()]
    c = shown[0]
    if c.predicted is not None:
        ok = _alive(c) & (c.predicted.value > 0.0)
        axes.plot(steps[ok], c.predicted.value[ok] / c.size, "--", color="black", lw=1.0, label="first order")
    axes.plot(steps[1:], c.law[1:], ":", color=GREY, label="distances kept")
    top = max(top, float(c.law[-1]))
    if bounds is not None:
        # The bounds are on a few states: their ratio to the error of these is drawn on the curve of all.
        ok = bounds.error > 0.0
        on = shown[-1].growth.value[bounds.steps] / np.where(ok, bounds.error, 1.0)
        # A bound is one on errors of its own size: growth of smaller ones may lie above it.
        of = f" bound, size {bounds.size:g}" if len(shown) > 1 else " bound"
        for values, mark, label in ((bounds.product, "v", f"product{of}"), (bounds.spectral, "1", f"norms{of}")):
            seen = ok & (values * on < _ROOM * top)
            axes.plot(
                bounds.steps[seen],
                (values * on)[seen],
                mark,
                color=COLOURS[len(shown) - 1],
                ms=5,
                mfc="none",
                label=label,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    # A flat curve must not be magnified until its noise fills the panel.
    low_edge, high_edge = min(low), axes.get_ylim()[1]
    axes.set_ylim(min(low_edge * 0.7, 0.5), max(high_edge, 2.0))
    axes.set_xlim(0.9, 1.1 * steps[-1])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    axes.set_xlabel("steps N")
    axes.set_title(f"{c.kind}, beside {LAWS[c.kind]}")


def _alive(c: Curve) -> NDArray[np.bool_]:
    """Steps N >= 1 at which the error is there, and not rounding."""
    end = len(c.law) if c.lost is None else c.lost
    steps = np.arange(len(c.law))
    alive: NDArray[np.bool_] = (steps >= 1) & (steps < end) & (c.error.value > 0.0)
    return alive


def _every(ok: NDArray[np.bool_]) -> list[int]:
    """Where markers go on a logarithmic axis: evenly for the eye."""
    count = int(ok.sum())
    return sorted({round(x) - 1 for x in np.geomspace(1, count, 6)}) if count else []


def _ratios(axes: Any, curves: list[Curve], kinds: list[str], tolerance: float) -> None:
    from matplotlib.ticker import MaxNLocator

    from ...style import COLOURS, GREY, MARKERS

    largest = max(c.size for c in curves)
    axes.axhspan(1.0 - tolerance, 1.0 + tolerance, color="#e4e4e4", lw=0, zorder=0)
    axes.axhline(1.0, color=GREY, lw=0.8)
    ends, reach = [], 2.0 * tolerance
    for c in curves:
        if c.ratio is None or c.size != largest:
            continue
        k = kinds.index(c.kind)
        steps = np.arange(len(c.law))
        ok = (steps >= 1) & np.isfinite(c.ratio.value)
        if not ok.any():
            continue
        # Where the states are too few for an interval that ends, the curve is dotted.
        known = ok & np.isfinite(c.ratio.high)
        high = np.minimum(c.ratio.high, 10.0)
        axes.fill_between(steps, c.ratio.low, high, where=known, color=COLOURS[k], alpha=_SHADE, lw=0)
        each = max(1, int(ok.sum()) // 6)
        axes.plot(steps[ok], c.ratio.value[ok], ":", color=COLOURS[k])
        solid = np.where(known, c.ratio.value, np.nan)
        axes.plot(steps[ok], solid[ok], color=COLOURS[k], marker=MARKERS[k], markevery=(min(2 * k, each), each))
        reach = max(reach, float(np.abs(c.ratio.value[ok] - 1.0).max()))
        ends.append((float(c.ratio.value[ok][-1]), c.kind, COLOURS[k]))
    reach = min(1.15 * reach, 3.0)
    axes.set_ylim(max(1.0 - reach, 0.0), 1.0 + reach)
    axes.set_xlim(0, len(curves[0].law) - 1)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    _label_ends(axes, ends)
    axes.set_xlabel("steps N")
    axes.set_ylabel("measured / first order")
    axes.set_title(f"beyond first order, size {largest:g}")


def _norms(axes: Any, j: Jacobians, unit: str) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator

    from ...style import COLOURS

    norms, product = j.norms[unit], j.product[unit]
    steps = np.arange(1, len(product.median) + 1)
    ends = []
    alone = "o" if len(steps) == 1 else None  # one point makes no line
    for k, (name, style) in enumerate((("Frobenius", "-"), ("spectral", "--"), ("log-norm", "-."))):
        s = norms[name]
        axes.fill_between(steps, s.low, s.high, color=COLOURS[k], alpha=_SHADE, lw=0)
        axes.plot(steps, s.median, style, color=COLOURS[k], marker=alone)
        ends.append((float(s.median[-1]), name, COLOURS[k]))
    with np.errstate(divide="ignore"):
        rate = product.median ** (1.0 / steps)
    axes.plot(steps, rate, ":", color="black", marker=alone)
    ends.append((float(rate[-1]), "‖product‖$^{1/N}$", "black"))
    if min(end for end, _, _ in ends) > 0.0 and bool((norms["log-norm"].low > 0.0).all()):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
    axes.set_xlim(1, max(len(steps), 2))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    _label_ends(axes, ends)
    axes.set_xlabel("step")
    axes.set_title(f"norms of the Jacobian, {unit}")


def _exponents(axes: Any, j: Jacobians) -> None:
    from ...style import COLOURS, GREY

    value, low, high = j.lyapunov.value, j.lyapunov.low, j.lyapunov.high
    ok = np.isfinite(value)
    index = np.arange(1, len(value) + 1)
    bars = np.stack((value[ok] - low[ok], high[ok] - value[ok])).clip(0.0)
    bars = np.where(np.isfinite(bars), bars, 0.0)
    axes.errorbar(index[ok], value[ok], bars, fmt="o", ms=2.5, lw=0.8, color=COLOURS[0])
    axes.axhline(0.0, color=GREY, lw=0.8)
    none = int((~ok).sum())
    if none:
        place = {"transform": axes.transAxes, "ha": "left", "va": "bottom"}
        axes.text(0.05, 0.05, f"and {none} times −∞", color=GREY, fontsize=8, **place)
    axes.set_xlim(0, len(value) + 1)
    axes.set_xlabel("exponent number")
    axes.set_title("Lyapunov spectrum")


def _label_ends(axes: Any, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names beside the ends of curves, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    log = axes.get_yscale() == "log"
    scale = math.log if log else float
    a, b = scale(low), scale(high)
    places = sorted(
        (min(max((scale(max(y, low)) - a) / (b - a), 0.02), 0.98), name, colour) for y, name, colour in ends
    )
    spots: list[float] = []
    for at, _, _ in places:
        spots.append(max(at, spots[-1] + 0.095) if spots else at)
    over = max(spots[-1] - 0.98, 0.0) if spots else 0.0
    for spot, (_, name, colour) in zip(spots, places, strict=True):
        axes.annotate(
            name,
            (1.0, spot - over),
            xycoords="axes fraction",
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=colour,
            annotation_clip=False,
        )
