"""E1: does zero-drift latent error in training make an agent robust to perturbed observations?"""

from typing import final

from sdewm.claims import Row
from sdewm.verdict import Verdict

from ..arms import GAIN, Arm
from ..kit import PAPER
from .arms import POINTS, AgentArms
from .reading import mean_return

# The middle strength of each kind.
STRENGTHS = {"noise": "noise/0.3", "rotation": "rotation/15", "masking": "masking/0.3"}


@final
class ZeroDriftHelps(AgentArms):
    """Gain in return on perturbed observations."""

    id = "E1-agent"
    title = "Zero-drift error in training makes an agent robust"
    statement = (
        "Zero-drift error injected into the latent z at every step of training the model of an agent on "
        f"cartpole-swingup raises its return on perturbed observations by {POINTS:g} of 1000 or more."
    )
    cases = tuple(STRENGTHS)
    source = PAPER + ": moderate zero-drift representation error improves generalization"
    formula = GAIN
    note = "Protocol: analysis/protocol/agents.md. Five pairs tell only effects of two standard deviations."
    pair = ("plain", "zero drift in training")

    def decided(self, case: str, base: Arm, tried: Arm) -> Verdict:
        return self.higher(mean_return(STRENGTHS[case]), POINTS, base, tried, f"return, {case}")


ROWS = (Row(ZeroDriftHelps(), dict.fromkeys(ZeroDriftHelps.cases, None), repetitions=0),)
