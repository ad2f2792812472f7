"""Sections that follow the claims."""

import re

from .claim import BACK, figure, table_of, text
from .parts import Section


def sections(section: Section, number: int) -> str:
    """The section of this number: paragraphs, picture, tables, folded text."""
    name = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") or "more"
    tables = "".join(map(table_of, section.tables))
    log = f"<details><summary>As text</summary><pre class='wide' tabindex='0'>{text(section.log)}</pre></details>"
    return (
        f"<section id='section-{number}-{name}'><h2>{text(section.title)}{BACK}</h2>"
        f"{_paragraphs(section.text)}{'' if section.picture is None else figure(section.title, section.picture)}"
        f"{tables}{log if section.log else ''}</section>"
    )


def _paragraphs(said: str) -> str:
    """Paragraphs; lines that begin with a dash are a list."""
    found = []
    for paragraph in filter(None, map(str.strip, said.split("\n\n"))):
        lines = paragraph.split("\n")
        plain = " ".join(line for line in lines if not line.startswith("- "))
        items = "".join(f"<li>{text(line[2:])}</li>" for line in lines if line.startswith("- "))
        found.append((f"<p>{text(plain)}</p>" if plain else "") + (f"<ul>{items}</ul>" if items else ""))
    return "".join(found)
