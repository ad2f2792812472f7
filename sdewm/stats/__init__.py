"""Decisions from estimates, with a stated error rate."""

from .controls import controlled as controlled
from .decide import heavy_tail as heavy_tail
from .equivalence import equivalence as equivalence
from .multilevel import allocate as allocate
from .multilevel import ladder as ladder
from .multilevel import telescoped as telescoped
from .one_sided import at_least as at_least
from .order import negligible as negligible
from .order import order_at_least as order_at_least
from .power import Power as Power
from .ratio import all_of as all_of
from .ratio import ratio_interval as ratio_interval
from .ratio import rms_ratio as rms_ratio
from .remainders import Remainders as Remainders
