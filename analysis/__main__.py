"""Run the catalogue and judge it: `python -m analysis [run | judge]`."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from sdewm.claims import Row
from sdewm.claims.claim import BUDGETS
from sdewm.claims.runner import judge, run, table, write_verdicts
from sdewm.exceptions import InvalidArgument, SdewmError
from sdewm.run import Store
from sdewm.run.blocks import default_workers

from . import CATALOGUE, models

# What takes an hour and more is judged from the records that come with the project.
RECORDED = ((models.MODELS, models.RECORDS, models.COMMAND),)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 if every verdict is as expected, 1 if not, 2 for a wrong argument, 130 if interrupted."""
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
    parser.add_argument("--results", type=Path, default=Path("results"))
    given = parser.parse_args(arguments)
    try:
        catalogue = CATALOGUE if given.module is None else _catalogue(given.module)
    except SdewmError as error:
        parser.error(str(error))
    recorded = RECORDED if given.module is None else ()
    known = sorted({row.claim.id for row in (*catalogue, *(row for rows, _, _ in recorded for row in rows))})
    unknown = set(given.claims or ()) - set(known)
    if unknown:
        parser.error(f"--claims: unknown {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    rows = [row for row in catalogue if not given.claims or row.claim.id in given.claims]
    try:
        store = Store(given.results / "records")
        if given.what in ("all", "run"):
            run(rows, store, budget=given.budget, seed=given.seed, count=given.workers)
        if given.what == "run":
            return 0
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
    return 1 if wrong else 0


def _catalogue(name: str) -> Sequence[Row]:
    """The rows of somebody's own module.

    Raises:
        InvalidArgument: it cannot be imported, or has no rows.
    """
    try:
        found = getattr(importlib.import_module(name), "CATALOGUE", None)
    except ImportError as error:
        raise InvalidArgument(f"--module: {name!r} cannot be imported ({error}); run from its directory.") from error
    rows = tuple(found) if isinstance(found, Sequence) else ()
    if not rows or not all(isinstance(row, Row) for row in rows):
        raise InvalidArgument(
            f"--module: {name!r} must have a CATALOGUE, a sequence of sdewm.claims.Row, got {found!r}."
        )
    return rows


if __name__ == "__main__":
    sys.exit(main())
