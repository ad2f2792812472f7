"""One run on threads, on processes and on Dask workers: throughput, start-up, cost of a piece of work, memory."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from sdewm.estimate import Moments
from sdewm.run.blocks import single_thread, workers
from sdewm.run.cluster import cluster

from .memory import high_water
from .peers.own import Observe, members, simulate
from .problems import CUBIC

# Long enough that no worker takes two of these.
PAUSE = 0.5
PATHS, STEPS, PIECES = 400_000, 100, 200
# Paths of the long run that shows whether the memory of a worker is flat, in the same number of path-steps.
TIMES = 8


@contextmanager
def _dask(count: int) -> Iterator[Executor]:
    from ..soak.tools import dask

    with (
        tempfile.TemporaryDirectory() as place,
        dask(Path(place), count) as found,
        cluster(found.address) as (executor, _),
    ):
        yield executor


KINDS: Mapping[str, Callable[[int], AbstractContextManager[Executor | None]]] = {
    "this process alone": lambda count: nullcontext(),
    "threads": ThreadPoolExecutor,
    "processes": workers,
    "Dask workers": _dask,
}


def measure(
    paths: int = PATHS, count: int = 2, rounds: int = 2, pieces: int = PIECES, kinds: Sequence[str] = tuple(KINDS)
) -> dict[str, Any]:
    """For each kind of executor, in turn: the best round of each number, and whether all answers are equal to the bit.

    Wall seconds of one run that observes, start-up apart; milliseconds for handing over and fetching an empty piece of
    work, one after the other; the most memory that any worker has held, after the run and after one of `TIMES` as many
    paths. A thread's memory is that of the whole process, in which everything has run before: it is left out.
    """
    rows: dict[str, dict[str, Any]] = {}
    answers = []
    for _ in range(rounds):
        for name in kinds:
            if rows.get(name, {}).get("absent"):
                continue
            row = rows.setdefault(name, {"wall": [], "startup": [], "piece": [], "mib": [], "mib, more paths": []})
            try:
                answers.append(_round(row, name, paths, count, pieces))
            except ImportError as error:
                row["absent"] = f"{type(error).__name__}: {error}"
    means = {answer.mean.tobytes() for answer in answers}
    return {"paths": paths, "steps": STEPS, "times": TIMES, "count": count, "rows": rows, "equal": len(means) == 1}


def _round(row: dict[str, Any], name: str, paths: int, count: int, pieces: int) -> Moments:
    begin = time.perf_counter()
    with KINDS[name](count) as executor:
        own = name in ("this process alone", "threads")
        _memory(executor, count)  # until all are there
        row["startup"].append(time.perf_counter() - begin - (0.0 if executor is None else PAUSE))
        begin = time.perf_counter()
        found = _run(paths, STEPS, executor)
        row["wall"].append(time.perf_counter() - begin)
        if executor is not None:
            begin = time.perf_counter()
            for _ in range(pieces):
                executor.submit(os.getpid).result()
            row["piece"].append((time.perf_counter() - begin) / pieces)
        if not own:
            row["mib"].append(_memory(executor, count))
            _run(TIMES * paths, max(STEPS // TIMES, 1), executor)
            row["mib, more paths"].append(_memory(executor, count))
    return found


def _run(paths: int, steps: int, executor: Executor | None) -> Moments:
    problem = replace(CUBIC, paths=paths, steps=steps)
    return simulate(members(problem), problem, 0, Observe(problem), executor=executor, compile=False)


def _memory(executor: Executor | None, count: int) -> float:
    """Most MiB that a worker has held so far."""
    if executor is None:
        return high_water() / 2**20
    return max(future.result() for future in [executor.submit(_held, PAUSE) for _ in range(count)])


def _held(seconds: float) -> float:
    single_thread()
    time.sleep(seconds)
    return high_water() / 2**20


def table(found: Mapping[str, Any]) -> list[str]:
    """The numbers as lines of text."""
    if not found:
        return []
    lines = [
        "",
        f"One run of {found['paths']} paths x {found['steps']} steps, not compiled, {found['count']} workers of a kind",
        f"{'':22s}{'wall s':>10s}{'gain':>8s}{'start-up s':>12s}{'ms a piece':>12s}"
        f"{'MiB a worker':>14s}{'with ' + str(found['times']) + ' x paths':>16s}",
    ]
    alone = min(found["rows"]["this process alone"]["wall"])
    for name, row in found["rows"].items():
        if row.get("absent"):
            lines.append(f"  {name:20s}{row['absent']}")
            continue
        piece = f"{1e3 * min(row['piece']):.2f}" if row["piece"] else ""
        held = [f"{max(row[key]):.0f}" if row[key] else "" for key in ("mib", "mib, more paths")]
        lines.append(
            f"  {name:20s}{min(row['wall']):10.2f}{alone / min(row['wall']):8.2f}{min(row['startup']):12.2f}"
            f"{piece:>12s}{held[0]:>14s}{held[1]:>16s}".rstrip()
        )
    return [*lines, f"  equal to the bit: {'yes' if found['equal'] else 'no'}"]
