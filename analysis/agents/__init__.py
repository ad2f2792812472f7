"""Claims about agents that are trained on several seeds, by `python -m analysis.agents`, and judged from records."""

from pathlib import Path

from sdewm.claims import Row

from .e1 import ROWS as E1
from .e2 import ROWS as E2
from .e3 import ROWS as E3
from .e4 import ROWS as E4
from .e5 import ROWS as E5
from .e6 import ROWS as E6
from .solves import ROWS as SOLVES

AGENTS: tuple[Row, ...] = (*SOLVES, *E1, *E2, *E3, *E4, *E5, *E6)

# Records of the standard budget come with the project: training these agents takes over an hour on two cores.
RECORDS = Path(__file__).parents[1] / "records" / "agents"
COMMAND = "make reproduce-agents"
