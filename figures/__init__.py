"""One drawing function a claim; each reads stored records only."""

from .expansion import draw_uncorrected_form, draw_zero_drift
from .kit import Draw
from .learned import draw_baselines, draw_compounding, draw_first_order

FIGURES: dict[str, Draw] = {
    "X3": draw_uncorrected_form,
    "X7": draw_zero_drift,
    "L1": draw_first_order,
    "L2": draw_compounding,
    "L3": draw_baselines,
}
