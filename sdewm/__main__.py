"""The command line, for those whose shell does not find `sdewm`: `python -m sdewm`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
