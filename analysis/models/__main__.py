"""Train the models of the claims about learned models, judge, compare: `python -m analysis.models [run | judge]`.

About an hour on two cores. It can be stopped anywhere and started again; `--minutes 45` stops by itself.
"""

import sys
from pathlib import Path

from ..long import command
from . import MODELS


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 if all is as expected, 1 if not, 2 for a wrong argument, 3 if unfinished, 130 if interrupted."""
    place = Path("results/models")
    return command(MODELS, arguments, name="analysis.models", description=__doc__ or "", results=place)


if __name__ == "__main__":
    sys.exit(main())
