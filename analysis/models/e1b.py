"""E1(b): does zero-drift latent error in training improve prediction from perturbed observations?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from sdewm.claims import Cell, Claim, Result, Row
from sdewm.run import Record
from sdewm.verdict import Verdict

from ..kit import PAPER
from .measure import compute
from .perturbed import KNOWN, PLAIN, STEPS, STRENGTHS, judge_perturbed
from .setting import TASKS, cells

NOISY = "zero drift in training"


@final
@dataclass(frozen=True)
class Robust(Claim):
    """Log ratio of the error from perturbed observations, trained with and without the error, one pair a seed.

    The control judges another arm, which does harm: a drift error in training.
    """

    tried: str = NOISY

    id = "E1b"
    statement = (
        "Zero-drift error injected into the latent z of a recurrent state-space model of pendulum-swingup at every "
        f"step of training lowers the root mean square open-loop error {STEPS} steps ahead, from observations that "
        "are perturbed, by a twentieth or more."
    )
    cases = tuple(STRENGTHS)
    source = PAPER + ": moderate zero-drift representation error improves generalization to perturbed observations"
    note = "Model level. Protocol: analysis/protocol/e1b.md. Middle strengths are judged, all are shown."

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        return cells(TASKS[0], "RSSM", (PLAIN, self.tried, *((KNOWN,) if drawn else ())), scale)

    def compute(self, cell: Cell) -> Result:
        return compute(cell)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        return judge_perturbed(records, self.tried, case)

    def control(self) -> "Robust":
        """The same judgement of an arm that does harm."""
        return replace(self, tried=KNOWN if self.tried == NOISY else NOISY)


ROWS = (Row(Robust(), dict.fromkeys(Robust.cases, None), repetitions=0),)
