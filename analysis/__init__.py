"""The catalogue of claims about latent world models: one claim a row, grouped by theme."""

from sdewm.claims import Row

from .agents.quick import ROWS as AGENTS
from .bounds import ROWS as BOUNDS
from .expansion import ROWS as EXPANSION
from .learned import ROWS as LEARNED
from .models.quick import ROWS as RECORDED
from .sign import ROWS as SIGN

CATALOGUE: tuple[Row, ...] = (*EXPANSION, *SIGN, *BOUNDS, *LEARNED, *RECORDED, *AGENTS)
