"""From a catalogue to records, and from records to verdicts."""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO, final

from ..dynamics.brownian import NOISE_FORMAT
from ..exceptions import HypothesisFails, InvalidArgument, NumericalFailure
from ..run.blocks import single_thread, workers
from ..run.store import Record, Store, provenance, write_whole
from ..stats.power import Power
from ..validation import integer, positive
from ..verdict import Grade, Outcome, Verdict
from .claim import Cell, Claim, Result, Row, budget_scale

# The time left is told once this part of the work is done.
_TOLD = 0.1
_REPETITION_SEED = 1_000_003


@final
@dataclass(frozen=True)
class Task:
    """One cell of one claim (or of its control) and the record it becomes."""

    claim: Claim
    cell: Cell
    budget: str

    @property
    def key(self) -> dict[str, Any]:
        """All that the result depends on, as JSON values."""
        return {
            "work": self.cell.work,
            "algorithm": self.cell.algorithm,
            "settings": dict(self.cell.settings),
            "seed": self.cell.seed,
            "budget": self.budget,
            "noise": NOISE_FORMAT,
        }


def tasks_of(claim: Claim, case: str, budget: str, scale: float, seed: int, drawn: bool) -> list[Task]:
    """The tasks of one case."""
    cells = claim.cells(case, scale, seed, drawn)
    if not cells:
        raise InvalidArgument(f"{claim.id}.cells must return at least one cell, got none for case {case!r}.")
    return [Task(claim, cell, budget) for cell in cells]


def plan(row: Row, budget: str, seed: int) -> dict[str, dict[str, list[list[Task]]]]:
    """For each case the tasks of the claim, of its control, and of the control's repetitions."""
    scale, control = budget_scale(budget), row.claim.control()
    small = scale * row.repetition_scale
    return {
        case: {
            "claim": [tasks_of(row.claim, case, budget, scale, seed, True)],
            "control": [tasks_of(control, case, budget, scale, seed, False)],
            "repetitions": [
                tasks_of(control, case, budget, small, seed + _REPETITION_SEED * (r + 1), False)
                for r in range(row.repetitions)
            ],
        }
        for case in row.claim.cases
    }


def run(
    catalogue: Sequence[Row],
    store: Store,
    *,
    budget: str = "standard",
    seed: int = 0,
    count: int = 1,
    minutes: float | None = None,
    stream: TextIO | None = None,
) -> int:
    """Do the work of a catalogue that the store does not hold yet; return how many cells were computed.

    It can be stopped anywhere and started again: each finished cell is on disk.

    Args:
        catalogue: rows.
        store: where records are kept.
        budget: "quick", "standard" or "full".
        seed: seed of every claim's noise.
        count: number of worker processes.
        minutes: begin no cell that is likely to end later than this; those that are under way are finished.
        stream: where to report progress, by default standard error.
    """
    integer("seed", seed, least=0)
    integer("count", count, least=1)
    limit = math.inf if minutes is None else 60.0 * positive("minutes", minutes)
    stream = sys.stderr if stream is None else stream
    todo = _distinct(catalogue, budget, seed)
    missing = [task for task in todo if store.find(task.key) is None]
    # Long work first, or it would run alone at the end.
    missing.sort(key=lambda task: -task.cell.cost)
    progress = _Progress(len(missing), sum(task.cell.cost for task in missing), stream)
    progress.line(f"{len(todo) - len(missing)} of {len(todo)} cells are on record, {len(missing)} to compute")
    facts = provenance()
    with workers(min(count, max(len(missing), 1))) as executor:
        if executor is None:
            single_thread()
        finished = (
            _one_by_one(missing, progress, limit)
            if executor is None
            else _side_by_side(missing, executor, count, progress, limit)
        )
        for task, record in finished:
            store.write(Record(record.key, record.values, record.arrays, {**facts, **record.made}))
            progress.step(task.cell.work, task.cell.cost)
    progress.close()
    if progress.done < len(missing):
        progress.line(
            f"stopped after {progress.elapsed / 60.0:.0f} min: {len(missing) - progress.done} cells are left, about "
            f"{progress.left / 60.0:.0f} min; the same command goes on from there"
        )
    return progress.done


def remaining(catalogue: Sequence[Row], store: Store, *, budget: str = "standard", seed: int = 0) -> int:
    """How many cells of a catalogue the store does not hold."""
    return sum(store.find(task.key) is None for task in _distinct(catalogue, budget, seed))


def _distinct(catalogue: Sequence[Row], budget: str, seed: int) -> list[Task]:
    """All tasks of a catalogue, each once, whichever claims share it."""
    todo: dict[str, Task] = {}
    for row in catalogue:
        for case in plan(row, budget, seed).values():
            for task in _flatten(case):
                todo.setdefault(json.dumps(task.key, sort_keys=True), task)
    return list(todo.values())


Finished = Iterator[tuple[Task, Record]]


def _one_by_one(missing: Sequence[Task], progress: "_Progress", limit: float) -> Finished:
    for task in missing:
        if progress.ends(task.cell.cost) > limit:
            return
        yield task, compute(task)


def _side_by_side(
    missing: Sequence[Task], executor: Executor, count: int, progress: "_Progress", limit: float
) -> Finished:
    """As many tasks at a time as there are workers: what was handed over can no longer be held back."""
    waiting, running = list(missing), dict[Future[Record], Task]()
    while waiting or running:
        # Without a limit one more is handed over, so that no worker waits for this process.
        room = count if limit < math.inf else count + 1
        while waiting and len(running) < room and progress.ends(waiting[0].cell.cost) <= limit:
            task = waiting.pop(0)
            running[executor.submit(compute, task)] = task
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()


def compute(task: Task) -> Record:
    """The record of one task; that a hypothesis fails, or the numbers do, is a result too."""
    started = time.perf_counter()
    try:
        result = task.claim.compute(task.cell)
        if not isinstance(result, Result):
            raise InvalidArgument(f"{task.claim.id}.compute must return a Result, got {type(result).__name__}.")
        values, arrays = dict(result.values), result.arrays
    except NumericalFailure as failure:
        values, arrays = {"numerical failure": str(failure)}, {}
    except HypothesisFails as failure:
        values, arrays = {"hypothesis fails": str(failure), "declared": failure.declared}, {}
    except Exception as error:
        error.add_note(f"in claim {task.claim.id}, cell {dict(task.cell.settings)}, seed {task.cell.seed}")
        raise
    made = {
        "seconds": round(time.perf_counter() - started, 3),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Record(task.key, values, arrays, made)


def judge(catalogue: Sequence[Row], store: Store, *, budget: str = "standard", seed: int = 0) -> list[dict[str, Any]]:
    """The verdicts of a catalogue, a pure function of its records.

    Returns:
        One mapping a case: claim, case, statement, verdict, expected outcome, control, power, names of the records.
    """
    lines = []
    for row in catalogue:
        control = row.claim.control()
        for case, parts in plan(row, budget, seed).items():
            verdict, records = _verdict(row.claim, case, parts["claim"][0], store)
            other, _ = _verdict(control, case, parts["control"][0], store)
            repeated = [_verdict(control, case, tasks, store)[0] for tasks in parts["repetitions"]]
            expected = row.expected[case]
            lines.append(
                {
                    "claim": row.claim.id,
                    "case": case,
                    "statement": row.claim.statement,
                    "source": row.claim.source,
                    "note": row.claim.note,
                    "verdict": verdict.to_json(),
                    "expected": None if expected is None else expected.value,
                    "as expected": None if expected is None else verdict.outcome is expected,
                    "control": other.to_json(),
                    "control differs": _opposite(verdict.outcome, other.outcome),
                    "power": [sum(_opposite(verdict.outcome, v.outcome) for v in repeated), len(repeated)],
                    "records": [record.name for record in records],
                    "seconds": round(sum(float(r.made.get("seconds", 0.0)) for r in records), 2),
                }
            )
    return lines


def _verdict(claim: Claim, case: str, tasks: Sequence[Task], store: Store) -> tuple[Verdict, list[Record]]:
    found = [store.find(task.key) for task in tasks]
    records = [record for record in found if record is not None]
    if len(records) < len(tasks):
        missing = len(tasks) - len(records)
        reason = f"{missing} of {len(tasks)} records are missing"
        return Verdict(Outcome.INCONCLUSIVE, Grade.ASYMPTOTIC, reason), records
    failed = [str(r.values["numerical failure"]) for r in records if "numerical failure" in r.values]
    if failed:
        return Verdict(Outcome.NUMERICAL_FAILURE, Grade.CERTIFIED, failed[0]), records
    refused = [record for record in records if "hypothesis fails" in record.values]
    if refused:
        return hypothesis_fails(refused[0]), records
    return claim.judge(case, records), records


def hypothesis_fails(record: Record) -> Verdict:
    """The verdict on a record whose work was refused because a hypothesis fails: certified where it was declared."""
    grade = Grade.CERTIFIED if record.values["declared"] else Grade.ASYMPTOTIC
    return Verdict(Outcome.HYPOTHESIS_FAILS, grade, str(record.values["hypothesis fails"]).rstrip("."))


def _opposite(a: Outcome, b: Outcome) -> bool:
    """Whether b decides against a: an inconclusive control has caught nothing."""
    decisive = {Outcome.HOLDS, Outcome.VIOLATED, Outcome.HYPOTHESIS_FAILS}
    return a is not b and b in decisive


def write_verdicts(lines: Sequence[Mapping[str, Any]], path: Path, **facts: Any) -> None:
    """Write verdicts.json, whole or not at all."""
    write_whole(path, (json.dumps({**facts, "verdicts": list(lines)}, indent=1) + "\n").encode())


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """The verdicts as a plain text table."""
    rows = [("claim", "case", "verdict", "expected", "control", "power", "interval")]
    for line in lines:
        interval = line["verdict"]["interval"]
        rows.append(
            (
                line["claim"],
                line["case"],
                line["verdict"]["outcome"],
                line["expected"] or "open",
                line["control"]["outcome"],
                str(Power(*line["power"])),
                "" if interval is None else f"[{float(interval[0]):.4g}, {float(interval[1]):.4g}]",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([text[0], "  ".join("-" * width for width in widths), *text[1:]])


def _flatten(parts: Mapping[str, list[list[Task]]]) -> Iterator[Task]:
    for lists in parts.values():
        for tasks in lists:
            yield from tasks


@final
class _Progress:
    """A counter with the time left: one moving line on a terminal, a few plain lines in a log."""

    def __init__(self, total: int, cost: float, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.cost, self.stream, self.clock = total, cost, stream, clock
        self.done, self.paid, self.started, self.terminal = 0, 0.0, clock(), stream.isatty()
        self.next_line = 10.0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started

    @property
    def left(self) -> float:
        """Seconds that are likely to be needed for the rest."""
        return self.elapsed / self.paid * max(self.cost - self.paid, 0.0) if self.paid else math.nan

    def ends(self, cost: float) -> float:
        """When a cell of this cost that began now would be likely to end, in seconds since the start."""
        return self.elapsed + cost

    def line(self, text: str) -> None:
        print(text, file=self.stream, flush=True)

    def step(self, work: str, cost: float) -> None:
        self.done, self.paid = self.done + 1, self.paid + cost
        elapsed = self.elapsed
        text = f"{self.done}/{self.total} cells, {elapsed:.0f} s"
        # By cost, not by number: the long cells come first, and until some are done there is nothing to go by.
        if self.paid > _TOLD * self.cost:
            text += f", about {self.left:.0f} s left"
        text += f": {work}"
        if self.terminal:
            print(f"\r\x1b[K{text}"[:100], end="", file=self.stream, flush=True)
        elif elapsed >= self.next_line or self.done == self.total:
            self.line(text)
            self.next_line = elapsed + 10.0

    def close(self) -> None:
        if self.terminal and self.total:
            print(file=self.stream)
