"""Figures of the claims about bounds on the error of a rollout."""

from ..kit import Draw
from .expected_sup import draw_expected_sup
from .frobenius import draw_frobenius
from .gaussian import draw_gaussian
from .identity import draw_identity
from .kreiss import draw_kreiss
from .linear_noise import draw_linear_noise
from .log_norm import draw_log_norm
from .random_jacobian import draw_random_jacobian
from .value_gap import draw_value_gap
from .weighted import draw_weighted

FIGURES: dict[str, Draw] = {
    "B1": draw_expected_sup,
    "B2": draw_random_jacobian,
    "B3": draw_log_norm,
    "B4": draw_weighted,
    "B5": draw_identity,
    "B6": draw_linear_noise,
    "B7": draw_gaussian,
    "B8": draw_value_gap,
    "B9": draw_frobenius,
    "B10": draw_kreiss,
}
