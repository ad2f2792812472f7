"""The quick form: shipped models measured again, and one small model trained again, against the records."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from sdewm.claims import Cell, Claim, Result, Row
from sdewm.claims.tasks import Task
from sdewm.run import Record, Store
from sdewm.verdict import Outcome, Verdict
from sdewm.worldmodel import load

from ..kit import unchecked
from ..recorded import among, near
from .measure import compute, data, measured
from .setting import SEEDS, SMALL_STEPS, TASKS, cell, small

RECORDS = Path(__file__).parents[1] / "records" / "models"
SHIPPED = {f"{task}, seed {seed}": (task, seed) for task in TASKS for seed in (0, 1)}
AGAIN = "one small model trained again"
# Steps ahead: where small models agree among themselves, and are far from untrained ones, is earlier.
STEPS, SMALL_AHEAD = 25, 5
# A shipped model gives its record's numbers to this relative error: rounding differs between machines.
ROUNDING = 1e-3


def file_of(task: str, seed: int) -> Path:
    """Where a shipped model lies."""
    return RECORDS / f"{task}-seed{seed}.safetensors"


def on_record(cell: Cell) -> Record | None:
    """The record of a trained model."""
    return Store(RECORDS).find(Task(Reproduces(), cell, "standard").key)


@final
@dataclass(frozen=True)
class Reproduces(Claim):
    """Shipped models against their own records, and a fresh one against those of its fellows.

    The control holds a shipped model against the record of another seed, and the fresh one is hardly trained.
    """

    swapped: bool = False

    id = "L5"
    title = "Shipped models give what is on record"
    statement = (
        f"A shipped model, measured again, has the open-loop error {STEPS} steps ahead that is on record for it; a "
        f"small model, trained again, has one {SMALL_AHEAD} steps ahead that lies among those of other seeds on record."
    )
    cases = (*SHIPPED, AGAIN)
    source = "a check of the records"
    formula = (
        r"\left|\log\operatorname{RMSE}_{25}-\log\operatorname{RMSE}_{25}^{\text{on record}}\right|\le10^{-3}"
        "\n"
        r"\log\operatorname{RMSE}_5^{\text{trained again}}\in\text{prediction interval of the seeds on record}"
    )
    assumes = (unchecked("same rounding", "other machines round otherwise; a relative error of 1e-3 is allowed"),)
    note = "The records of claims about trained models are made by `make reproduce-models`, in about an hour."

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        if case == AGAIN:
            return [small(0, SMALL_STEPS // (10 if self.swapped else 1))]
        task, number = SHIPPED[case]
        digest = hashlib.sha256(file_of(task, number).read_bytes()).hexdigest()[:16]
        plain = cell(task, "RSSM", "plain", number).settings
        return [Cell("shipped model", {**plain, "seed": number, "weights": digest, "measured": []}, 0, cost=4.0)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        if cell.work != "shipped model":
            return compute(cell)
        model = load(file_of(s["task"], s["seed"]))
        values, arrays = measured(model, data(s["task"], **s["data"]), data(s["task"], **s["held out"]), s)
        return Result({**values, "diverged": None}, arrays)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        (record,) = records
        if case == AGAIN:
            # Seed 0 is no fellow: it is the one that is trained again.
            fellows = [on_record(small(seed)) for seed in range(1, SEEDS)]
            kept = [_log_error(r, SMALL_AHEAD) for r in fellows if r is not None]
            return among(_log_error(record, SMALL_AHEAD), kept, what="log error")
        task, number = SHIPPED[case]
        other = on_record(cell(task, "RSSM", "plain", 1 - number if self.swapped else number))
        gap = math.nan if other is None else abs(_log_error(record) - _log_error(other))
        return near(gap, ROUNDING, what="the logarithm of the error")

    def control(self) -> "Reproduces":
        """Another seed's record, and a model that is hardly trained."""
        return replace(self, swapped=not self.swapped)


def _log_error(record: Record, steps: int = STEPS) -> float:
    return math.log(float(record.arrays["horizon/RSSM"][steps - 1])) / 2.0


ROWS = (Row(Reproduces(), dict.fromkeys(Reproduces.cases, Outcome.HOLDS), repetitions=0),)
