"""sdewm claims run: somebody's module of claims."""

import shlex
from pathlib import Path
from typing import Any

import click

from ..exceptions import InvalidArgument
from .codes import OK, OTHER
from .shared import answer, as_json, budget_option, results_option, workers_option
from .things import look_here


@click.group("claims")
def command() -> None:
    """Run and judge a module of claims."""


@command.command("run")
@click.argument("module")
@click.option("--claims", "only", multiple=True, metavar="ID", help="Only this claim; may be given several times.")
@budget_option
@click.option("--seed", type=int, default=0, show_default=True, help="Of every claim's noise.")
@workers_option
@click.option("--dask", metavar="ADDRESS", help="Work on the cluster of this scheduler, e.g. tcp://host:8786.")
@click.option("--minutes", type=float, help="Begin nothing that is likely to end later than this.")
@click.option("--timeout", type=float, metavar="SECONDS", help="End a cell that takes longer, and try it again.")
@results_option
@as_json
def run_module(module: str, only: tuple[str, ...], results: Path, as_json: bool, **given: Any) -> int:
    """Run and judge a module's CATALOGUE.

    MODULE is imported; records and verdicts.json are written to RESULTS. It can be stopped anywhere: the same command
    goes on from there. Exit code 1 if a verdict is not as expected.

    \b
    Example:
      sdewm claims run my_claims --budget quick --workers 2
    """
    from ..claims import judge, run, write_verdicts
    from ..claims.module import catalogue_of
    from ..claims.runner import table
    from ..run import Store
    from ..run.cluster import cluster

    look_here()
    catalogue = catalogue_of(module, "MODULE")
    known = [row.claim.id for row in catalogue]
    if unknown := [each for each in only if each not in known]:
        raise InvalidArgument(f"--claims: unknown {', '.join(unknown)}; known are {', '.join(known)}.")
    rows = [row for row in catalogue if not only or row.claim.id in only]
    store, dask, budget, seed = Store(results / "records"), given["dask"], given["budget"], given["seed"]
    again = f"sdewm claims run {shlex.quote(module)} --claims {{claim}} --budget {budget} --seed {seed}"
    common = {name: given[name] for name in ("budget", "seed", "minutes", "timeout")}
    if dask is None:
        run(rows, store, count=given["workers"], command=again, **common)
    else:
        with cluster(dask) as (executor, threads):
            run(rows, store, executor, count=threads, command=again, **common)
    lines = [
        {**line, "command": again.format(claim=shlex.quote(line["claim"]))}
        for line in judge(rows, store, budget=budget, seed=seed)
    ]
    write_verdicts(lines, results / "verdicts.json", budget=budget, seed=seed)
    answer(lines, table(lines), as_json)
    return OTHER if any(line["as expected"] is False for line in lines) else OK
