"""The work of a catalogue as tasks, each of which becomes a record."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, final

import numpy as np

from ..dynamics.brownian import NOISE_FORMAT
from ..exceptions import HypothesisFails, InvalidArgument, NumericalFailure, SdewmError
from ..run.blocks import single_thread
from ..run.store import Record, packed, provenance, record_name
from ..validation import integer, real
from .claim import Cell, Claim, Result, Row, budget_scale

Value = TypeVar("Value")

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

    @property
    def name(self) -> str:
        """The name of its record."""
        return record_name(self.key)

    def __str__(self) -> str:
        return f"claim {self.claim.id}, cell {dict(self.cell.settings)}, seed {self.cell.seed}"


def tasks_of(claim: Claim, case: str, budget: str, scale: float, seed: int, drawn: bool) -> list[Task]:
    """The tasks of one case.

    Raises:
        InvalidArgument: `claim.cells` returns no cells, or cells whose record could not be kept.
    """
    cells = asked(f"{claim.id}.cells", lambda: claim.cells(case, scale, seed, drawn))
    if not isinstance(cells, Sequence) or not all(isinstance(cell, Cell) for cell in cells):
        raise InvalidArgument(
            f"{claim.id}.cells must return a sequence of Cell, got {_short(cells)} for case {case!r}."
        )
    if not cells:
        raise InvalidArgument(f"{claim.id}.cells must return at least one cell, got none for case {case!r}.")
    for cell in cells:
        _check(claim, cell, budget)
    return [Task(claim, cell, budget) for cell in cells]


def _check(claim: Claim, cell: Cell, budget: str) -> None:
    """Whether a cell's record can be kept and found again."""
    here = f"of a cell of {claim.id}"
    if not isinstance(cell.work, str) or not 0 < len(cell.work) <= 200:
        raise InvalidArgument(f"work {here} must be a short name, got {_short(cell.work)}.")
    if not isinstance(cell.settings, Mapping):
        raise InvalidArgument(f"settings {here} must be a mapping of plain JSON values, got {_short(cell.settings)}.")
    integer(f"seed {here}", cell.seed, least=0)
    integer(f"algorithm {here}", cell.algorithm, least=0)
    if real(f"cost {here}", cell.cost) < 0.0:
        raise InvalidArgument(f"cost {here} must not be negative, got {cell.cost!r}.")
    try:
        packed(Record(Task(claim, cell, budget).key, {}))
    except InvalidArgument as error:
        raise InvalidArgument(f"settings {here} must be plain JSON values: {error}") from error


def asked(what: str, call: Callable[[], Value]) -> Value:
    """What a function of a claim's author returns.

    Raises:
        InvalidArgument: it raises something else than this package's own errors.
    """
    try:
        return call()
    except SdewmError:
        raise
    except Exception as error:
        raise InvalidArgument(f"{what} raised {type(error).__name__}: {error}.") from error


def plan(row: Row, budget: str, seed: int) -> dict[str, dict[str, list[list[Task]]]]:
    """For each case the tasks of the claim, of its control, and of the control's repetitions."""
    scale, control = budget_scale(budget), control_of(row.claim)
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


def control_of(claim: Claim) -> Claim:
    """The control of a claim.

    Raises:
        InvalidArgument: it is no claim.
    """
    control = asked(f"{claim.id}.control", claim.control)
    if not isinstance(control, Claim):
        raise InvalidArgument(f"{claim.id}.control must return a Claim, got {_short(control)}.")
    return control


def distinct(catalogue: Sequence[Row], budget: str, seed: int) -> list[Task]:
    """All tasks of a catalogue, each once, whichever claims share it."""
    todo: dict[str, Task] = {}
    for row in catalogue:
        for case in plan(row, budget, seed).values():
            for task in _flatten(case):
                todo.setdefault(json.dumps(task.key, sort_keys=True), task)
    return list(todo.values())


def compute(task: Task) -> Record:
    """The record of one task; that a hypothesis fails, or the numbers do, is a result too."""
    # Several threads would add in another order, and here is wherever the work has been sent.
    single_thread()
    started = time.perf_counter()
    try:
        result = task.claim.compute(task.cell)
        if not isinstance(result, Result):
            raise InvalidArgument(f"{task.claim.id}.compute must return a Result, got {type(result).__name__}.")
        values, arrays = dict(result.values), result.arrays
        _check_moments(task, arrays)
    except NumericalFailure as failure:
        values, arrays = {"numerical failure": str(failure)}, {}
    except HypothesisFails as failure:
        values, arrays = {"hypothesis fails": str(failure), "declared": failure.declared}, {}
    except Exception as error:
        error.add_note(f"in {task}")
        raise
    made = {
        **provenance(),
        "seconds": round(time.perf_counter() - started, 3),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Record(task.key, values, arrays, made)


def _check_moments(task: Task, arrays: Mapping[str, Any]) -> None:
    """A mean that is not a number is never kept in silence.

    Raises:
        NumericalFailure: names the column; paths and times are known where the states are simulated, and named there.
    """
    if {"n", "mean", "scatter", "low", "high"} <= arrays.keys():
        bad = np.flatnonzero(np.isnan(np.asarray(arrays["mean"], dtype=float)))
        if bad.size:
            raise NumericalFailure(f"the mean of column {bad[0]} is not a number, of {task}")


def _flatten(parts: Mapping[str, list[list[Task]]]) -> Iterator[Task]:
    for lists in parts.values():
        for tasks in lists:
            yield from tasks


def _short(value: object) -> str:
    return f"{type(value).__name__} {value!r:.60}" if isinstance(value, str | int | float) else type(value).__name__
