"""E3: does a Jacobian penalty help where observations are perturbed?"""

from typing import final

from sdewm.claims import Row

from ..arms import RATIO
from ..kit import PAPER
from .arms import PerturbedArms
from .e6 import LongHorizon


@final
class Withstands(PerturbedArms):
    """Log ratio of the error from perturbed observations, trained with and without a penalty."""

    id = "E3"
    title = "A Jacobian penalty makes a model robust"
    statement = (
        "A Frobenius penalty on the Jacobian of the prior map, added to the training loss of a recurrent state-space "
        f"model of pendulum-swingup, lowers the root mean square open-loop error {PerturbedArms.steps} steps ahead, "
        "from observations that are perturbed, by a twentieth or more."
    )
    source = PAPER + ": Jacobian regularisation improves robustness to noise, rotation and masking"
    formula = RATIO
    note = (
        "Model level. Protocol: analysis/protocol/e3.md. Middle strengths are judged; all strengths, the filter map, "
        "and controls at equal compute are shown."
    )
    pair = LongHorizon.pair
    shown = LongHorizon.shown


ROWS = (Row(Withstands(), dict.fromkeys(Withstands.cases, None), repetitions=0),)
