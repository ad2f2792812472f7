"""The command line: `sdewm --help`, or `python -m sdewm.cli --help`."""

from .main import main as main
