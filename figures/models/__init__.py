"""Figures of the claims about models that are trained on many seeds."""

from ..kit import Draw
from .baselines import draw_baselines
from .e1 import draw_regularises
from .e2 import draw_compounding
from .e6 import draw_long_horizon
from .e7 import draw_capacity
from .perturbed import draw_robust, draw_withstands

FIGURES: dict[str, Draw] = {
    "L4": draw_baselines,
    "E1a": draw_regularises,
    "E1b": draw_robust,
    "E2": draw_compounding,
    "E3": draw_withstands,
    "E6": draw_long_horizon,
    "E7": draw_capacity,
}
