"""Run the catalogue and judge it: `python -m analysis [run | judge]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sdewm.claims import Row
from sdewm.claims.claim import BUDGETS
from sdewm.claims.module import catalogue_of
from sdewm.claims.runner import judge, run, table
from sdewm.claims.verdicts import write_verdicts
from sdewm.exceptions import SdewmError, WorkFailed
from sdewm.run import Store
from sdewm.run.blocks import default_workers
from sdewm.run.cluster import cluster

from . import CATALOGUE, agents, models

# What takes an hour and more is judged from the records that come with the project.
RECORDED = (
    (models.MODELS, models.RECORDS, models.COMMAND),
    (agents.AGENTS, agents.RECORDS, agents.COMMAND),
)

UNFINISHED = 3


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 if all is as expected, 1 if not, 2 for a wrong argument, 3 if work failed, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("all", "run", "judge"), default="all")
    parser.add_argument("--claims", nargs="+", metavar="ID", help="only these claims, e.g. X3 X7")
    parser.add_argument(
        "--module",
        metavar="NAME",
        help="run the claims of your own module, named CATALOGUE there, in place of the paper's; it is imported",
    )
    parser.add_argument("--budget", choices=tuple(BUDGETS), default="standard")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--dask", metavar="ADDRESS", help="work on the cluster of this scheduler, e.g. tcp://host:8786")
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="end a cell that takes longer, and try it again"
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    given = parser.parse_args(arguments)
    try:
        catalogue = CATALOGUE if given.module is None else catalogue_of(given.module)
    except SdewmError as error:
        parser.error(str(error))
    recorded = RECORDED if given.module is None else ()
    known = sorted({row.claim.id for row in (*catalogue, *(row for rows, _, _ in recorded for row in rows))})
    unknown = set(given.claims or ()) - set(known)
    if unknown:
        parser.error(f"--claims: unknown {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    rows = [row for row in catalogue if not given.claims or row.claim.id in given.claims]
    failed: WorkFailed | None = None
    try:
        store = Store(given.results / "records")
        if given.what in ("all", "run"):
            failed = _run(rows, store, given)
        if given.what == "run":
            return _report(failed)
        lines = judge(rows, store, budget=given.budget, seed=given.seed)
        for part, place, command in recorded:
            chosen = [row for row in part if not given.claims or row.claim.id in given.claims]
            lines += [{**line, "command": command} for line in judge(chosen, Store(place))]
        write_verdicts(lines, given.results / "verdicts.json", budget=given.budget, seed=given.seed)
    except SdewmError as error:
        print(f"analysis: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; finished cells are kept, the same command goes on from there", file=sys.stderr)
        return 130
    print(table(lines))
    wrong = [line for line in lines if line["as expected"] is False]
    for line in wrong:
        print(f"not as expected: {line['claim']} {line['case']}: {line['verdict']['reason']}", file=sys.stderr)
    return _report(failed) or (1 if wrong else 0)


def _report(failed: WorkFailed | None) -> int:
    """List what could not be computed, last of all, so that it is seen."""
    if failed is None:
        return 0
    print(f"analysis: {failed}", file=sys.stderr)
    return UNFINISHED


def _run(rows: Sequence[Row], store: Store, given: argparse.Namespace) -> WorkFailed | None:
    """Do the work here or on a cluster; return what failed."""
    module = "" if given.module is None else f" --module {given.module}"
    again = f"python -m analysis run --claims {{claim}} --budget {given.budget} --seed {given.seed}{module}"
    common = {"budget": given.budget, "seed": given.seed, "timeout": given.timeout, "command": again}
    try:
        if given.dask is None:
            run(rows, store, count=given.workers, **common)
        else:
            with cluster(given.dask) as (executor, threads):
                # With a time limit no more than is worked on at once: it counts from handing over.
                run(rows, store, executor, count=threads if given.timeout is not None else 2 * threads, **common)
    except WorkFailed as failed:
        return failed
    return None


if __name__ == "__main__":
    sys.exit(main())
