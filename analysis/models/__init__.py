"""Claims about models that are trained on many seeds: run by `python -m analysis.models`, and judged from records."""

from pathlib import Path

from sdewm.claims import Row

from .baselines import ROWS as BASELINES
from .e1 import ROWS as E1
from .e1b import ROWS as E1B
from .e2 import ROWS as E2
from .e3 import ROWS as E3
from .e6 import ROWS as E6
from .e7 import ROW as E7

MODELS: tuple[Row, ...] = (*BASELINES, *E1, *E1B, *E2, *E3, *E6, E7)

# Records of the standard budget come with the project: training these models takes about an hour on two cores.
RECORDS = Path(__file__).parents[1] / "records" / "models"
COMMAND = "make reproduce-models"
