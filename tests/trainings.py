"""Made-up records of trained models and agents, where the answer is known."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sdewm import Outcome
from sdewm.claims import Claim
from sdewm.claims.tasks import Task
from sdewm.run import Record

# From an arm and a seed to values and arrays.
Content = Callable[[str, int], tuple[dict[str, Any], dict[str, Any]]]


def made(claim: Claim, case: str, content: Content, *, drawn: bool = False) -> list[Record]:
    """Records of the cells of a case, with made-up content by arm and seed."""
    records = []
    for each in claim.cells(case, 1.0, 0, drawn):
        values, arrays = content(each.settings["arm"], each.seed)
        arrays = {name: np.asarray(value, dtype=float) for name, value in arrays.items()}
        records.append(Record(Task(claim, each, "standard").key, {"diverged": None, **values}, arrays))
    return records


def outcomes(claim: Claim, case: str, content: Content) -> tuple[Outcome, Outcome]:
    """What comes of a claim, and of its control."""
    first, second = (each.judge(case, made(each, case, content)).outcome for each in (claim, claim.control()))
    return first, second
