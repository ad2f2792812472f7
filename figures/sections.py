"""The sections of the report that follow the claims: findings, tightness, models, agents, benchmarks, faults."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sdewm.claims.report import Section, Table
from sdewm.exceptions import InvalidArgument
from sdewm.run.store import write_whole

from .agents.table import agent_tables
from .bounds.tightness import draw_tightness, tightness_rows
from .cost import draw_cost_curves, draw_tolerance
from .findings import findings
from .kit import Cases
from .models.table import as_csv, learned_tables
from .saved import save

RECORDS = Path(__file__).parents[1] / "analysis" / "records"


def found(lines: Sequence[Mapping[str, Any]]) -> list[Section]:
    """The paper's claims about training, a paragraph each."""
    text = findings(lines)
    return [Section("What the paper's empirical claims come to here", text)] if text else []


def tightness(cases: Cases, out: Path) -> list[Section]:
    """How tight the bounds are, from the records of B3."""
    if not _complete(cases):
        return []
    head, *rows = tightness_rows(cases)
    table = Table("Bound over RMS error, with 95 % intervals", head, rows)
    return [
        Section("How tight the bounds are", tables=[table], picture=save("tightness", draw_tightness(cases), out)),
    ]


def models(cases: Cases, out: Path) -> list[Section]:
    """Tables of the models that were trained on many seeds, also as CSV; from the records of L4."""
    return _tables("Trained models", "learned-models", learned_tables(cases), out) if _complete(cases) else []


def agents(cases: Cases, out: Path) -> list[Section]:
    """Tables of the agents, also as CSV; from the records of E3-agent."""
    return _tables("Agents", "agents", agent_tables(cases), out) if _complete(cases) else []


def _complete(cases: Cases) -> bool:
    return bool(cases) and all(records for _, records in cases.values())


def _tables(title: str, name: str, tables: Mapping[str, Sequence[Sequence[str]]], out: Path) -> list[Section]:
    for number, rows in enumerate(tables.values(), 1):
        write_whole(out / f"{name}-{number}.csv", as_csv([tuple(row) for row in rows]).encode())
    return [Section(title, tables=[Table(each, rows[0], rows[1:]) for each, rows in tables.items()])]


def costs(results: Path, out: Path) -> list[Section]:
    """What was measured of the engine and of the estimators: by `make bench` here, else as it is on record."""
    sections = []
    for name, title, draw, tables in (
        ("bench", "Benchmarks: the engine", draw_cost_curves, _engine),
        ("estimators", "Benchmarks: cost against tolerance", draw_tolerance, _estimators),
    ):
        place = _place(name, results)
        if place is not None:
            measured = _json(place)
            try:
                drawing, shown = draw(measured), tables(measured)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise InvalidArgument(f"{place} is of another version ({error!r}); make it again.") from error
            log = str(measured.get("table", ""))
            sections.append(Section(title, tables=shown, picture=save(f"cost-{name}", drawing, out), log=log))
    return sections


def _engine(bench: Mapping[str, Any]) -> list[Table]:
    """One table a problem, and the goals."""
    tables = []
    if bench.get("goals"):
        head = ("what", "goal", "measured", "", "what bounds it, in the same run")
        tables.append(Table("Goals, and what was reached", head, bench["goals"]))
    for row in bench.get("rows", ()):
        rows = []
        for peer in row["peers"]:
            if peer["status"] == "left out":
                continue
            if peer["status"] != "ok":
                rows.append((peer["peer"], "", "", f"{peer['status']}: {peer['reason']}"))
                continue
            ns, ratio = peer["ns"], peer.get("ratio_to_own") or {}
            beside = f"{ratio['median']:.2f} [{ratio['min']:.2f}, {ratio['max']:.2f}]" if ratio else ""
            limit = f"{peer['fraction_of_limit']:.2f}" if peer.get("fraction_of_limit") else ""
            rows.append((peer["peer"], f"{ns['min']:.2f} [{ns['low']:.2f}, {ns['high']:.2f}]", limit, beside))
        columns = (
            "package",
            "ns a normal: least [quartiles]",
            "of the limit",
            "time over sdewm's, eager: median [range]",
        )
        tables.append(Table(f"{row['title']} ({row['paths']} paths, {row['steps']} steps)", columns, rows))
    return tables


def _estimators(measured: Mapping[str, Any]) -> list[Table]:
    """One table a problem."""
    columns = ("half-width", "with pilot", "plain path-steps", "gain with pilot", "seconds", "gain in seconds")
    head = ("method", "relative half-width", "path-steps", "plain ones for it", "fewer by", "seconds", "faster by")
    return [
        Table(name, head, [(each["method"], *(f"{each[key]:.3g}" for key in columns)) for each in case["methods"]])
        for name, case in measured["problems"].items()
    ]


def faults(results: Path) -> list[Section]:
    """Faults that were injected and survived."""
    place = _place("faults", results)
    if place is None:
        return []
    measured, head = _json(place), ("fault", "rounds", "injected", "not survived", "finished cells computed again")
    rows = [
        (
            str(name),
            *(str(row.get(key, "")) for key in ("rounds", _injected(row), "failed", "finished cells computed again")),
        )
        for name, row in (measured.get("rows") or {}).items()
    ]
    tables = [Table(f"{measured.get('minutes', '')} minutes of faults", head, rows)] if rows else []
    return [Section("Faults injected and survived", tables=tables, log=str(measured.get("table", "")))]


def _injected(row: Mapping[str, Any]) -> str:
    return next((name for name in ("kills", "inputs", "faults injected") if name in row), "")


def text_of(name: str, title: str, results: Path) -> list[Section]:
    """A table of text: as it was made here, else as it is on record."""
    place = _place(name, results)
    return [] if place is None else [Section(title, log=str(_json(place).get("table", "")))]


def _place(name: str, results: Path) -> Path | None:
    return next((p for p in (results / f"{name}.json", RECORDS / f"{name}.json") if p.exists()), None)


def _json(path: Path) -> dict[str, Any]:
    """What a benchmark or a pilot has written.

    Raises:
        InvalidArgument: it is something else.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidArgument(
            f"{path} cannot be read ({type(error).__name__}); take it away or make it again."
        ) from error
    if not isinstance(read, dict):
        raise InvalidArgument(f"{path} is not what it should be, a JSON object; take it away or make it again.")
    return read
