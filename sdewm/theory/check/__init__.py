"""Is a bound true on a system, and how tight is it?"""

from .check import check as check
from .evidence import Evidence as Evidence
from .suprema import seen_constants as seen_constants
