"""Decisions from estimates, with a stated error rate."""

from .equivalence import equivalence as equivalence
from .power import Power as Power
