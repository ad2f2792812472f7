"""The figures' style, under the name that it had before it became everybody's: `sdewm.style`."""

from ..style import COLOURS as COLOURS
from ..style import GREY as GREY
from ..style import MARKERS as MARKERS
from ..style import new_figure as new_figure
from ..style import style as style
