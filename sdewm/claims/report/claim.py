"""The section of one claim."""

import base64
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ...stats.power import Power
from .mathematics import typeset
from .numbers import tables_of
from .parts import Picture, Table

Line = Mapping[str, Any]
BACK = "<a class='back' href='#verdicts'>all verdicts</a>"
TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def section(claim: str, lines: Sequence[Line], picture: Picture | None, made: Mapping[str, Any], command: str) -> str:
    """Statement, figure, cases, hypotheses and provenance of one claim."""
    first = lines[0]
    parts = [
        f"<section id='claim-{text(claim)}' data-claim='{text(claim)}'>",
        f"<h2><a href='#claim-{text(claim)}'>{text(claim)}</a>{text(first.get('title', ''))}{BACK}</h2>",
        typeset(first.get("formula", "")),
        f"<p>{text(first['statement'])}</p>",
        f"<p class='note'>{text(first['note'])}</p>" if first["note"] else "",
        "" if picture is None else figure(claim, picture),
        *map(_case, lines),
        _hypotheses(lines),
        f"<p>Recreate: <code class='again'>{text(command)}</code></p>",
        _made({"source": first["source"], **made}),
        "</section>",
    ]
    return "".join(parts)


def figure(name: str, picture: Picture) -> str:
    """A picture with its caption, and its numbers folded below."""
    kind = TYPES.get(picture.path.suffix, "image/png")
    data = base64.b64encode(picture.path.read_bytes()).decode()
    caption = f"<figcaption>{text(picture.caption)}</figcaption>" if picture.caption else ""
    found = tables_of(picture.data)
    numbers = ""
    if found:
        inside = "".join(table_of(each, "numbers") for each in found)
        numbers = f"<details class='data'><summary>Numbers in this figure</summary>{inside}</details>"
    alt = f"Figure for {name}: {picture.caption}"
    return (
        f"<figure><div class='wide picture' tabindex='0'><img alt='{text(alt)}' src='data:{kind};base64,{data}'></div>"
        f"{caption}</figure>{numbers}"
    )


def table_of(table: Table, kind: str = "listed") -> str:
    """A table that scrolls by itself, also by keyboard."""
    head = "".join(f"<th scope='col'>{text(name)}</th>" for name in table.head)
    rows = "".join(f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    title = f"<h4>{text(table.title)}</h4>" if table.title else ""
    name = table.title or kind
    return (
        f"{title}<div class='wide {kind}' tabindex='0' role='region' aria-label='{text(name)}'><table><thead><tr>{head}"
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _case(line: Line) -> str:
    verdict, control, power = line["verdict"], line["control"], Power(*line["power"])
    low, high = power.interval()
    facts = [str(verdict["grade"])]
    if verdict.get("interval") is not None:
        level = f" at level {float(verdict['level']):.6g}" if verdict.get("level") else ""
        facts.append(f"interval {interval(verdict['interval'])}{level}")
    if verdict.get("allowed") is not None:
        facts.append(f"allowed {interval(verdict['allowed'])}")
    measured = f"power {power} [{low:.2f}, {high:.2f}]" if line["power"][1] else "power not measured"
    flags = "".join(f"<p class='facts'>{text(flag)}</p>" for flag in verdict["flags"])
    return (
        f"<div class='case'><h3>{text(line['case'])}: {outcome(verdict)}</h3>"
        f"<p class='facts'>{text('; '.join(facts))}</p><p>{sentence(verdict['reason'])}</p>{flags}"
        f"<p class='facts'>Control: {outcome(control)}; {text(measured)}. {sentence(control['reason'])}</p></div>"
    )


def _hypotheses(lines: Sequence[Line]) -> str:
    """What is assumed and how it is known, alike cases together."""
    cases: dict[tuple[str, str, str], dict[str, None]] = {}
    for line in lines:
        for each in line.get("hypotheses", ()):
            cases.setdefault((each["name"], each["status"], each["detail"]), {})[line["case"]] = None
    if not cases:
        return "<p class='note'>Hypotheses: the claim names none.</p>"
    count = Counter(status for _, status, _ in cases)
    every = len({line["case"] for line in lines})
    rows = [
        (name, status, detail, "all" if len(where) == every else "; ".join(where))
        for (name, status, detail), where in sorted(cases.items(), key=lambda item: item[0][0])
    ]
    head = ("hypothesis", "how it is known", "detail", *(("cases",) if every > 1 else ()))
    said = ", ".join(f"{number} {status}" for status, number in count.most_common())
    body = table_of(Table("", head, [row[: len(head)] for row in rows]), "words")
    return f"<details class='printed'><summary>Hypotheses: {text(said)}</summary>{body}</details>"


def _made(facts: Mapping[str, Any]) -> str:
    items = "".join(f"<dt>{text(key)}</dt><dd>{text(value)}</dd>" for key, value in facts.items())
    return f"<details><summary>Provenance</summary><dl>{items}</dl></details>"


def interval(ends: Sequence[Any]) -> str:
    """Both ends to four digits; one number where they are the same."""
    low, high = map(_number, ends)
    return low if low == high else f"[{low}, {high}]"


def _number(value: Any) -> str:
    number = float(value)
    if math.isinf(number):
        return "∞" if number > 0.0 else "−∞"
    return f"{number:.4g}".replace("-", "−")


def outcome(verdict: Mapping[str, Any]) -> str:
    """The outcome, in its colour and with its sign."""
    name = str(verdict["outcome"])
    return f"<span class='{name if name in ('holds', 'violated') else 'other'}'>{text(name)}</span>"


def sentence(value: object) -> str:
    """Text that begins with a capital and ends with a full stop; a symbol such as ν or t stays what it is."""
    said = str(value).strip()
    if not said:
        return ""
    word = said.partition(" ")[0]
    begun = said[:1].upper() + said[1:] if word.isascii() and word.isalpha() and len(word) > 1 else said
    return text(begun + ("" if begun.endswith((".", "!", "?")) else "."))


def text(value: object) -> str:
    """Text as HTML."""
    return escape(str(value), quote=True)
