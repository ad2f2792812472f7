"""Draw the figures and write the report: `python -m figures [CLAIM ...]`."""

import argparse
import json
import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, final

from sdewm.claims import read_verdicts
from sdewm.claims.report import write_report
from sdewm.claims.style import style
from sdewm.exceptions import InvalidArgument, SdewmError
from sdewm.run import Record, Store
from sdewm.run.store import write_whole

from . import FIGURES
from .agents.table import agent_tables
from .bounds.tightness import draw_tightness, tightness_table
from .cost import draw_cost_curves, draw_tolerance
from .findings import findings
from .kit import Cases, Drawing
from .models.table import as_csv, as_text, learned_tables

RECORDS = Path(__file__).parents[1] / "analysis" / "records"
NOTATION = (
    "Notation. Base dx⁰ = g dt + ḡ dB; with an error of size ε: dx^ε = (g + εσ) dt + ḡ dB + ε σ̄ dW, x^ε(0) = x₀ + "
    "εη; ρ is the correlation of B and W (shared: W = B). y₁ = dx^ε/dε and y₂ = ½ d²x^ε/dε² at ε = 0. R = E ℓ(x^ε) − "
    "E ℓ(x⁰) = εP + ε²(Q + S/2) + O(ε³), with p = ∇ℓᵀy₁ and c = ∇ℓᵀy₂ + ½ y₁ᵀ∇²ℓ y₁ for each path, P = E p and Q + S/2 "
    "= E c. P′, Q′, S′ are the paper's, as reconstructed. G_k = Dḡ_k; Φ(t, r) is the Jacobian of the rollout from r to "
    "t, and Φξ̃ the first-order response to the error. A missing coefficient is what a form leaves over, extrapolated "
    "to ε = 0."
)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 where there is nothing to draw from."""
    parser = argparse.ArgumentParser(prog="python -m figures", description=__doc__)
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help="only these claims, e.g. X3")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, default=Path("report"))
    given = parser.parse_args(arguments)
    try:
        verdicts = read_verdicts(given.results / "verdicts.json")
    except InvalidArgument as error:
        print(f"figures: {error} python -m analysis makes it.", file=sys.stderr)
        return 2
    known = list(dict.fromkeys(line["claim"] for line in verdicts["verdicts"]))
    unknown = [claim for claim in given.claims if claim not in known]
    if unknown:
        print(f"figures: no verdict for {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    last = ""
    try:
        store = _Stores((Store(given.results / "records"), Store(RECORDS / "models"), Store(RECORDS / "agents")))
        drawn: dict[str, tuple[Path, str]] = {}
        made: dict[str, dict[str, Any]] = {}
        for claim in given.claims or known:
            cases = _cases(claim, verdicts["verdicts"], store)
            made[claim] = _made(cases)
            if claim in FIGURES and all(records for _, records in cases.values()):
                drawn[claim] = _save(claim, FIGURES[claim](cases), given.out)
        if not given.claims:
            page = write_report(
                given.out,
                verdicts,
                drawn,
                made,
                command="python -m analysis --claims {claim} "
                f"--budget {verdicts.get('budget', 'standard')} --seed {verdicts.get('seed', 0)}",
                notation=NOTATION,
                appendix=[
                    *_findings(verdicts),
                    *_tightness(verdicts, store, given.out),
                    *_learned(verdicts, store, given.out),
                    *_agents(verdicts, store, given.out),
                    *_text_of("pilot-agents", "Agents: doses and weights, on seeds that are not judged", given.results),
                    *_costs(given.results, given.out),
                    *_text_of("faults", "Faults injected and survived", given.results),
                ],
            )
            last = f"report: {page.resolve()}"
    except SdewmError as error:
        print(f"figures: {error}", file=sys.stderr)
        return 2
    for claim, (figure, _) in drawn.items():
        print(f"figure {claim}: {figure}")
    if last:
        print(last)
    return 0


@final
@dataclass(frozen=True)
class _Stores:
    """The records of a run, and those that come with the project."""

    places: tuple[Store, ...]

    def read(self, name: str) -> Record | None:
        """The record of this name in the first place that has it."""
        return next((record for place in self.places if (record := place.read(name)) is not None), None)


def _findings(verdicts: dict[str, Any]) -> list[tuple[str, str, None]]:
    """The paper's claims about training, a paragraph each."""
    text = findings(verdicts["verdicts"])
    return [("What the paper's empirical claims come to here", text, None)] if text else []


def _tightness(verdicts: dict[str, Any], store: _Stores, out: Path) -> list[tuple[str, str, tuple[Path, str] | None]]:
    """How tight the bounds are, from the records of B3 where it was run."""
    cases = _cases("B3", verdicts["verdicts"], store)
    if not cases or not all(records for _, records in cases.values()):
        return []
    return [("How tight the bounds are", tightness_table(cases), _save("tightness", draw_tightness(cases), out))]


def _learned(verdicts: dict[str, Any], store: _Stores, out: Path) -> list[tuple[str, str, tuple[Path, str] | None]]:
    """Tables of the models that were trained on many seeds, also as CSV."""
    cases = _cases("L4", verdicts["verdicts"], store)
    if not cases or not all(records for _, records in cases.values()):
        return []
    tables = learned_tables(cases)
    for number, rows in enumerate(tables.values(), 1):
        write_whole(out / f"learned-models-{number}.csv", as_csv(rows).encode())
    return [("Trained models", as_text(tables), None)]


def _agents(verdicts: dict[str, Any], store: _Stores, out: Path) -> list[tuple[str, str, tuple[Path, str] | None]]:
    """Tables of the agents, also as CSV."""
    cases = _cases("E3-agent", verdicts["verdicts"], store)
    if not cases or not all(records for _, records in cases.values()):
        return []
    tables = agent_tables(cases)
    for number, rows in enumerate(tables.values(), 1):
        write_whole(out / f"agents-{number}.csv", as_csv(rows).encode())
    return [("Agents", as_text(tables), None)]


def _costs(results: Path, out: Path) -> list[tuple[str, str, tuple[Path, str] | None]]:
    """What was measured of the engine and of the estimators: by `make bench` here, else as it is on record."""
    sections: list[tuple[str, str, tuple[Path, str] | None]] = []
    for name, title, draw in (
        ("bench", "How cost grows", draw_cost_curves),
        ("estimators", "Cost against tolerance", draw_tolerance),
    ):
        place = next((p for p in (results / f"{name}.json", RECORDS / f"{name}.json") if p.exists()), None)
        if place is not None:
            found = _json(place)
            try:
                drawing = draw(found)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise InvalidArgument(f"{place} is of another version ({error!r}); make it again.") from error
            sections.append((title, str(found.get("table", "")), _save(f"cost-{name}", drawing, out)))
    return sections


def _text_of(name: str, title: str, results: Path) -> list[tuple[str, str, None]]:
    """A table of text: as it was made here, else as it is on record."""
    place = next((p for p in (results / f"{name}.json", RECORDS / f"{name}.json") if p.exists()), None)
    return [] if place is None else [(title, str(_json(place).get("table", "")), None)]


def _json(path: Path) -> dict[str, Any]:
    """What a benchmark or a pilot has written.

    Raises:
        InvalidArgument: it is something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidArgument(
            f"{path} cannot be read ({type(error).__name__}); take it away or make it again."
        ) from error
    if not isinstance(found, dict):
        raise InvalidArgument(f"{path} is not what it should be, a JSON object; take it away or make it again.")
    return found


def _cases(claim: str, lines: list[dict[str, Any]], store: _Stores) -> Cases:
    cases = {}
    for line in lines:
        if line["claim"] == claim:
            found = [store.read(name) for name in line["records"]]
            cases[line["case"]] = (line, [record for record in found if record is not None])
    return cases


def _made(cases: Cases) -> dict[str, Any]:
    records = [record for _, found in cases.values() for record in found]
    if not records:
        return {}
    facts = {key: value for key, value in records[0].made.items() if key not in ("seconds", "at")}
    settings = {case: dict(found[0].key["settings"]) for case, (_, found) in cases.items() if found}
    return {
        **facts,
        "settings": "; ".join(f"{case}: {values}" for case, values in settings.items()),
        "records": ", ".join(record.name for record in records),
        "computing time": f"{sum(float(r.made.get('seconds', 0.0)) for r in records):.1f} s",
    }


def _save(claim: str, drawing: Drawing, place: Path) -> tuple[Path, str]:
    with style():
        for suffix in ("png", "pdf", "svg"):
            buffer = BytesIO()
            # No dates in the files: the same records give the same bytes.
            metadata = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[suffix]
            drawing.figure.savefig(buffer, format=suffix, metadata=metadata)
            write_whole(place / f"{claim}.{suffix}", buffer.getvalue())
    write_whole(place / f"{claim}.json", (json.dumps(drawing.data, indent=1, default=float) + "\n").encode())
    return place / f"{claim}.png", drawing.caption


if __name__ == "__main__":
    sys.exit(main())
