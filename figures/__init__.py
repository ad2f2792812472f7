"""One drawing function a claim; each reads stored records only."""

from .agents import FIGURES as AGENTS
from .bounds import FIGURES as BOUNDS
from .expansion import FIGURES as EXPANSION
from .kit import Draw
from .learned import draw_baselines, draw_compounding, draw_first_order
from .models import FIGURES as MODELS
from .sign import FIGURES as SIGN

FIGURES: dict[str, Draw] = {
    **EXPANSION,
    **SIGN,
    **BOUNDS,
    "L1": draw_first_order,
    "L2": draw_compounding,
    "L3": draw_baselines,
    **MODELS,
    **AGENTS,
}
