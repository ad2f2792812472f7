"""sdewm report: a page of verdicts."""

from pathlib import Path

import click

from .shared import answer, as_json


@click.command("report")
@click.option("--results", type=click.Path(file_okay=False, path_type=Path), default=Path("results"), show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("report"), show_default=True)
@click.option(
    "--figures", type=click.Path(file_okay=False, path_type=Path), help="Where CLAIM.png lie, by default OUT."
)
@as_json
def command(results: Path, out: Path, figures: Path | None, as_json: bool) -> None:
    """Write OUT/index.html, one page without network, from RESULTS/verdicts.json; figures CLAIM.png are embedded.

    In a checkout of this project, `python -m figures` draws the paper's claims first.

    \b
    Example:
      sdewm report --results results --out report
    """
    from ..claims import read_verdicts
    from ..claims.report import write_report

    verdicts = read_verdicts(results / "verdicts.json")
    place = out if figures is None else figures
    claims = dict.fromkeys(str(line["claim"]) for line in verdicts["verdicts"])
    # A claim's name is free text, and must not lead out of the directory.
    drawn = {name: (place / f"{name}.png", "") for name in claims if Path(name).name == name}
    there = {name: found for name, found in drawn.items() if found[0].is_file()}
    page = write_report(out, verdicts, there, {}, command="sdewm claims run MODULE --claims {claim}").resolve()
    answer({"report": str(page)}, str(page), as_json)
