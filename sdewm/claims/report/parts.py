"""What a page is made of: pictures with their data, tables, sections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final


@final
@dataclass(frozen=True)
class Picture:
    """A figure that is embedded in the page.

    Attributes:
        path: an SVG or a PNG.
        caption: what to see in it.
        data: the numbers that are drawn, nested mappings of lists; shown as tables beside it.
    """

    path: Path
    caption: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: what it shows.
        head: names of its columns.
        rows: as many cells each as there are columns.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@final
@dataclass(frozen=True)
class Section:
    """What is shown after the claims.

    Attributes:
        title: its heading.
        text: paragraphs, with an empty line between two.
        tables: shown after the text.
        picture: shown last, if any.
        log: text that keeps its lines and columns, folded.
    """

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    picture: Picture | None = None
    log: str = ""
