"""A divergence as text: a table, and what it says in sentences."""

import math

import numpy as np

from ... import output
from .injection import LAWS
from .result import Bounds, Curve, Divergence
from .spread import Array, Band

_CLOSE = 0.01
# An interval that holds a law and is within this factor of it is like it.
_ALIKE = 1.25


def table(d: Divergence) -> str:
    """All curves at the horizon, Jacobian norms, exponents, bounds and flags."""
    rows = _rows(d)
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([_title(d), *lines, *_lines(d), *(f"note: {flag}" for flag in d.flags)])


def html_table(d: Divergence) -> str:
    """The same for a notebook."""
    head, *rows = _rows(d)
    return output.table(_title(d), head, rows, (*_lines(d), *d.flags))


def _rows(d: Divergence) -> list[tuple[str, ...]]:
    """The head of the table, and a row for each curve."""
    after = f"after {d.horizon}"
    head: tuple[str, ...] = (
        "error",
        "unit",
        "size",
        "after 1 step",
        after,
        "growth",
        "law",
        "measured / predicted",
        "",
    )
    reads = any(c.read is not None for c in d.curves)
    head = (*head, "read-out") if reads else head
    rows = [head]
    for c in d.curves:
        rows.append(
            (
                c.kind,
                c.unit,
                f"{c.size:g}",
                f"{c.error.value[1]:.3g}",
                f"{c.error.value[-1]:.3g}",
                "rounding" if c.lost is not None else _at_end(c.growth),
                f"{c.law[-1]:.3g}",
                "" if c.ratio is None else _at_end(c.ratio),
                "" if c.within is None else f"first order {_where(d, c)}",
                *(() if c.read is None else (_at_end(c.read),)),
            )
        )
    return rows


def _lines(d: Divergence) -> list[str]:
    """What is said below the table."""
    lines = []
    for c in d.curves:
        if c.read is not None:
            first = "" if c.read_predicted is None else f", to first order {c.read_predicted.value[-1]:.3g}"
            lines.append(
                f"read-out, {c.kind}, {c.unit}, {c.size:g}: {c.read.value[1]:.3g} after 1 step, {_at_end(c.read)} "
                f"after {d.horizon}{first}"
            )
    if d.jacobians is not None:
        for unit, norms in d.jacobians.norms.items():
            parts = [f"{name} {s.mean.mean():.3g} (at most {s.largest.max():.3g})" for name, s in norms.items()]
            product = d.jacobians.product[unit].median[-1]
            lines.append(f"Jacobian, {unit}: {', '.join(parts)}; product of {d.horizon}: {product:.3g}")
        lines.append(f"Lyapunov exponents a step: {_exponents(d.jacobians.lyapunov)}")
    for b in d.bounds:
        # An error that has died out leaves nothing to compare with.
        if (last := _last(b)) is not None:
            ratios = [f"{name} {bound[last] / b.error[last]:.3g}" for name, bound in _bounds(b)]
            at = f"bound / error after {b.steps[last]:g}"
            lines.append(f"{at}, {b.kind}, {b.unit}, {b.size:g}: {', '.join(ratios)}")
    return lines


def explained(d: Divergence) -> str:
    """One sentence for each kind of error, in the last unit, at the smallest size, and what the rest adds."""
    unit = d.curves[-1].unit
    own = [c for c in d.curves if c.unit == unit]
    kinds = list(dict.fromkeys(c.kind for c in own))
    lines = [_title(d) + "."]
    for kind in kinds:
        curves = sorted((c for c in own if c.kind == kind), key=lambda c: c.size)
        lines.append(_sentence(d, curves))
    if d.jacobians is not None:
        leading = d.jacobians.lyapunov.value[0]
        lines.append(
            f"Perturbations of the state {'grow' if leading > 0.0 else 'shrink'} by {math.exp(leading):.4g} a step in "
            f"the leading direction (exponent {leading:.3g}), on average over {d.horizon} steps, and {_asleep(d)}."
        )
    for b in (b for b in d.bounds if b.unit == unit):
        if (last := _last(b)) is not None:
            ratios = [f"{bound[last] / b.error[last]:.3g} ({name})" for name, bound in _bounds(b)]
            lines.append(
                f"Bounds on {b.kind} after {b.steps[last]:g} steps, of {b.states} states, over the error: "
                f"{', '.join(ratios)}."
            )
    if d.bounds:
        lines.append(
            "The bounds hold path by path, with mean-value Jacobians, on the states that were looked at; 'largest' "
            "uses the largest norm that was seen, which is sampled: nothing here is certified."
        )
    lines += [f"Note: {flag}." for flag in d.flags]
    return "\n".join(lines)


def _title(d: Divergence) -> str:
    clusters = "" if d.clusters == d.states else f" in {d.clusters} groups"
    return (
        f"errors in {d.columns} of {d.dim} columns over {d.horizon} steps, {d.states} states{clusters}, {d.dtype}, "
        f"{d.level:.0%} intervals"
    )


def _sentence(d: Divergence, curves: list[Curve]) -> str:
    c = curves[0]
    value, low, high = c.growth.value[-1], c.growth.low[-1], c.growth.high[-1]
    law = c.law[-1]
    band = f"{value:.3g} [{low:.3g}, {high:.3g}]"
    name = {"initial": "An initial error", "zero drift": "A zero-drift error", "drift": "A drift error"}[c.kind]
    if c.lost is not None:
        said = f"{name} dies away into rounding by step {c.lost} ({c.unit})"
    else:
        verb = "grows to" if low > 1.0 + _CLOSE else "shrinks to" if high < 1.0 - _CLOSE else "stays near"
        of = "its size" if c.kind == "initial" else "one step's"
        said = f"{name} {verb} {band} times {of} over {d.horizon} steps ({c.unit})"
        if c.kind != "initial":
            said += f", {_against(low, high, law)} {LAWS[c.kind]} = {law:.3g}"
    if c.directions is not None and len(c.directions) > 1 and c.size > 0.0:
        ends = c.directions[:, -1] / c.size
        said += f", {ends.min():.3g} to {ends.max():.3g} by its direction"
    if c.within is not None:
        said += "; first order is " + ", ".join(f"{_where(d, each)} at size {each.size:g}" for each in curves)
        last = curves[-1]
        if last.agreeing is not None and last.within != d.horizon:
            said += f" (at the end, for {last.agreeing[-1]:.0%} of the states)"
    off = [f"{_at_end(each.read)} at size {each.size:g}" for each in curves if each.read is not None]
    if off:
        said += f"; the read-out is then off by {', '.join(off)}"
    return said + "."


def _against(low: float, high: float, law: float) -> str:
    if low > law * (1.0 + _CLOSE):
        return "faster than"
    if high < law * (1.0 - _CLOSE):
        return "slower than"
    return "like" if law / _ALIKE <= low and high <= law * _ALIKE else "not to be told from"


def _where(d: Divergence, c: Curve) -> str:
    within = f"within {d.tolerance:.0%}"
    if c.within == d.horizon:
        return f"{within} throughout"
    off = ", too few states to say more" if c.off is None else f", off from step {c.off}"
    return f"{within} up to step {max(c.within or 0, 0)}{off}"


def _at_end(band: Band) -> str:
    if math.isnan(band.value[-1]):
        return "–"
    return f"{band.value[-1]:.3g} [{band.low[-1]:.3g}, {band.high[-1]:.3g}]"


def _exponents(band: Band) -> str:
    finite = [k for k, value in enumerate(band.value) if math.isfinite(value)]
    shown = [f"{band.value[k]:.3g} [{band.low[k]:.3g}, {band.high[k]:.3g}]" for k in finite[:3]]
    more = f", … {band.value[finite[-1]]:.3g}" if len(finite) > 3 else ""
    none = len(band.value) - len(finite)
    return ", ".join(shown) + more + (f"; {none} are −∞" if none else "")


def _asleep(d: Divergence) -> str:
    assert d.jacobians is not None
    none = sum(not math.isfinite(value) for value in d.jacobians.lyapunov.value)
    return f"{none} of {d.dim} directions are forgotten, to rounding" if none else "no direction is forgotten"


def _last(b: Bounds) -> int | None:
    """The last of the bounds' steps at which the error is there."""
    alive = np.flatnonzero(b.error > 0.0)
    return int(alive[-1]) if len(alive) else None


def _bounds(b: Bounds) -> list[tuple[str, Array]]:
    return [("product", b.product), ("spectral", b.spectral), ("Frobenius", b.frobenius), ("largest", b.largest)]
