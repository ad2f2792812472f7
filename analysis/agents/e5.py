"""E5: does a Jacobian penalty speed an agent's learning?"""

from typing import final

from sdewm.claims import Row
from sdewm.verdict import Verdict

from ..kit import PAPER
from .arms import POINTS, PairedArms, Records
from .reading import learning, numbers
from .setting import TASK


@final
class PenaltySpeeds(PairedArms):
    """Gain in the area under the learning curve."""

    id = "E5-agent"
    statement = (
        "A Frobenius penalty on the Jacobian of the prior map, in training the model of an agent on cartpole-swingup, "
        f"raises the mean return of the episodes that are played while training by {POINTS:g} of 1000 or more."
    )
    cases = (TASK,)
    source = PAPER + ": Jacobian regularisation accelerates convergence"
    note = "Protocol: analysis/protocol/agents.md. At equal environment steps and equal gradient steps."
    pair = ("plain", "penalty, prior map")

    def decided(self, case: str, base: Records, tried: Records) -> Verdict:
        return self.points(numbers(tried, learning) - numbers(base, learning), "gain in the mean return of training")


ROWS = (Row(PenaltySpeeds(), dict.fromkeys(PenaltySpeeds.cases, None), repetitions=0),)
