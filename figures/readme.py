"""The README's picture and table of verdicts, and the record that they are held to: `python -m figures.readme`."""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sdewm.claims import read_verdicts
from sdewm.claims.settled import settled
from sdewm.exceptions import InvalidArgument, SdewmError
from sdewm.run.store import write_whole

from .sections import RECORDS

ROOT = Path(__file__).parents[1]
README, RECORD = ROOT / "README.md", RECORDS / "verdicts.json"
PICTURE, DRAWN = ROOT / "docs" / "_static" / "zero-drift.png", "X7.png"
BEGIN, END = "<!-- verdicts: made by python -m figures.readme -->\n", "<!-- end of verdicts -->\n"
GROUPS = ("X", "D", "S", "B", "L", "E")
OUTCOMES = ("holds", "violated", "inconclusive", "hypothesis fails", "numerical failure")


def condensed(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the table needs of the verdicts."""
    return [
        {
            **{key: line[key] for key in ("claim", "title", "case", "expected", "power")},
            "outcome": line["verdict"]["outcome"],
            "interval": line["verdict"]["interval"],
            "control": line["control"]["outcome"],
        }
        for line in lines
    ]


def verdict_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """One row a claim in Markdown: how many of its cases have come to what.

    Args:
        lines: as `condensed` makes them.
    """
    found = [{**line, "came to": _settled(line)} for line in lines]
    seen = [name for name in OUTCOMES if any(line["came to"] == name for line in found)]
    rows = [f"| claim | says | {' | '.join(seen)} |", "|---|---|" + "---|" * len(seen)]
    for claim in sorted({line["claim"] for line in found}, key=_order):
        own = [line for line in found if line["claim"] == claim]
        counts = [sum(line["came to"] == name for line in own) for name in seen]
        cells = [claim, own[0]["title"], *(str(count) if count else " " for count in counts)]
        rows.append(f"| {' | '.join(cells)} |")
    claims = len({line["claim"] for line in found})
    weak = sum(line["came to"] != line["outcome"] for line in found)
    legend = f"{len(lines)} cases of {claims} claims: how many have come to what."
    legend += f" {weak} are inconclusive because their control did not come out the other way." if weak else ""
    return "\n".join([*rows, "", legend, ""])


def _settled(line: Mapping[str, Any]) -> str:
    return settled({"verdict": {"outcome": line["outcome"]}, "control": {"outcome": line["control"]}})


def _order(claim: str) -> tuple[int, int, str]:
    """X before D, S, B, L and E, and X2 before X10."""
    group, number, rest = re.fullmatch(r"(\D+)(\d+)(.*)", claim).groups()  # type: ignore[union-attr]
    return GROUPS.index(group) if group in GROUPS else len(GROUPS), int(number), rest


def replaced(readme: str, table: str) -> str:
    """The README with this table between its marks.

    Raises:
        InvalidArgument: it has no marks.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise InvalidArgument(f"README.md must have the lines {BEGIN.strip()!r} and {END.strip()!r}, once each.")
    return re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: BEGIN + table + END, readme, flags=re.DOTALL)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 where there is nothing to make it from."""
    parser = argparse.ArgumentParser(prog="python -m figures.readme", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--report", type=Path, default=Path("report"))
    given = parser.parse_args(arguments)
    try:
        found = read_verdicts(given.results / "verdicts.json")
        if (found.get("budget"), found.get("seed")) != ("standard", 0):
            raise InvalidArgument(
                "the README shows the standard budget and seed 0; run python -m analysis without more."
            )
        picture = given.report / DRAWN
        if not picture.is_file():
            raise InvalidArgument(f"{picture} is not there; python -m figures makes it.")
        lines = condensed(found["verdicts"])
        text = replaced(README.read_text(encoding="utf-8"), verdict_table(lines))
    except SdewmError as error:
        print(f"figures.readme: {error}", file=sys.stderr)
        return 2
    record = {"budget": found.get("budget"), "seed": found.get("seed"), "verdicts": lines}
    write_whole(RECORD, (json.dumps(record, indent=0, ensure_ascii=False) + "\n").encode())
    write_whole(PICTURE, picture.read_bytes())
    write_whole(README, text.encode())
    for path in (RECORD, PICTURE, README):
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
