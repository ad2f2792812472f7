"""Take the records of a whole run and two agents into the project: `python -m analysis.agents.ship`."""

import sys
from functools import partial
from pathlib import Path

from sdewm.worldmodel import save_agent

from ..ship import ship
from . import AGENTS, COMMAND, RECORDS
from .measure import train
from .quick import SHIPPED, file_of
from .setting import cell


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 where the run is not whole or too large to keep."""
    weights = {file_of(arm, seed): partial(_write, arm, seed) for arm, seed in SHIPPED.values()}
    own = {"name": "analysis.agents.ship", "description": __doc__ or "", "made_by": COMMAND}
    return ship(AGENTS, RECORDS, weights, arguments, results=Path("results/agents"), **own)


def _write(arm: str, seed: int, path: Path) -> None:
    save_agent(train(cell(arm, seed)).agent, path)


if __name__ == "__main__":
    sys.exit(main())
