"""E3: does a Jacobian penalty help where observations are perturbed?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from sdewm.claims import Cell, Claim, Result, Row
from sdewm.run import Record
from sdewm.verdict import Verdict

from ..kit import PAPER
from .e6 import SHOWN
from .measure import compute
from .perturbed import KNOWN, PLAIN, STEPS, STRENGTHS, judge_perturbed
from .setting import TASKS, cells

PENALTY = "penalty, prior map"


@final
@dataclass(frozen=True)
class Withstands(Claim):
    """Log ratio of the error from perturbed observations, trained with and without a penalty, one pair a seed.

    The control judges another arm, which does harm: a drift error in training.
    """

    tried: str = PENALTY

    id = "E3"
    statement = (
        "A Frobenius penalty on the Jacobian of the prior map, added to the training loss of a recurrent state-space "
        f"model of pendulum-swingup, lowers the root mean square open-loop error {STEPS} steps ahead, from "
        "observations that are perturbed, by a twentieth or more."
    )
    cases = tuple(STRENGTHS)
    source = PAPER + ": Jacobian regularisation improves robustness to noise, rotation and masking"
    note = (
        "Model level. Protocol: analysis/protocol/e3.md. Middle strengths are judged; all strengths, the filter map, "
        "and controls at equal compute are shown."
    )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        return cells(TASKS[0], "RSSM", (PLAIN, self.tried, *(SHOWN if drawn else ())), scale)

    def compute(self, cell: Cell) -> Result:
        return compute(cell)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        return judge_perturbed(records, self.tried, case)

    def control(self) -> "Withstands":
        """The same judgement of an arm that does harm."""
        return replace(self, tried=KNOWN if self.tried == PENALTY else PENALTY)


ROWS = (Row(Withstands(), dict.fromkeys(Withstands.cases, None), repetitions=0),)
