"""Train the models of the claims about learned models, judge, compare: `python -m analysis.models [run | judge]`.

About an hour on two cores. It can be stopped anywhere and started again; `--minutes 45` stops by itself.
"""

import argparse
import sys
from pathlib import Path

from sdewm.claims.claim import BUDGETS
from sdewm.claims.runner import judge, remaining, run, table, write_verdicts
from sdewm.exceptions import SdewmError, WorkFailed
from sdewm.run import Store
from sdewm.run.blocks import default_workers

from . import MODELS

UNFINISHED = 3


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 if all is as expected, 1 if not, 2 for a wrong argument, 3 if unfinished, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="python -m analysis.models", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("all", "run", "judge"), default="all")
    parser.add_argument("--claims", nargs="+", metavar="ID", help="only these claims, e.g. E6")
    parser.add_argument("--budget", choices=tuple(BUDGETS), default="standard")
    parser.add_argument("--minutes", type=float, help="begin nothing that is likely to end later than this")
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--results", type=Path, default=Path("results/models"))
    given = parser.parse_args(arguments)
    known = [row.claim.id for row in MODELS]
    unknown = set(given.claims or ()) - set(known)
    if unknown:
        parser.error(f"--claims: unknown {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    rows = [row for row in MODELS if not given.claims or row.claim.id in given.claims]
    try:
        store = Store(given.results / "records")
        if given.what in ("all", "run"):
            again = f"python -m analysis.models run --claims {{claim}} --budget {given.budget}"
            run(rows, store, budget=given.budget, count=given.workers, minutes=given.minutes, command=again)
        if remaining(rows, store, budget=given.budget):
            return UNFINISHED
        if given.what == "run":
            return 0
        lines = judge(rows, store, budget=given.budget)
        write_verdicts(lines, given.results / "verdicts.json", budget=given.budget, seed=0)
    except SdewmError as error:
        print(f"analysis.models: {error}", file=sys.stderr)
        return UNFINISHED if isinstance(error, WorkFailed) else 2
    except KeyboardInterrupt:
        print("\ninterrupted; finished models are kept, the same command goes on from there", file=sys.stderr)
        return 130
    print(table(lines))
    return 1 if any(line["as expected"] is False for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
