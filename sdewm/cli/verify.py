"""sdewm verify-records: records computed again."""

from pathlib import Path

import click

from ..exceptions import InvalidArgument
from .codes import OK, OTHER
from .shared import answer, as_json, budget_option, results_option
from .things import look_here


@click.command("verify-records")
@click.argument("module")
@results_option
@click.option("--sample", type=int, default=5, show_default=True, help="How many records.")
@click.option("--draw", type=int, default=0, show_default=True, help="Seed of the sample.")
@click.option("--claims", "only", multiple=True, metavar="ID", help="Only this claim; may be given several times.")
@budget_option
@click.option("--seed", type=int, default=0, show_default=True, help="Of the run that made the records.")
@as_json
def command(
    module: str,
    results: Path,
    sample: int,
    draw: int,
    only: tuple[str, ...],
    budget: str,
    seed: int,
    as_json: bool,
) -> int:
    """Compute a random sample of the records of MODULE again and compare to the bit; exit code 1 if one differs.

    \b
    Example:
      sdewm verify-records my_claims --budget quick --sample 3
    """
    from ..claims.module import catalogue_of
    from ..claims.verify import verify
    from ..run import Store

    look_here()
    rows = [row for row in catalogue_of(module, "MODULE") if not only or row.claim.id in only]
    place = results / "records"
    if not place.is_dir():
        raise InvalidArgument(f"--results: there are no records in {place}.")
    said = (lambda one: None) if as_json else lambda one: click.echo(str(one))
    found = verify(rows, Store(place), sample=sample, draw=draw, budget=budget, seed=seed, said=said)
    wrong = sum(bool(one.difference) for one in found)
    lines = [{"record": one.name, "claim": one.claim, "difference": one.difference} for one in found]
    text = f"{len(found)} records computed again, {len(found) - wrong} equal to the bit"
    answer({"records": lines, "equal": len(found) - wrong}, text, as_json)
    return OTHER if wrong else OK
