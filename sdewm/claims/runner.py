"""From a catalogue to records, and from records to verdicts."""

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from functools import partial
from shlex import quote
from typing import Any, TextIO

from ..exceptions import InvalidArgument, WorkFailed
from ..run.blocks import single_thread, workers
from ..run.processes import RETRIES
from ..run.store import Record, Store
from ..stats.power import Power
from ..validation import integer, positive
from ..verdict import Grade, Outcome, Verdict
from .claim import Claim, Row
from .progress import Progress
from .settled import otherwise
from .tasks import Task, asked, compute, control_of, distinct, plan

# Handed over at a time to somebody else's executor: enough for its workers, and not all records at once in memory.
_AHEAD = 64


def run(
    catalogue: Sequence[Row],
    store: Store,
    executor: Executor | None = None,
    *,
    budget: str = "standard",
    seed: int = 0,
    count: int | None = None,
    minutes: float | None = None,
    timeout: float | None = None,
    retries: int = RETRIES,
    command: str = "",
    stream: TextIO | None = None,
) -> int:
    """Do the work of a catalogue that the store does not hold yet; return how many cells were computed.

    It can be stopped or killed anywhere and started again: each finished cell is on disk, and is not computed again.
    A cell that fails does not stop the others.

    Args:
        catalogue: rows.
        store: where records are kept.
        executor: where to do the work: a `concurrent.futures.Executor` of spawned processes or of threads, or Dask's
            (`sdewm.run.cluster`); by default `count` processes are spawned. The records are the same to the bit on
            machines with one instruction set and the same versions.
        budget: "quick", "standard" or "full".
        seed: seed of every claim's noise.
        count: number of worker processes, by default 1, which is this process; with an executor, how many cells are
            handed over at a time, by default 64.
        minutes: begin no cell that is likely to end later than this; those that are under way are finished.
        timeout: seconds that one cell may take. A process that takes longer is ended, and the cell tried again; with an
            executor, where nobody can be ended, it counts from handing over, and the cell is given up.
        retries: how often a cell is tried again whose process was lost or took too long; not with an executor.
        command: what makes a record again, noted with it, with `{claim}` where the claim's name goes, as a shell reads
            it.
        stream: where to report progress, by default standard error.

    Raises:
        InvalidArgument: an argument, or what the catalogue declares, is wrong.
        StorageFailure: a record cannot be written; what is on record stays.
        WorkFailed: cells could not be computed; names them. All others are on record.
    """
    integer("seed", seed, least=0)
    count = (1 if executor is None else _AHEAD) if count is None else integer("count", count, least=1)
    integer("retries", retries, least=0)
    limit = math.inf if minutes is None else 60.0 * positive("minutes", minutes)
    patience = math.inf if timeout is None else positive("timeout", timeout)
    if executor is not None and not isinstance(executor, Executor):
        raise InvalidArgument(f"executor must be a concurrent.futures.Executor or None, got {executor!r}.")
    stream = sys.stderr if stream is None else stream
    todo = distinct(catalogue, budget, seed)
    found = {task.name: store.inspect(task.name) for task in todo}
    missing = [task for task in todo if not isinstance(found[task.name], Record)]
    # Long work first, or it would run alone at the end.
    missing.sort(key=lambda task: -task.cell.cost)
    progress = Progress(len(missing), sum(task.cell.cost for task in missing), stream)
    for task in missing:
        if isinstance(reason := found[task.name], str):
            progress.line(f"record {task.name} is not intact ({reason}): it is computed again")
    progress.line(f"{len(todo) - len(missing)} of {len(todo)} cells are on record, {len(missing)} to compute")
    del found
    if not missing:
        return 0
    store.check_room()
    store.sweep()
    failures: list[tuple[Task, BaseException]] = []
    if executor is not None:
        finished = _side_by_side(missing, store, executor, count, progress, limit, patience)
        _keep(finished, store, command, progress, failures)
    else:
        with workers(min(count, len(missing)), timeout, retries) as own:
            if own is None:
                single_thread()
                finished = _one_by_one(missing, store, progress, limit)
            else:
                finished = _side_by_side(missing, store, own, min(count, len(missing)), progress, limit, math.inf)
            _keep(finished, store, command, progress, failures)
    progress.close()
    left = len(missing) - progress.done - len(failures)
    if left:
        # Nothing to go by where nothing was done.
        told = f", about {progress.left / 60.0:.0f} min" if progress.done else ""
        progress.line(
            f"stopped after {progress.elapsed / 60.0:.0f} min: {left} cells are left{told}; the same command goes on "
            "from there"
        )
    if failures:
        raise _failed(failures, len(missing))
    return progress.done - progress.taken


def remaining(catalogue: Sequence[Row], store: Store, *, budget: str = "standard", seed: int = 0) -> int:
    """How many cells of a catalogue the store does not hold."""
    return sum(store.find(task.key) is None for task in distinct(catalogue, budget, seed))


# What became of a task: its record; why there is none; None if somebody else has put it on record meanwhile.
Finished = Iterator[tuple[Task, Record | BaseException | None]]


def _keep(
    finished: Finished, store: Store, command: str, progress: Progress, failures: list[tuple[Task, BaseException]]
) -> None:
    """Write each record as it comes."""
    for task, outcome in finished:
        if isinstance(outcome, Record):
            made = {**outcome.made, "command": command.format(claim=quote(task.claim.id))} if command else outcome.made
            try:
                store.write(Record(outcome.key, outcome.values, outcome.arrays, made))
            except InvalidArgument as error:
                outcome = error
        if isinstance(outcome, BaseException):
            failures.append((task, outcome))
        else:
            progress.step(task.cell.work, task.cell.cost, taken=outcome is None)


def _one_by_one(missing: Sequence[Task], store: Store, progress: Progress, limit: float) -> Finished:
    for task in missing:
        if progress.ends(task.cell.cost) > limit:
            return
        if store.find(task.key) is not None:
            yield task, None
            continue
        try:
            outcome: Record | BaseException = compute(task)
        except (Exception, SystemExit) as error:
            outcome = error
        yield task, outcome


def _side_by_side(
    missing: Sequence[Task],
    store: Store,
    executor: Executor,
    count: int,
    progress: Progress,
    limit: float,
    patience: float,
) -> Finished:
    """As many tasks at a time as there are workers: what was handed over can no longer be held back."""
    waiting, running = list(reversed(missing)), dict[Future[Record], tuple[Task, float]]()
    try:
        while waiting or running:
            # Without a limit one more is handed over, so that no worker waits for this process.
            room = count if min(limit, patience) < math.inf else count + 1
            while waiting and len(running) < room and progress.ends(waiting[-1].cell.cost) <= limit:
                task = waiting.pop()
                # Another run may be at work in the same place.
                if store.find(task.key) is not None:
                    yield task, None
                    continue
                running[_hand_over(executor, task)] = task, time.monotonic()
            if not running:
                return
            first = min(since for _, since in running.values()) + patience - time.monotonic()
            done = wait(running, None if math.isinf(first) else max(first, 0.0), FIRST_COMPLETED).done
            for future in done:
                task, _ = running.pop(future)
                yield task, _outcome(future)
            for future, (task, since) in list(running.items()):
                if time.monotonic() - since >= patience and not future.done():
                    future.cancel()
                    del running[future]
                    yield task, TimeoutError(f"no result within {patience:g} s")
    finally:
        for future in running:
            future.cancel()


def _hand_over(executor: Executor, task: Task) -> Future[Record]:
    try:
        return executor.submit(compute, task)
    except Exception as error:
        raise _gone(error) from error


def _outcome(future: Future[Record]) -> Record | BaseException:
    """What a future holds.

    Raises:
        WorkFailed: the executor itself is gone.
    """
    try:
        return future.result()
    except (CancelledError, BrokenExecutor) as error:
        raise _gone(error) from error
    except (Exception, SystemExit) as error:
        return error


def _gone(error: BaseException) -> WorkFailed:
    return WorkFailed(
        f"the executor is gone ({_line(error) or type(error).__name__}): what is on record is whole, and the same "
        "command goes on from there when there are workers again."
    )


def _failed(failures: Sequence[tuple[Task, BaseException]], total: int) -> WorkFailed:
    lines = tuple(f"{task}: {type(error).__name__}: {_line(error)}" for task, error in failures)
    more = f"\n  and {len(lines) - 5} more" if len(lines) > 5 else ""
    failed = WorkFailed(
        f"{len(lines)} of {total} cells could not be computed, the others are on record:\n  "
        + "\n  ".join(lines[:5])
        + more,
        lines,
    )
    failed.__cause__ = failures[0][1]
    return failed


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:300]


def judge(catalogue: Sequence[Row], store: Store, *, budget: str = "standard", seed: int = 0) -> list[dict[str, Any]]:
    """The verdicts of a catalogue, a pure function of its records.

    Returns:
        One mapping a case: claim, case, statement, verdict, expected outcome, control, power, names of the records.
    """
    lines = []
    for row in catalogue:
        control = control_of(row.claim)
        for case, parts in plan(row, budget, seed).items():
            verdict, records = _verdict(row.claim, case, parts["claim"][0], store)
            other, _ = _verdict(control, case, parts["control"][0], store)
            repeated = [_verdict(control, case, tasks, store)[0] for tasks in parts["repetitions"]]
            expected = row.expected[case]
            assumed = asked(f"{row.claim.id}.hypotheses", partial(_listed, row.claim, case))
            lines.append(
                {
                    "claim": row.claim.id,
                    "title": row.claim.title,
                    "case": case,
                    "statement": row.claim.statement,
                    "source": row.claim.source,
                    "note": row.claim.note,
                    "formula": row.claim.formula,
                    "hypotheses": assumed,
                    "verdict": verdict.to_json(),
                    "expected": None if expected is None else expected.value,
                    "as expected": None if expected is None else verdict.outcome is expected,
                    "control": other.to_json(),
                    "control differs": otherwise(verdict.outcome.value, other.outcome.value),
                    "power": [sum(otherwise(verdict.outcome.value, v.outcome.value) for v in repeated), len(repeated)],
                    "records": [record.name for record in records],
                    "seconds": round(sum(float(r.made.get("seconds", 0.0)) for r in records), 2),
                }
            )
    return lines


def _listed(claim: Claim, case: str) -> list[dict[str, str]]:
    return [{"name": h.name, "status": h.status.value, "detail": h.detail} for h in claim.hypotheses(case)]


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
    verdict = asked(f"{claim.id}.judge", lambda: claim.judge(case, records))
    if not isinstance(verdict, Verdict):
        raise InvalidArgument(f"{claim.id}.judge must return a Verdict, got {type(verdict).__name__}.")
    return verdict, records


def hypothesis_fails(record: Record) -> Verdict:
    """The verdict on a record whose work was refused because a hypothesis fails: certified where it was declared."""
    grade = Grade.CERTIFIED if record.values["declared"] else Grade.ASYMPTOTIC
    return Verdict(Outcome.HYPOTHESIS_FAILS, grade, str(record.values["hypothesis fails"]).rstrip("."))


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
