"""Claims about the sign of an error's effect: S1 to S4."""

from . import convex, gradient

ROWS = (*convex.ROWS, gradient.ROW)
