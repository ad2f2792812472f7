"""The quick form: shipped agents play again, and one small agent is trained again, against the records."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from sdewm.claims import Cell, Claim, Result, Row
from sdewm.claims.tasks import Task
from sdewm.run import Record, Store
from sdewm.verdict import Outcome, Verdict
from sdewm.worldmodel import load_agent

from ..kit import unchecked
from ..recorded import among, near
from .e5 import PenaltySpeeds
from .measure import compute, returns_of
from .setting import SEEDS, cell, small

RECORDS = Path(__file__).parents[1] / "records" / "agents"
SHIPPED = {"plain, seed 0": ("plain", 0), "penalty, prior map, seed 0": ("penalty, prior map", 0)}
AGAIN = "one small agent trained again"
# Actions ahead at which small agents are compared: their returns have hardly begun to grow, their models have.
AHEAD = 5
# What leaves most gradient steps out.
HARDLY = {"training": {"train_ratio": 4.0}}
# Evaluations that are played again.
PLAYED = ("clean", "noise/0.3", "masking/0.3")
# A shipped agent gives its record's returns, each episode's on average, to so many points of 1000: a rounding error
# grows over an episode.
POINTS = 10.0
WHAT = "returns, in the mean over episodes,"


def file_of(arm: str, seed: int) -> Path:
    """Where a shipped agent lies."""
    return RECORDS / f"{arm.replace(', ', '-').replace(' ', '-')}-seed{seed}.safetensors"


def on_record(cell: Cell) -> Record | None:
    """The record of a trained agent."""
    return Store(RECORDS).find(Task(PenaltySpeeds(), cell, "standard").key)


@final
@dataclass(frozen=True)
class PlaysAgain(Claim):
    """Shipped agents against their own records, and a fresh one against those of its fellows.

    The control holds a shipped agent against the record of the other one, and the fresh one is hardly trained.
    """

    swapped: bool = False

    id = "L6"
    title = "Shipped agents earn what is on record"
    statement = (
        "A shipped agent, played again on clean and on perturbed observations, has the returns that are on record for "
        f"it; a small agent, trained again, has an open-loop error {AHEAD} actions ahead that lies among those of "
        "other seeds on record."
    )
    cases = (*SHIPPED, AGAIN)
    source = "a check of the records"
    formula = (
        r"\mathbb{E}_{\text{episodes}}\left|\text{return}-\text{return on record}\right|\le10"
        "\n"
        r"\log\operatorname{RMSE}_5^{\text{trained again}}\in\text{prediction interval of the seeds on record}"
    )
    assumes = (unchecked("same rounding", "other machines round otherwise; ten points of 1000 are allowed"),)
    note = "The records of claims about agents are made by `make reproduce-agents`, in over an hour."

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        if case == AGAIN:
            return [small(0, HARDLY if self.swapped else None)]
        arm, number = SHIPPED[case]
        digest = hashlib.sha256(file_of(arm, number).read_bytes()).hexdigest()[:16]
        settings = {**cell(arm, number).settings, "seed": number, "weights": digest, "measured": list(PLAYED)}
        return [Cell("shipped agent", settings, 0, cost=10.0)]

    def compute(self, cell: Cell) -> Result:
        s = cell.settings
        if cell.work != "shipped agent":
            return compute(cell)
        return Result({"returns": returns_of(load_agent(file_of(s["arm"], s["seed"])), s, PLAYED)[1], "diverged": None})

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        (record,) = records
        if case == AGAIN:
            # Seed 0 is no fellow: it is the one that is trained again.
            fellows = [on_record(small(seed)) for seed in range(1, SEEDS)]
            return among(_log_error(record), [_log_error(r) for r in fellows if r is not None], what="log error")
        arm, number = next(pair for pair in SHIPPED.values() if (pair == SHIPPED[case]) is not self.swapped)
        kept = on_record(cell(arm, number))
        if kept is None:
            return near(math.nan, POINTS, what=WHAT)
        gaps = [np.subtract(record.values["returns"][key], kept.values["returns"][key]) for key in PLAYED]
        return near(float(np.abs(np.concatenate(gaps)).mean()), POINTS, what=WHAT)

    def control(self) -> "PlaysAgain":
        """Another agent's record, and an agent that is hardly trained."""
        return replace(self, swapped=not self.swapped)


def _log_error(record: Record) -> float:
    # On the same episodes of random actions for all: what an agent's own policy meets differs from agent to agent.
    return math.log(float(record.arrays["open loop/random"][AHEAD - 1])) / 2.0


ROWS = (Row(PlaysAgain(), dict.fromkeys(PlaysAgain.cases, Outcome.HOLDS), repetitions=0),)
