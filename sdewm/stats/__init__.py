"""Decisions from estimates, with a stated error rate."""

from .equivalence import equivalence as equivalence
from .power import Power as Power
from .ratio import all_of as all_of
from .ratio import ratio_interval as ratio_interval
from .ratio import rms_ratio as rms_ratio
