"""Run the catalogue and judge it: `python -m analysis [run | judge]`."""

import argparse
import sys
from pathlib import Path

from sdewm.claims.claim import BUDGETS
from sdewm.claims.runner import judge, run, table, write_verdicts
from sdewm.exceptions import SdewmError
from sdewm.run import Store
from sdewm.run.blocks import default_workers

from . import CATALOGUE


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 if every verdict is as expected, 1 if not, 2 for a wrong argument, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("all", "run", "judge"), default="all")
    parser.add_argument("--claims", nargs="+", metavar="ID", help="only these claims, e.g. X3 X7")
    parser.add_argument("--budget", choices=tuple(BUDGETS), default="standard")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--results", type=Path, default=Path("results"))
    given = parser.parse_args(arguments)
    unknown = set(given.claims or ()) - {row.claim.id for row in CATALOGUE}
    if unknown:
        parser.error(f"--claims: unknown {', '.join(sorted(unknown))}; known are {', '.join(_ids())}")
    rows = [row for row in CATALOGUE if not given.claims or row.claim.id in given.claims]
    try:
        store = Store(given.results / "records")
        if given.what in ("all", "run"):
            run(rows, store, budget=given.budget, seed=given.seed, count=given.workers)
        if given.what == "run":
            return 0
        lines = judge(rows, store, budget=given.budget, seed=given.seed)
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


def _ids() -> list[str]:
    return sorted({row.claim.id for row in CATALOGUE})


if __name__ == "__main__":
    sys.exit(main())
