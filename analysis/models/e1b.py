"""E1(b): does zero-drift latent error in training improve prediction from perturbed observations?"""

from typing import final

from sdewm.claims import Row

from ..arms import RATIO
from ..kit import PAPER
from .arms import PerturbedArms


@final
class Robust(PerturbedArms):
    """Log ratio of the error from perturbed observations, trained with and without the error."""

    id = "E1b"
    title = "Zero-drift error in training makes a model robust"
    statement = (
        "Zero-drift error injected into the latent z of a recurrent state-space model of pendulum-swingup at every "
        f"step of training lowers the root mean square open-loop error {PerturbedArms.steps} steps ahead, from "
        "observations that are perturbed, by a twentieth or more."
    )
    source = PAPER + ": moderate zero-drift representation error improves generalization to perturbed observations"
    formula = RATIO
    note = "Model level. Protocol: analysis/protocol/e1b.md. Middle strengths are judged, all are shown."
    pair = ("plain", "zero drift in training")
    shown = ("drift in training",)


ROWS = (Row(Robust(), dict.fromkeys(Robust.cases, None), repetitions=0),)
