"""A drawing as files: PNG, PDF, SVG and the numbers that are drawn."""

import json
from io import BytesIO
from pathlib import Path

from sdewm.claims.report import Picture
from sdewm.claims.report.numbers import marked
from sdewm.output import plain
from sdewm.run.store import write_whole
from sdewm.style import style

from .kit import Drawing

# No dates in the files: the same records give the same bytes.
FORMATS: dict[str, dict[str, str | None]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


def save(name: str, drawing: Drawing, place: Path) -> Picture:
    """Write a drawing in all formats, whole; what the report embeds of it."""
    with style():
        for suffix, metadata in FORMATS.items():
            buffer = BytesIO()
            drawing.figure.savefig(buffer, format=suffix, metadata=metadata)
            write_whole(place / f"{name}.{suffix}", buffer.getvalue())
    write_whole(
        place / f"{name}.json", (json.dumps(plain(marked(drawing.data)), indent=1, allow_nan=False) + "\n").encode()
    )
    return Picture(place / f"{name}.svg", drawing.caption, drawing.data)
