"""E6: does a Jacobian penalty improve long-horizon prediction?"""

from typing import final

from sdewm.claims import Row
from sdewm.verdict import Verdict

from ..arms import RATIO, Arm
from ..kit import PAPER
from .arms import FACTOR, ModelArms
from .reading import error_at

HORIZONS = (25, 50, 100)


@final
class LongHorizon(ModelArms):
    """Log ratio of the open-loop error, trained with and without a Jacobian penalty.

    The control judges what it does to leave out a drift error in training, which does harm: there the error falls.
    """

    id = "E6"
    title = "A Jacobian penalty lowers long-horizon errors"
    statement = (
        "A Frobenius penalty on the Jacobian of the prior map, added to the training loss of a recurrent state-space "
        "model of pendulum-swingup, lowers the root mean square open-loop error by a twentieth or more."
    )
    cases = tuple(f"{n} steps ahead" for n in HORIZONS)
    source = PAPER + ": Jacobian regularisation improves long-horizon prediction"
    formula = RATIO
    note = (
        "Model level only. Protocol, with the weight and how it was chosen: analysis/protocol/e6.md. Penalties on the "
        "filter map, and the controls at equal compute (more steps, noise on the observations, weight decay, spectral "
        "normalisation), are shown and not judged."
    )
    pair = ("plain", "penalty, prior map")
    known = ("drift in training", "plain")
    shown = (
        "penalty, filter map",
        "whitened penalty, prior map",
        "more steps",
        "noise injection",
        "weight decay",
        "spectral norm",
    )

    def decided(self, case: str, base: Arm, tried: Arm) -> Verdict:
        return self.lower(error_at(int(case.split()[0])), FACTOR, base, tried, "the error")


ROWS = (Row(LongHorizon(), dict.fromkeys(LongHorizon.cases, None), repetitions=0),)
