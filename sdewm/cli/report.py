"""sdewm report: a page of verdicts."""

import json
from pathlib import Path
from typing import Any

import click

from .shared import answer, as_json, results_option

# Mappings in each other have titles of as many words; a figure's have three or four.
DEEPEST = 20


@click.command("report")
@results_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("report"),
    show_default=True,
    help="Where to write the page.",
)
@click.option(
    "--figures", type=click.Path(file_okay=False, path_type=Path), help="Where the figures lie, by default OUT."
)
@as_json
def command(results: Path, out: Path, figures: Path | None, as_json: bool) -> None:
    """Write OUT/index.html, one page without network, from RESULTS/verdicts.json.

    Figures CLAIM.svg, or else CLAIM.png, are embedded, and the numbers of CLAIM.json beside them are shown as tables.

    In a checkout of this project, `python -m figures` draws the paper's claims first.

    \b
    Example:
      sdewm report --results results --out report
    """
    from ..claims import read_verdicts
    from ..claims.report import Picture, write_report

    file = results / "verdicts.json"
    verdicts = read_verdicts(file)
    place = out if figures is None else figures
    claims = dict.fromkeys(str(line["claim"]) for line in verdicts["verdicts"])
    # A claim's name is free text, and must not lead out of the directory.
    names = [name for name in claims if Path(name).name == name]
    drawn = [(name, place / f"{name}{suffix}") for suffix in (".png", ".svg") for name in names]
    there = {name: Picture(path, data=_numbers(path)) for name, path in drawn if path.is_file()}
    judged = file.stat().st_mtime_ns
    for picture in there.values():
        if picture.path.stat().st_mtime_ns < judged:
            # It may show what has been judged otherwise since.
            click.echo(f"{picture.path.name} is older than {file.name}", err=True)
    page = write_report(out, verdicts, there, {}, command="sdewm claims run MODULE --claims {claim}").resolve()
    answer({"report": str(page)}, str(page), as_json)


def _numbers(picture: Path) -> dict[str, Any]:
    """What lies beside a picture, if it is a mapping of numbers that can be shown."""
    from ..claims.verdicts import LARGEST, check_values

    try:
        with picture.with_suffix(".json").open("rb") as file:
            found = json.loads(file.read(LARGEST + 1))
        check_values(found, DEEPEST)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
