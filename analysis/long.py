"""The command of claims whose records take long: run in pieces, judge, compare."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sdewm.claims import Row
from sdewm.claims.claim import BUDGETS
from sdewm.claims.runner import judge, remaining, run, table
from sdewm.claims.verdicts import write_verdicts
from sdewm.exceptions import SdewmError, WorkFailed
from sdewm.run import Store
from sdewm.run.blocks import default_workers

UNFINISHED = 3


def command(
    catalogue: Sequence[Row], arguments: Sequence[str] | None, *, name: str, description: str, results: Path
) -> int:
    """Run and judge claims from a store of their own.

    Args:
        catalogue: rows.
        arguments: of the command line.
        name: of the module, such as "analysis.models".
        description: for `--help`.
        results: where records are kept unless the command line says otherwise.

    Returns:
        Exit code 0 if all is as expected, 1 if not, 2 for a wrong argument, 3 if unfinished, 130 if interrupted.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    parser.add_argument("what", nargs="?", choices=("all", "run", "judge"), default="all")
    parser.add_argument("--claims", nargs="+", metavar="ID", help=f"only these claims, e.g. {catalogue[-1].claim.id}")
    parser.add_argument("--budget", choices=tuple(BUDGETS), default="standard")
    parser.add_argument("--minutes", type=float, help="begin nothing that is likely to end later than this")
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--results", type=Path, default=results)
    given = parser.parse_args(arguments)
    known = [row.claim.id for row in catalogue]
    unknown = set(given.claims or ()) - set(known)
    if unknown:
        parser.error(f"--claims: unknown {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    rows = [row for row in catalogue if not given.claims or row.claim.id in given.claims]
    try:
        store = Store(given.results / "records")
        if given.what in ("all", "run"):
            again = f"python -m {name} run --claims {{claim}} --budget {given.budget}"
            run(rows, store, budget=given.budget, count=given.workers, minutes=given.minutes, command=again)
        if remaining(rows, store, budget=given.budget):
            return UNFINISHED
        if given.what == "run":
            return 0
        lines = judge(rows, store, budget=given.budget)
        write_verdicts(lines, given.results / "verdicts.json", budget=given.budget, seed=0)
    except SdewmError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return UNFINISHED if isinstance(error, WorkFailed) else 2
    except KeyboardInterrupt:
        print("\ninterrupted; what is finished is kept, the same command goes on from there", file=sys.stderr)
        return 130
    print(table(lines))
    return 1 if any(line["as expected"] is False for line in lines) else 0
