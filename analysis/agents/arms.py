"""Claims about two arms of agents."""

from abc import ABC
from collections.abc import Sequence

from sdewm.claims import Cell, Result
from sdewm.run import Record

from ..arms import Arm, PairedArms
from ..kit import declared
from .measure import compute
from .reading import of_arm
from .setting import ARMS, cells, more_cells

# Smallest relevant effects: a twentieth of the largest return, and of an error.
POINTS, FACTOR = 50.0, 0.95


class AgentArms(PairedArms, ABC):
    """Two arms of agents that are trained on cartpole-swingup.

    The control judges what it does to leave out a large drift error in training, which does harm.
    """

    known = ("large drift in training", "plain")
    assumes = (
        *PairedArms.assumes,
        declared("the control's arm", "its dose was raised after its own returns were seen; no judged pair has it"),
    )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        """Both arms, and all the others where they are drawn."""
        return [
            *cells([arm for arm in ARMS if drawn or arm in self.judged], scale),
            *(more_cells(scale) if drawn else ()),
        ]

    def compute(self, cell: Cell) -> Result:
        """Train and measure."""
        return compute(cell)

    def arm(self, records: Sequence[Record], name: str) -> Arm:
        """The records of one arm."""
        return of_arm(records, name)
