"""L7: the agents that everything else is said of have learned their task."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from sdewm.claims import Cell, Claim, Result, Row
from sdewm.run import Record
from sdewm.stats import paired
from sdewm.verdict import Verdict

from ..arms import complete, numbers
from ..kit import certified, unchecked
from .arms import AgentArms
from .measure import compute
from .reading import mean_return, of_arm
from .setting import cells

LEAST = 700.0
PLAIN, HARMED = AgentArms.known[1], AgentArms.known[0]


@final
@dataclass(frozen=True)
class Solves(Claim):
    """Return of the trained agents.

    The control judges agents that were trained under a large drift error.
    """

    swapped: bool = False

    id = "L7"
    title = "The agents have learned their task"
    statement = (
        "Agents trained in the imagination of a recurrent state-space model on cartpole-swingup, from states, have a "
        f"mean return of {LEAST:g} of 1000 or more over training seeds."
    )
    cases = ("return of the trained agents",)
    source = "a check of the agents of this project"
    formula = r"\mathbb{E}_{\text{seeds}}\,\text{return}\ge700"
    assumes = (
        certified("training seeds", "weights, episodes and noise of an agent have a seed of their own"),
        unchecked("normal returns", "Student's interval over the seeds"),
    )
    note = "Protocol: analysis/protocol/agents.md. Greedy actions, the same starts for each agent."

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        judged = HARMED if self.swapped else PLAIN
        return cells([arm for arm in (PLAIN, HARMED) if drawn or arm == judged], scale)

    def compute(self, cell: Cell) -> Result:
        return compute(cell)

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        arm = of_arm(records, HARMED if self.swapped else PLAIN)
        failed = complete(arm)
        if failed is not None:
            return failed
        return paired(numbers(arm, mean_return()), (LEAST, 1000.0), what="return", unit="points", each="agents")

    def control(self) -> "Solves":
        """The same judgement of agents that learned little."""
        return replace(self, swapped=not self.swapped)


ROWS = (Row(Solves(), dict.fromkeys(Solves.cases, None), repetitions=0),)
