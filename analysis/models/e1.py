"""E1(a): does zero-drift latent error in training act as regularisation, seen in the Jacobian of the model?"""

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
from .reading import complete, numbers, of_arm
from .setting import TASKS, cells

PLAIN, NOISY = "plain", "zero drift in training"
# A penalty on this very norm: known to lower it.
KNOWN = "whitened penalty, prior map"
SHOWN = ("drift in training", KNOWN)
LEVEL = 0.95
# Smallest relevant effect: a tenth.
EFFECT = 0.9


@final
@dataclass(frozen=True)
class Regularises(Claim):
    """Log ratio of the Jacobian norm, trained with and without the error, one pair a seed.

    The control judges another arm, with a penalty on this very norm in place of the error: there it has to fall.
    """

    tried: str = NOISY

    id = "E1a"
    statement = (
        "Zero-drift error injected into the latent z of a recurrent state-space model at every step of training lowers "
        "the root mean square whitened Frobenius norm of the prior map's Jacobian by a tenth or more."
    )
    cases = TASKS[:1]
    source = PAPER + ": moderate zero-drift representation error acts as implicit regularisation"
    note = (
        "Model level only. Protocol, with the dose and how it was chosen: analysis/protocol/e1a.md. Pairs share "
        "weights' and windows' seeds. States, observations: dm_control, states."
    )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        return cells(case, "RSSM", (PLAIN, self.tried, *(SHOWN if drawn else ())), scale)

    def compute(self, cell: Cell) -> Result:
        return compute(cell)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        plain, other = (of_arm(records, case, "RSSM", arm) for arm in (PLAIN, self.tried))
        failed = complete(plain, other)
        if failed is not None:
            return failed
        change = np.log(numbers(other, _norm) / numbers(plain, _norm))
        return paired(change, (-math.inf, math.log(EFFECT)), LEVEL, what=f"log ratio of the norm, {self.tried}")

    def control(self) -> "Regularises":
        """The same judgement of a penalty that is known to lower the norm."""
        return replace(self, tried=KNOWN if self.tried == NOISY else NOISY)


def _norm(record: Record) -> float:
    return float(record.values["jacobian"]["frobenius, whitened"])


ROWS = (Row(Regularises(), dict.fromkeys(Regularises.cases, None), repetitions=0),)
