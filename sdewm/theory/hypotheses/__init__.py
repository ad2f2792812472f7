"""The hypotheses of the expansion, by name: declared, probed, or left unchecked."""

from .check import NAMES as NAMES
from .check import check_hypotheses as check_hypotheses
from .check import check_names as check_names
from .check import refuse as refuse
from .check import unchecked as unchecked
from .growth import superlinear as superlinear
