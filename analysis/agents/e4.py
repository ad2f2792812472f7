"""E4: does a Jacobian penalty help an agent that is trained under encoder error?"""

from typing import final

from sdewm.claims import Row
from sdewm.verdict import Verdict

from ..arms import GAIN, RATIO, Arm
from ..kit import PAPER
from .arms import FACTOR, POINTS, AgentArms
from .reading import error_at, mean_return

RETURN, ERROR, STEPS = "return", "open-loop error", 25


@final
class PenaltyStabilises(AgentArms):
    """Gain in return, and change of the open-loop error, by the penalty where the latent has a drift error."""

    id = "E4-agent"
    title = "A Jacobian penalty stabilises an agent under drift error"
    statement = (
        "Where a drift error is injected into the latent z at every step of training the model of an agent on "
        "cartpole-swingup, a Frobenius penalty on the Jacobian of the prior map raises the final return by "
        f"{POINTS:g} of 1000 or more, and lowers the open-loop error {STEPS} actions ahead to {FACTOR:g} times or less."
    )
    cases = (RETURN, ERROR)
    source = PAPER + ": Jacobian regularisation stabilises training under encoder error"
    formula = GAIN + "\n" + RATIO
    note = "Protocol: analysis/protocol/agents.md. The share of runs that left the numbers is shown."
    pair = ("drift in training", "drift in training, penalty")

    def decided(self, case: str, base: Arm, tried: Arm) -> Verdict:
        if case == RETURN:
            return self.higher(mean_return(), POINTS, base, tried, "return")
        return self.lower(error_at(STEPS), FACTOR, base, tried, f"the error {STEPS} ahead")


ROWS = (Row(PenaltyStabilises(), dict.fromkeys(PenaltyStabilises.cases, None), repetitions=0),)
