"""Reading the records of trained agents: one number a seed."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sdewm.claims.select import by_seed
from sdewm.run import Record

from .setting import TASK

Array = NDArray[np.float64]
CLEAN = "clean"


def of_arm(records: Sequence[Record], arm: str, task: str = TASK) -> dict[int, Record]:
    """The records of one arm, by seed; small agents are not among them."""
    whole = [record for record in records if "returns" in record.key["settings"]["measured"]]
    return by_seed(whole, task=task, arm=arm)


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
