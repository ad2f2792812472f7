"""Train the agents of the claims about returns, judge, compare: `python -m analysis.agents [run | judge]`.

Over an hour on two cores. It can be stopped anywhere and started again; `--minutes 45` stops by itself.
"""

import sys
from pathlib import Path

from ..long import command
from . import AGENTS


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 if all is as expected, 1 if not, 2 for a wrong argument, 3 if unfinished, 130 if interrupted."""
    place = Path("results/agents")
    return command(AGENTS, arguments, name="analysis.agents", description=__doc__ or "", results=place)


if __name__ == "__main__":
    sys.exit(main())
