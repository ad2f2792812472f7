"""Claims of one's own: stated, computed, judged, controlled and reported."""

from .claim import Cell as Cell
from .claim import Claim as Claim
from .claim import Result as Result
from .claim import Row as Row
from .runner import judge as judge
from .runner import run as run
from .runner import table as table
from .verdicts import read_verdicts as read_verdicts
from .verdicts import write_verdicts as write_verdicts
