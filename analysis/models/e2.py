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

from ..arms import Array, complete
from ..growth import AT_MOST, DRIFT, MORE, STEPS, ZERO, judge_growth
from ..kit import ENDS_LARGER, GROWTH_LAWS, PAPER, certified, unchecked
from .measure import compute
from .reading import of_arm
from .setting import MODELS, TASKS, cells

SIZE = 0.1
ABOVE = "drift above zero drift"
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
    title = "Drift errors compound, zero-drift errors do not: RSSM"
    statement = (
        "Errors of equal whitened one-step size 0.1, injected into the latent z of a recurrent state-space model of "
        "pendulum-swingup at every step of a rollout: over 25 steps (a) a zero-drift error grows at most like √N, (b) "
        "a drift error grows by more than N, so that it compounds, (c) the drift error ends larger."
    )
    cases = CASES
    source = PAPER + ": drift errors accumulate over a rollout, zero-drift errors do not"
    formula = GROWTH_LAWS + "\n" + ENDS_LARGER
    assumes = (
        certified("held-out episodes", "collected with seeds of their own; each counts once"),
        unchecked("normal differences", "Student's interval over the training seeds"),
    )
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
        if case == ABOVE:
            drift, zero = (np.log(errors_of(plain, kind)[:, STEPS - 1]) for kind in (DRIFT, ZERO))
            excess = zero - drift if self.swapped else drift - zero
            return paired(excess, (0.0, math.inf), LEVEL, what=f"log of drift over zero-drift error at step {STEPS}")
        errors = errors_of(plain, ZERO if case == AT_MOST else DRIFT)
        return judge_growth(case, errors, LEVEL, swapped=self.swapped)

    def control(self) -> "Compounds":
        """The same judgement with the statement turned round."""
        return replace(self, swapped=not self.swapped)


def errors_of(records: dict[int, Record], kind: str, block: str = "z", size: float = SIZE) -> Array:
    """Root mean square latent errors after each step, (seeds, steps)."""
    return np.array([record.arrays[f"growth/{kind}/{block}/{size:g}"] for record in records.values()], dtype=float)


ROWS = (Row(Compounds(), dict.fromkeys(CASES, None), repetitions=0),)
