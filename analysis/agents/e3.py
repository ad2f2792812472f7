"""E3: does a Jacobian penalty make an agent robust to perturbed observations?"""

from typing import final

from sdewm.claims import Row
from sdewm.verdict import Verdict

from ..arms import GAIN, Arm
from ..kit import PAPER
from .arms import POINTS, AgentArms
from .e1 import STRENGTHS
from .reading import mean_return


@final
class PenaltyHelps(AgentArms):
    """Gain in return on perturbed observations."""

    id = "E3-agent"
    title = "A Jacobian penalty makes an agent robust"
    statement = (
        "A Frobenius penalty on the Jacobian of the prior map, in training the model of an agent on cartpole-swingup, "
        f"raises its return on perturbed observations by {POINTS:g} of 1000 or more."
    )
    cases = tuple(STRENGTHS)
    source = PAPER + ": Jacobian regularisation improves robustness to noise, rotation and masking"
    formula = GAIN
    note = "Protocol: analysis/protocol/agents.md. The penalty on the filter map is shown and not judged."
    pair = ("plain", "penalty, prior map")

    def decided(self, case: str, base: Arm, tried: Arm) -> Verdict:
        return self.higher(mean_return(STRENGTHS[case]), POINTS, base, tried, f"return, {case}")


ROWS = (Row(PenaltyHelps(), dict.fromkeys(PenaltyHelps.cases, None), repetitions=0),)
