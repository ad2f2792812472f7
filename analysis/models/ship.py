"""Take the records of a whole run and the models of a few seeds into the project: `python -m analysis.models.ship`."""

import sys
from functools import partial
from pathlib import Path

from sdewm.worldmodel import save

from ..ship import ship
from . import COMMAND, MODELS, RECORDS
from .measure import data, trained
from .quick import SHIPPED, file_of
from .setting import cell


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 where the run is not whole or too large to keep."""
    weights = {file_of(task, seed): partial(_write, task, seed) for task, seed in SHIPPED.values()}
    own = {"name": "analysis.models.ship", "description": __doc__ or "", "made_by": COMMAND}
    return ship(MODELS, RECORDS, weights, arguments, results=Path("results/models"), **own)


def _write(task: str, seed: int, path: Path) -> None:
    plain = cell(task, "RSSM", "plain", seed)
    save(trained(plain, data(task, **plain.settings["data"])), path)


if __name__ == "__main__":
    sys.exit(main())
