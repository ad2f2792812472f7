"""The theory's formulas, evaluated on a system and checked against its simulation."""

from .expansion import FORMS as FORMS
from .expansion import Expansion as Expansion
from .expansion import expand as expand
