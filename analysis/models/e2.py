"""E2 at model level: does a drift error in the latent compound over a rollout, and a zero-drift error not?"""

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
from .reading import Array, complete, numbers, of_arm
from .setting import MODELS, TASKS, cells

ZERO, DRIFT = "zero drift", "drift"
STEPS, SIZE = 25, 0.1
AT_MOST, MORE, ABOVE = "zero drift: at most √N", "drift: more than N", "drift above zero drift"
CASES = (AT_MOST, MORE, ABOVE)
# Three cases share 5 %.
LEVEL = 1.0 - 0.05 / len(CASES)


@final
@dataclass(frozen=True)
class Compounds(Claim):
    """Growth of injected errors over a rollout against the laws of plain addition, one number a seed.

    The control turns each statement round: more than √N, at most N, and the two errors swapped.
    """

    swapped: bool = False

    id = "E2"
    statement = (
        "Errors of equal whitened one-step size 0.1, injected into the latent z of a recurrent state-space model of "
        "pendulum-swingup at every step of a rollout: over 25 steps (a) a zero-drift error grows at most like √N, (b) "
        "a drift error grows by more than N, so that it compounds, (c) the drift error ends larger."
    )
    cases = CASES
    source = PAPER + ": drift errors accumulate over a rollout, zero-drift errors do not"
    note = (
        "Model level only. Protocol: analysis/protocol/e2.md. Plain addition alone gives √N for zero drift and N for "
        "drift: (c) by itself is no compounding. Such a model draws z anew from h at every step, which speaks for (a) "
        "and against (b) by its construction; errors in h, which are not judged, grow faster: see the table of growth."
    )

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        pairs = [(task, model) for task in TASKS for model in MODELS] if drawn else [(TASKS[0], "RSSM")]
        return [cell for task, model in pairs for cell in cells(task, model, ("plain",), scale)]

    def compute(self, cell: Cell) -> Result:
        return compute(cell)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        plain = of_arm(records, TASKS[0], "RSSM", "plain")
        failed = complete(plain)
        if failed is not None:
            return failed
        first, last = 1, STEPS
        if case == ABOVE:
            excess = size_of(plain, DRIFT, last) - size_of(plain, ZERO, last)
            excess = -excess if self.swapped else excess
            return paired(excess, (0.0, math.inf), LEVEL, what=f"log of drift over zero-drift error at step {last}")
        kind, power = (ZERO, 0.5) if case == AT_MOST else (DRIFT, 1.0)
        grown = size_of(plain, kind, last) - size_of(plain, kind, first)
        at_most = (case == AT_MOST) is not self.swapped
        border = (-math.inf, 0.0) if at_most else (0.0, math.inf)
        what = f"log of growth over {STEPS} steps against {'√N' if case == AT_MOST else 'N'}"
        return paired(grown - power * math.log(STEPS), border, LEVEL, what=what)

    def control(self) -> "Compounds":
        """The same judgement with the statement turned round."""
        return replace(self, swapped=not self.swapped)


def size_of(records: dict[int, Record], kind: str, step: int, block: str = "z", size: float = SIZE) -> Array:
    """Logarithm of the root mean square latent error after a step, one number a seed."""
    name = f"growth/{kind}/{block}/{size:g}"
    return np.log(numbers(records, lambda record: float(record.arrays[name][step - 1])))


ROWS = (Row(Compounds(), dict.fromkeys(CASES, None), repetitions=0),)
