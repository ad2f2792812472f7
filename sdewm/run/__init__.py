"""Where work is done and where its results are kept."""

from .blocks import workers as workers
from .store import Record as Record
from .store import Store as Store
