"""Figures of the claims about the expansion."""

from ..kit import Draw
from .bars import draw_four_blocks, draw_left_out, draw_uncorrected_form, draw_where_right
from .kink import draw_kink
from .orders import (
    draw_drift_error,
    draw_fourth_order,
    draw_no_second_correction,
    draw_second_order,
    draw_variations,
)
from .penalty import draw_penalty
from .refused import draw_categorical, draw_running_mean
from .weak import draw_weak_identity
from .zero_drift import draw_correlation, draw_zero_drift

FIGURES: dict[str, Draw] = {
    "X1": draw_variations,
    "X2": draw_second_order,
    "X3": draw_uncorrected_form,
    "X4": draw_where_right,
    "X5": draw_no_second_correction,
    "X6": draw_left_out,
    "X7": draw_zero_drift,
    "X8": draw_correlation,
    "X9": draw_fourth_order,
    "X10": draw_weak_identity,
    "X11": draw_kink,
    "X12": draw_running_mean,
    "X13": draw_four_blocks,
    "X14": draw_drift_error,
    "X15": draw_penalty,
    "D1": draw_categorical,
}
