"""Figures of the claims about trained agents."""

from ..kit import Draw
from .errors import draw_prediction
from .growth import draw_compounding
from .learning import draw_solved, draw_speed, draw_stability
from .returns import draw_error_in_training, draw_penalties

FIGURES: dict[str, Draw] = {
    "L7": draw_solved,
    "E1-agent": draw_error_in_training,
    "E2-agent": draw_compounding,
    "E3-agent": draw_penalties,
    "E4-agent": draw_stability,
    "E5-agent": draw_speed,
    "E6-agent": draw_prediction,
}
