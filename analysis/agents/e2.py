"""E2 in agents: does a drift error compound where the policy answers it, and cost more than a zero-drift one?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from sdewm.claims import Cell, Claim, Result, Row
from sdewm.run import Record
from sdewm.stats import paired
from sdewm.verdict import Verdict

from ..arms import complete, numbers
from ..growth import AT_MOST, DRIFT, MORE, ZERO, judge_growth
from ..kit import GROWTH_LAWS, PAPER, certified, unchecked
from .arms import POINTS
from .measure import compute
from .reading import mean_return, of_arm
from .setting import cells

PLAIN = "plain"
# Whitened one-step size of the error that is injected while acting.
ACTED = 0.3
COSTS = "drift costs more return"
CASES = (AT_MOST, MORE, COSTS)
# Three cases share 5 %.
LEVEL = 1.0 - 0.05 / len(CASES)


@final
@dataclass(frozen=True)
class Compounds(Claim):
    """Growth of errors in imagined rollouts under the policy, and return lost to them while acting.

    The control turns each statement round: more than √N, at most N, and the two errors swapped.
    """

    swapped: bool = False

    id = "E2-agent"
    title = "Drift errors compound and cost an agent return"
    statement = (
        "In agents on cartpole-swingup, errors of equal whitened one-step size in the latent z: over 25 steps that "
        "are imagined under the policy (a) a zero-drift error grows at most like √N, (b) a drift error by more than N; "
        f"(c) injected into the filter while acting, the drift error costs {POINTS:g} of 1000 or more of return beyond "
        "what the zero-drift error costs."
    )
    cases = CASES
    source = PAPER + ": drift errors accumulate over a rollout, zero-drift errors do not"
    formula = (
        GROWTH_LAWS + "\n"
        r"\mathbb{E}_{\text{seeds}}\left[\text{return lost to drift}-\text{return lost to zero drift}\right]\ge50"
    )
    assumes = (
        certified("held-out episodes", "played with seeds of their own"),
        unchecked("normal differences", "Student's interval over the training seeds"),
    )
    note = "Protocol: analysis/protocol/agents.md. The policy sees the error and answers it, in imagination as in play."

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        return cells((PLAIN,), scale)

    def compute(self, cell: Cell) -> Result:
        return compute(cell)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        plain = of_arm(records, PLAIN)
        failed = complete(plain)
        if failed is not None:
            return failed
        if case == COSTS:
            zero, drift = (numbers(plain, mean_return(f"{kind}/{ACTED:g}")) for kind in (ZERO, DRIFT))
            lost = drift - zero if self.swapped else zero - drift
            return paired(lost, (POINTS, math.inf), LEVEL, what="return lost to drift beyond zero drift", unit="points")
        kind = ZERO if case == AT_MOST else DRIFT
        errors = np.array([record.arrays[f"growth/{kind}"] for record in plain.values()], dtype=float)
        return judge_growth(case, errors, LEVEL, swapped=self.swapped)

    def control(self) -> "Compounds":
        """The same judgement with the statement turned round."""
        return replace(self, swapped=not self.swapped)


ROWS = (Row(Compounds(), dict.fromkeys(CASES, None), repetitions=0),)
