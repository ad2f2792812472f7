"""E6: does a Jacobian penalty lower the long-horizon error of an agent's model?"""

from typing import final

from sdewm.claims import Row
from sdewm.verdict import Verdict

from ..arms import RATIO, Arm
from ..kit import PAPER
from .arms import FACTOR, AgentArms
from .reading import error_at

HORIZONS = (25, 50, 100)


@final
class PenaltyPredicts(AgentArms):
    """Change of the open-loop error, in episodes of each agent's own policy."""

    id = "E6-agent"
    title = "A Jacobian penalty lowers an agent's model's long-horizon errors"
    statement = (
        "A Frobenius penalty on the Jacobian of the prior map, in training the model of an agent on cartpole-swingup, "
        "lowers that model's open-loop error, in episodes of the agent's own policy, to "
        f"{FACTOR:g} times or less."
    )
    cases = tuple(f"{n} actions ahead" for n in HORIZONS)
    source = PAPER + ": Jacobian regularisation improves long-horizon prediction"
    formula = RATIO
    note = (
        "Protocol: analysis/protocol/agents.md. Each agent is measured on what its own policy visits, so that a better "
        "policy may meet what is easier or harder to predict; errors on common episodes of random actions are shown."
    )
    pair = ("plain", "penalty, prior map")

    def decided(self, case: str, base: Arm, tried: Arm) -> Verdict:
        steps = int(case.split()[0])
        return self.lower(error_at(steps), FACTOR, base, tried, f"the error {steps} ahead")


ROWS = (Row(PenaltyPredicts(), dict.fromkeys(PenaltyPredicts.cases, None), repetitions=0),)
