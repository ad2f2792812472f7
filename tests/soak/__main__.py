"""Kills at random moments for a while, faults and mutated inputs, and a table of what became of them: `make soak`."""

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdewm.run.store import provenance, write_whole

from .fuzz import FUZZED
from .kills import kill_dask_worker, kill_main, kill_scheduler, kill_workers, undisturbed
from .tools import ROOT

KILLS: dict[str, Callable[..., dict[str, int]]] = {
    "kill -9 of the main process": kill_main,
    "kill -9 of the main process, two workers": lambda *args: kill_main(*args, workers=2),
    "kill -9 of workers": lambda *args: kill_workers(*args, kills=5),
    "kill -9 of a Dask worker": kill_dask_worker,
    "kill -9 of the Dask scheduler": kill_scheduler,
}
# Each test of these files injects one fault of another kind.
FAULTS = ("tests/unit/run/test_faults.py", "tests/unit/run/test_processes.py", "tests/unit/run/test_hostile.py")


def main() -> int:
    """Exit code 0 if everything was survived."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="at least so long")
    parser.add_argument("--kills", type=int, default=50, help="at least so many")
    parser.add_argument("--inputs", type=int, default=10_000, help="mutated inputs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/faults.json"))
    given = parser.parse_args()
    started, rows = time.monotonic(), dict[str, dict[str, Any]]()
    with tempfile.TemporaryDirectory() as place:
        expected = undisturbed(Path(place) / "undisturbed")
        for what, fuzz in FUZZED.items():
            draw = random.Random(f"{given.seed} {what}")
            _note(rows, f"mutated: {what}", lambda fuzz=fuzz, draw=draw: fuzz(_new(place), given.inputs, draw))
        _note(rows, "other faults", _tests)
        turn = 0
        while time.monotonic() - started < 60.0 * given.minutes or _total(rows, "kills") < given.kills:
            what = list(KILLS)[turn % len(KILLS)]
            draw = random.Random(f"{given.seed} {turn}")
            _note(rows, what, lambda what=what, draw=draw: KILLS[what](_new(place), expected, draw))
            turn += 1
            if turn >= len(KILLS) and not _total(rows, "kills") and _total(rows, "failed"):
                break
    minutes = (time.monotonic() - started) / 60.0
    made = {**provenance(), "cores": os.cpu_count(), "system": platform.system()}
    result = {"schema": 1, "minutes": round(minutes, 1), "rows": rows, "made": made}
    result["table"] = table(result)
    write_whole(given.out, (json.dumps(result, indent=1) + "\n").encode())
    print(result["table"])
    return 1 if _total(rows, "failed") else 0


def _new(place: str) -> Path:
    return Path(tempfile.mkdtemp(dir=place))


def _tests() -> dict[str, int]:
    """The tests of single faults, each counted."""

    class Counted:
        passed, failed = 0, list[str]()

        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.when == "call" and report.passed:
                Counted.passed += 1
            elif report.failed:
                Counted.failed.append(report.nodeid)

    pytest.main(["-q", "--no-header", *(str(ROOT / file) for file in FAULTS)], plugins=[Counted()])
    assert not Counted.failed, Counted.failed
    return {"faults injected": Counted.passed}


def _note(rows: dict[str, dict[str, Any]], what: str, call: Callable[[], dict[str, int]]) -> None:
    """Add what was counted to its row; a fault that was not survived is a failure of its row, not of the soak."""
    row = rows.setdefault(what, {"rounds": 0, "failed": 0})
    row["rounds"] += 1
    try:
        for name, count in call().items():
            row[name] = row.get(name, 0) + count
    except Exception as error:
        row["failed"] += 1
        row["last failure"] = f"{type(error).__name__}: {str(error)[:500]}"
    print(f"{what}: {row}", file=sys.stderr, flush=True)


def _total(rows: dict[str, dict[str, Any]], name: str) -> int:
    return sum(row.get(name, 0) for row in rows.values())


def table(result: dict[str, Any]) -> str:
    """The faults as a plain text table."""
    lines = [("fault", "rounds", "injected", "not survived", "finished cells computed again")]
    for what, row in result["rows"].items():
        injected = row.get("kills", row.get("inputs", row.get("faults injected", 0)))
        again = row.get("finished cells computed again", "")
        lines.append((what, str(row["rounds"]), str(injected), str(row["failed"]), str(again)))
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    text = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join(
        [f"{result['minutes']:g} minutes of faults.", "", text[0], "  ".join("-" * w for w in widths), *text[1:]]
    )


if __name__ == "__main__":
    sys.exit(main())
