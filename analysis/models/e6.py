"""E6: does a Jacobian penalty improve long-horizon prediction?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from sdewm.claims import Cell, Claim, Result, Row
from sdewm.run import Record
from sdewm.stats import paired
from sdewm.verdict import Verdict

from ..kit import PAPER
from .measure import compute
from .reading import complete, error_at, numbers, of_arm
from .setting import TASKS, cells

PLAIN, PENALTY = "plain", "penalty, prior map"
# A drift error in training: known to do harm.
KNOWN = "drift in training"
SHOWN = (
    "penalty, filter map",
    "whitened penalty, prior map",
    "more steps",
    "noise injection",
    "weight decay",
    "spectral norm",
)
HORIZONS = (25, 50, 100)
# Three horizons share 5 %.
LEVEL = 1.0 - 0.05 / len(HORIZONS)
# Smallest relevant effect: a twentieth of the error.
EFFECT = 0.95


@final
@dataclass(frozen=True)
class LongHorizon(Claim):
    """Log ratio of the open-loop error, trained with and without a Jacobian penalty, one pair a seed.

    The control judges another arm, which does harm: a drift error in training in place of the penalty.
    """

    tried: str = PENALTY

    id = "E6"
    statement = (
        "A Frobenius penalty on the Jacobian of the prior map, added to the training loss of a recurrent state-space "
        "model of pendulum-swingup, lowers the root mean square open-loop error by a twentieth or more."
    )
    cases = tuple(f"{n} steps ahead" for n in HORIZONS)
    source = PAPER + ": Jacobian regularisation improves long-horizon prediction"
    note = (
        "Model level only. Protocol, with the weight and how it was chosen: analysis/protocol/e6.md. Penalties on the "
        "filter map, and the controls at equal compute (more steps, noise on the observations, weight decay, spectral "
        "normalisation), are shown and not judged."
    )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        return cells(TASKS[0], "RSSM", (PLAIN, self.tried, *(SHOWN if drawn else ())), scale)

    def compute(self, cell: Cell) -> Result:
        return compute(cell)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        plain, other = (of_arm(records, TASKS[0], "RSSM", arm) for arm in (PLAIN, self.tried))
        failed = complete(plain, other)
        if failed is not None:
            return failed
        read = error_at(int(case.split()[0]))
        change = np.log(numbers(other, read) / numbers(plain, read))
        return paired(change, (-math.inf, math.log(EFFECT)), LEVEL, what=f"log ratio of the error, {self.tried}")

    def control(self) -> "LongHorizon":
        """The same judgement of an arm that does harm."""
        return replace(self, tried=KNOWN if self.tried == PENALTY else PENALTY)


ROWS = (Row(LongHorizon(), dict.fromkeys(LongHorizon.cases, None), repetitions=0),)
