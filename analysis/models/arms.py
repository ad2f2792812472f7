"""Claims about two arms of recurrent state-space models of one task."""

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from sdewm.claims import Cell, Result
from sdewm.run import Record
from sdewm.verdict import Verdict

from ..arms import Arm, PairedArms
from .measure import compute
from .reading import of_arm
from .setting import TASKS, cells

# Smallest relevant effect: a twentieth of an error.
FACTOR = 0.95


class ModelArms(PairedArms, ABC):
    """Two arms that are trained on pendulum-swingup.

    Attributes:
        shown: other arms, which are drawn and not judged.
    """

    shown: ClassVar[tuple[str, ...]]

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        """Both arms, and the others where they are drawn."""
        return cells(TASKS[0], "RSSM", tuple(dict.fromkeys((*self.judged, *(self.shown if drawn else ())))), scale)

    def compute(self, cell: Cell) -> Result:
        """Train and measure."""
        return compute(cell)

    def arm(self, records: Sequence[Record], name: str) -> Arm:
        """The records of one arm."""
        return of_arm(records, TASKS[0], "RSSM", name)


class PerturbedArms(ModelArms, ABC):
    """Errors of prediction from perturbed observations.

    The known pair is that of plain training and of training under noise on the observations, which helps.
    """

    known = ("plain", "noise injection")
    # The middle strength of each kind.
    strengths: ClassVar[dict[str, str]] = {
        "noise": "noise/0.3",
        "rotation": "rotation/15",
        "masking": "masking/0.3",
    }
    cases = tuple(strengths)
    steps: ClassVar[int] = 25

    def decided(self, case: str, base: Arm, tried: Arm) -> Verdict:
        """Whether the error is lower by the smallest relevant effect."""

        def read(record: Record) -> float:
            return float(record.values["perturbed"][self.strengths[case]][str(self.steps)])

        return self.lower(read, FACTOR, base, tried, f"the error {self.steps} steps ahead")
