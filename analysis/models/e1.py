"""E1(a): does zero-drift latent error in training act as regularisation, seen in the Jacobian of the model?"""

from typing import final

from sdewm.claims import Row
from sdewm.run import Record
from sdewm.verdict import Verdict

from ..arms import Arm
from ..kit import PAPER
from .arms import ModelArms
from .setting import TASKS

# Smallest relevant effect: a tenth.
EFFECT = 0.9


@final
class Regularises(ModelArms):
    """Log ratio of the Jacobian norm, trained with and without the error.

    The control judges a penalty on this very norm in place of the error: there it has to fall.
    """

    id = "E1a"
    title = "Zero-drift error in training lowers the Jacobian norm"
    statement = (
        "Zero-drift error injected into the latent z of a recurrent state-space model at every step of training lowers "
        "the root mean square whitened Frobenius norm of the prior map's Jacobian by a tenth or more."
    )
    cases = TASKS[:1]
    source = PAPER + ": moderate zero-drift representation error acts as implicit regularisation"
    formula = r"\mathbb{E}_{\text{seeds}}\log\frac{\|J\|_F^{\text{zero drift}}}{\|J\|_F^{\text{plain}}}\le\log0.9"
    note = (
        "Model level only. Protocol, with the dose and how it was chosen: analysis/protocol/e1a.md. Pairs share "
        "weights' and windows' seeds. States, observations: dm_control, states."
    )
    pair = ("plain", "zero drift in training")
    known = ("plain", "whitened penalty, prior map")
    shown = ("drift in training", "whitened penalty, prior map")

    def decided(self, case: str, base: Arm, tried: Arm) -> Verdict:
        return self.lower(_norm, EFFECT, base, tried, "the norm")


def _norm(record: Record) -> float:
    return float(record.values["jacobian"]["frobenius, whitened"])


ROWS = (Row(Regularises(), dict.fromkeys(Regularises.cases, None), repetitions=0),)
