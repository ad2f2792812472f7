"""The page of verdicts: written from files alone, and without a request to any network."""

import base64
import shlex
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...run.store import write_whole
from .claim import section, text
from .parts import Picture, Section
from .sections import sections
from .summary import controls, counts, table


def write_report(
    place: Path,
    verdicts: Mapping[str, Any],
    figures: Mapping[str, Picture],
    made: Mapping[str, Mapping[str, Any]],
    *,
    command: str,
    title: str = "Verdicts",
    notation: str = "",
    appendix: Sequence[Section] = (),
) -> Path:
    """Write `place`/index.html and return its path.

    The page needs nothing but itself: style, script, pictures and mathematics are in it, and its policy forbids the
    browser to ask for anything else. Without a script it is complete; with one, its table can be filtered and sorted.

    Args:
        place: directory of the report.
        verdicts: the content of verdicts.json; a line may name a "command" of its own.
        figures: for each claim what to embed.
        made: for each claim how its records were made.
        command: the command that recreates a claim, with `{claim}` where its name goes.
        title: heading of the page.
        notation: what the symbols mean, once for all sections.
        appendix: further sections.

    Raises:
        OSError: a picture cannot be read, or the page not be written.
    """
    lines: Sequence[Mapping[str, Any]] = verdicts["verdicts"]
    claims = list(dict.fromkeys(line["claim"] for line in lines))
    facts = [f"{name} {verdicts[key]}" for key, name in (("budget", "Budget"), ("seed", "seed")) if key in verdicts]
    body = [
        "<a class='skip' href='#main'>To the verdicts</a>",
        f"<header><h1>{text(title)}</h1>{_theme()}</header><main id='main'>",
        f"<p>{counts(lines)} {text(', '.join(facts))}{'.' if facts else ''}</p>",
        "<p>A claim <span class='holds'>holds</span> or is <span class='violated'>violated</span> where an interval "
        "lies clear of the border; else it is <span class='other'>inconclusive</span>. Each control is the same code "
        "with the formula swapped, and has to come out the other way; power is the share of its repetitions, on fewer "
        "paths, in which it did.</p>",
        f"<details><summary>Notation</summary><p class='note'>{text(notation)}</p></details>" if notation else "",
        controls(lines),
        table(lines),
    ]
    for claim in claims:
        own = [line for line in lines if line["claim"] == claim]
        again = own[0].get("command") or command.replace("{claim}", shlex.quote(claim))
        body.append(section(claim, own, figures.get(claim), made.get(claim, {}), again))
    body += [*(sections(each, number) for number, each in enumerate(appendix, 1)), "</main>"]
    path = place / "index.html"
    write_whole(path, _page(title, "".join(body)).encode())
    return path


def _theme() -> str:
    options = "".join(f"<option value='{name}'>{name.capitalize()}</option>" for name in ("system", "light", "dark"))
    return f"<label class='theme' hidden><select id='theme' aria-label='Colours of the page'>{options}</select></label>"


def _page(title: str, body: str) -> str:
    here = files(__package__)
    css, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    # Nothing is loaded from anywhere, and no other script than this one runs, whatever a claim's text says.
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<link rel='icon' href='data:,'>"
        f"<title>{text(title)}</title><style>{css}</style></head>\n"
        f"<body>{body}<script>{script}</script></body></html>\n"
    )
