"""What was aimed at, what was reached, and what bounds it: measured in the same run."""

from collections.abc import Iterator, Mapping
from typing import Any

OWN, LIMIT = "sdewm, compiled", "limit: normals"
PRODUCTS, FLOOR = "limit: normals + products", "torch's floor: products and sin, tanh too"
# Of a row, the least fraction of the speed of a limit.
ROWS = {
    "pair, cubic": (LIMIT, 0.75),
    "pair, geometric": (LIMIT, 0.75),
    "variations": (LIMIT, 0.60),
    "network": (PRODUCTS, 0.65),
}
MEBIBYTES, WORKERS, PENALTY, IMPORT = 400.0, 1.85, 1.8, 1.5


# What, the goal, what was measured, whether that reaches it, and what the machine or torch leave to be had.
Goal = tuple[str, str, str, str, str]


def goals(result: Mapping[str, Any]) -> list[Goal]:
    """One row a goal, as far as it was measured."""
    return [
        *_rows(result["rows"]),
        *_memory(result["memory"]),
        *_workers(result),
        *_penalty(result.get("penalty", {})),
        *_import(result.get("import", {})),
    ]


def goal_lines(result: Mapping[str, Any]) -> list[str]:
    """The same as lines of text."""
    lines = [
        f"  {what:44s}{goal:>10s}{value:>8s}  {met:8s} {bound}".rstrip()
        for what, goal, value, met, bound in goals(result)
    ]
    return ["", "Goals, what was reached, and what bounds it in the same run", *lines] if lines else []


def _line(what: str, goal: str, value: float, met: bool, bound: str = "") -> Goal:
    return what, goal, f"{value:.2f}", "reached" if met else "missed", bound


def _rows(rows: list[Mapping[str, Any]]) -> Iterator[Goal]:
    for row in rows:
        if row["row"] not in ROWS:
            continue
        of, goal = ROWS[row["row"]]
        speed = {peer["peer"]: 1.0 / peer["ns"]["min"] for peer in row["peers"] if "ns" in peer}
        if not {OWN, of} <= set(speed):
            continue
        value, bound = speed[OWN] / speed[of], ""
        if FLOOR in speed and of == LIMIT:
            bound = f"normals, and the sines and products alone in torch: {speed[FLOOR] / speed[of]:.2f}"
        yield _line(
            f"{row['row']}, fraction of {of.removeprefix('limit: ')}", f">= {goal:g}", value, value >= goal, bound
        )


def _memory(memory: Mapping[str, Any]) -> Iterator[Goal]:
    peaks = [run["mib"] for run in memory.get("runs", ()) if "mib" in run]
    if peaks:
        floor = f"of which a run of few paths needs {peaks[0]:.0f}"
        yield _line("peak memory, MiB", f"<= {MEBIBYTES:g}", max(peaks), max(peaks) <= MEBIBYTES, floor)


def _workers(result: Mapping[str, Any]) -> Iterator[Goal]:
    for key in ("workers", "workers, compiled"):
        found = result.get(key) or {}
        if len(found.get("counts", ())) < 2:
            continue
        value, count = found["throughput_ratio"], found["counts"][-1]
        goal = WORKERS * count / 2.0
        bound = f"by CPU time {found['throughput_ratio_by_cpu']:.2f}, drawing alone {found['machine_ratio_by_cpu']:.2f}"
        how = "compiled" if found.get("compiled") else "not compiled"
        yield _line(f"{count} workers against one, {how}", f">= {goal:g}", value, value >= goal, bound)


def _penalty(penalty: Mapping[str, Any]) -> Iterator[Goal]:
    rows: Mapping[str, Any] = penalty.get("maps", {}).get("gru", {})
    for label in ("one probe", "closed form (GRUMap)"):
        if label in rows:
            row, plain = rows[label], rows["no penalty"]
            value = row["ratio, x plain"]
            bound = f"matrix products alone: {row['products, x plain'] / plain['products, x plain']:.2f}"
            yield _line(f"GRU, step with penalty, {label}", f"<= {PENALTY:g}", value, value <= PENALTY, bound)


def _import(measured: Mapping[str, Any]) -> Iterator[str]:
    if "ratio" in measured:
        value = measured["ratio"]
        bound = f"import torch takes {min(measured['seconds']['torch']):.2f} s"
        yield _line("import sdewm / import torch", f"<= {IMPORT:g}", value, value <= IMPORT, bound)
