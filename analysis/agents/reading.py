"""Reading the records of trained agents: one number a seed."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sdewm.claims.select import by_seed
from sdewm.run import Record
from sdewm.verdict import Grade, Outcome, Verdict

from .setting import TASK

Array = NDArray[np.float64]
CLEAN = "clean"


def of_arm(records: Sequence[Record], arm: str, task: str = TASK) -> dict[int, Record]:
    """The records of one arm, by seed."""
    whole = [record for record in records if record.key["settings"]["measured"]]
    return by_seed(whole, task=task, arm=arm)


def numbers(records: dict[int, Record], read: Callable[[Record], float]) -> Array:
    """One number a seed, in the order of the seeds."""
    return np.array([read(record) for record in records.values()])


def mean_return(key: str = CLEAN) -> Callable[[Record], float]:
    """Mean return over the episodes of one kind of evaluation, such as "clean" or "noise/0.3"."""

    def read(record: Record) -> float:
        return float(np.mean(record.values["returns"][key]))

    return read


def learning(record: Record) -> float:
    """Area under the learning curve: the mean return of the episodes that were played while training."""
    return float(np.mean(record.arrays["curve"]))


def error_at(steps: int) -> Callable[[Record], float]:
    """Root mean square open-loop error so many actions ahead, in episodes of the agent's own policy."""

    def read(record: Record) -> float:
        return float(np.sqrt(record.arrays["open loop/own"][steps - 1]))

    return read


def complete(*arms: dict[int, Record]) -> Verdict | None:
    """Why these arms cannot be compared seed by seed, or None: a run that diverged, or none to begin with."""
    if not all(arms) or any(arm.keys() != arms[0].keys() for arm in arms):
        return _undecided("the arms do not hold the same seeds")
    diverged = [
        f"{record.key['settings']['arm']}, seed {seed}"
        for arm in arms
        for seed, record in arm.items()
        if record.values["diverged"]
    ]
    return _undecided(f"diverged: {'; '.join(diverged)}") if diverged else None


def _undecided(reason: str) -> Verdict:
    return Verdict(Outcome.INCONCLUSIVE, Grade.ASYMPTOTIC, reason)
