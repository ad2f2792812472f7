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
SHOWN = ("drift in training",)
LEVEL = 0.95
# Smallest relevant effect: a tenth.
EFFECT = 0.9


@final
@dataclass(frozen=True)
class Regularises(Claim):
    """Log ratio of the Jacobian norm, trained with and without the error, one pair a seed.

    The control swaps the arms: then training without the error would have to lower the norm.
    """

    swapped: bool = False

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
        return cells(case, "RSSM", (PLAIN, NOISY, *(SHOWN if drawn else ())), scale)

    def compute(self, cell: Cell) -> Result:
        return compute(cell)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        plain, noisy = (of_arm(records, case, "RSSM", arm) for arm in (PLAIN, NOISY))
        failed = complete(plain, noisy)
        if failed is not None:
            return failed
        a, b = (numbers(arm, _norm) for arm in (plain, noisy))
        change = np.log(a / b) if self.swapped else np.log(b / a)
        what = "log ratio of the norm, without error to with it" if self.swapped else "log ratio of the norm"
        return paired(change, (-math.inf, math.log(EFFECT)), LEVEL, what=what)

    def control(self) -> "Regularises":
        """The same judgement with the arms swapped."""
        return replace(self, swapped=not self.swapped)


def _norm(record: Record) -> float:
    return float(record.values["jacobian"]["frobenius, whitened"])


ROWS = (Row(Regularises(), dict.fromkeys(Regularises.cases, None), repetitions=0),)
