"""Figures of the claims about the sign of an error's effect."""

from ..kit import Draw
from .convex import draw_always_positive, draw_interpolation, draw_positive_cases
from .gradient import draw_gradient

FIGURES: dict[str, Draw] = {
    "S1": draw_always_positive,
    "S2": draw_positive_cases,
    "S3": draw_interpolation,
    "S4": draw_gradient,
}
