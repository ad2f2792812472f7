"""What an arm does to prediction from perturbed observations: one number a seed."""

import math
from collections.abc import Sequence

import numpy as np

from sdewm.run import Record
from sdewm.stats import paired
from sdewm.verdict import Verdict

from .reading import complete, numbers, of_arm
from .setting import TASKS

# The middle strength of each kind.
STRENGTHS = {"noise": "noise/0.3", "rotation": "rotation/15", "masking": "masking/0.3"}
STEPS = 25
# Three kinds share 5 %.
LEVEL = 1.0 - 0.05 / len(STRENGTHS)
# Smallest relevant effect: a twentieth of the error.
EFFECT = 0.95
PLAIN = "plain"
# A drift error in training: known to do harm.
KNOWN = "drift in training"


def judge_perturbed(records: Sequence[Record], arm: str, kind: str) -> Verdict:
    """Whether an arm lowers the open-loop error from observations that are perturbed in this way."""
    plain, other = (of_arm(records, TASKS[0], "RSSM", name) for name in (PLAIN, arm))
    failed = complete(plain, other)
    if failed is not None:
        return failed

    def read(record: Record) -> float:
        return float(record.values["perturbed"][STRENGTHS[kind]][str(STEPS)])

    change = np.log(numbers(other, read) / numbers(plain, read))
    return paired(change, (-math.inf, math.log(EFFECT)), LEVEL, what=f"log ratio of the error, {arm}")
