"""What the drawing functions share."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from sdewm.estimate import Moments
from sdewm.run import Record


class Drawing(NamedTuple):
    """A figure, what there is to see in it, and the numbers that are drawn."""

    figure: Figure
    caption: str
    data: Mapping[str, Any]


# For each case its verdict line and its records.
Cases = Mapping[str, tuple[Mapping[str, Any], Sequence[Record]]]
Draw = Callable[[Cases], Drawing]


def moments_of(records: Sequence[Record]) -> Moments:
    """The moments that a case's only cell has recorded."""
    (record,) = records
    return Moments.from_arrays(record.arrays)
