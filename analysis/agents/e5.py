"""E5: does a Jacobian penalty speed an agent's learning?"""

from collections.abc import Sequence
from typing import final

from sdewm.claims import Cell, Row
from sdewm.verdict import Verdict

from ..arms import GAIN, Arm
from ..kit import PAPER
from .arms import POINTS, AgentArms
from .reading import learning
from .setting import TASK, seeds, small


@final
class PenaltySpeeds(AgentArms):
    """Gain in the area under the learning curve."""

    id = "E5-agent"
    title = "A Jacobian penalty speeds an agent's learning"
    statement = (
        "A Frobenius penalty on the Jacobian of the prior map, in training the model of an agent on cartpole-swingup, "
        f"raises the mean return of the episodes that are played while training by {POINTS:g} of 1000 or more."
    )
    cases = (TASK,)
    source = PAPER + ": Jacobian regularisation accelerates convergence"
    formula = GAIN.replace("return", "mean return while training")
    note = "Protocol: analysis/protocol/agents.md. At equal environment steps and equal gradient steps."
    pair = ("plain", "penalty, prior map")

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        # The quick form needs small agents on record: they are trained beside the others.
        return [*super().cells(case, scale, seed, drawn), *(small(each) for each in seeds(scale) if drawn)]

    def decided(self, case: str, base: Arm, tried: Arm) -> Verdict:
        return self.higher(learning, POINTS, base, tried, "the mean return of training")


ROWS = (Row(PenaltySpeeds(), dict.fromkeys(PenaltySpeeds.cases, None), repetitions=0),)
