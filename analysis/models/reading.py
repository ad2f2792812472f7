"""Reading the records of trained models: one number a seed."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sdewm.claims.select import by_seed
from sdewm.run import Record

Array = NDArray[np.float64]


def of_arm(records: Sequence[Record], task: str, model: str, arm: str) -> dict[int, Record]:
    """The records of one arm, by seed."""
    # Small models, for the quick form, are plain ones of which nothing but the error is measured.
    whole = [record for record in records if record.key["settings"]["measured"]]
    return by_seed(whole, task=task, model=model, arm=arm)


def error_at(steps: int, predictor: str | None = None) -> Callable[[Record], float]:
    """Root mean square open-loop error so many steps ahead, of the model or of a baseline."""

    def read(record: Record) -> float:
        # A categorical model's arrays go by what the model calls itself.
        name = record.key["settings"]["model"].removeprefix("categorical ") if predictor is None else predictor
        return float(np.sqrt(record.arrays[f"horizon/{name}"][steps - 1]))

    return read
