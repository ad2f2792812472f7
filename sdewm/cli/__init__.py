"""The command line: `sdewm --help`, or `python -m sdewm --help`."""

from .main import main as main
