"""One drawing function a claim; each reads stored records only."""

from .expansion import draw_uncorrected_form, draw_zero_drift
from .kit import Draw

FIGURES: dict[str, Draw] = {
    "X3": draw_uncorrected_form,
    "X7": draw_zero_drift,
}
