"""The report: one self-contained page made from verdicts and figures, without a request to any network."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..run.store import write_whole
from ..stats.power import Power

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --good: #00724f; --bad: #b34700; --open: #6b6b6b; }
@media (prefers-color-scheme: dark) { :root { --good: #4cc79f; --bad: #ff9a5c; --open: #a0a0a0; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 3rem;
  border-top: 1px solid var(--line); padding-top: 1rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.holds { color: var(--good); font-weight: 600; } .violated { color: var(--bad); font-weight: 600; }
.other { color: var(--open); font-weight: 600; }
figure { margin: 1rem 0; padding: .5rem; background: #fff; color: #222; border: 1px solid var(--line); }
figure img { width: 100%; height: auto; max-width: 46rem; display: block; margin: 0 auto; }
figcaption { font-size: .9rem; padding: .5rem; } code { background: var(--soft); padding: .1rem .3rem; }
pre { font-size: .75rem; line-height: 1.35; }
.note { border-left: 3px solid var(--line); padding-left: .8rem; } dl { font-size: .9rem; } dt { font-weight: 600; }
@media print { h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""


def write_report(
    place: Path,
    verdicts: Mapping[str, Any],
    figures: Mapping[str, tuple[Path, str]],
    made: Mapping[str, Mapping[str, Any]],
    *,
    command: str,
    notation: str = "",
    appendix: Sequence[tuple[str, str, tuple[Path, str] | None]] = (),
) -> Path:
    """Write `place`/index.html and return its path.

    Args:
        place: directory of the report.
        verdicts: the content of verdicts.json; a line may name a "command" of its own.
        figures: for each claim the PNG to embed and its caption.
        made: for each claim how its records were made.
        command: the command that recreates a claim, with `{claim}` where its name goes.
        notation: what the symbols mean, once for all sections.
        appendix: further sections: a title, plain text that keeps its lines, and a PNG with its caption, or None.
    """
    lines: Sequence[Mapping[str, Any]] = verdicts["verdicts"]
    claims = list(dict.fromkeys(line["claim"] for line in lines))
    body = [
        "<h1>Theory of latent world models, checked by number</h1>",
        f"<p>Budget <b>{_text(verdicts.get('budget', ''))}</b>, seed {_text(verdicts.get('seed', ''))}. "
        "A claim <span class='holds'>holds</span> or is <span class='violated'>violated</span> where an interval lies "
        "clear of the border; else it is inconclusive. Each control is the same code with the formula swapped, and has "
        "to come out the other way; power is the share of its repetitions, on fewer paths, in which it did.</p>",
        f"<p class='note'>{_text(notation)}</p>" if notation else "",
        "<div class='wide'>",
        _summary(lines),
        "</div>",
    ]
    for claim in claims:
        own = [line for line in lines if line["claim"] == claim]
        again = own[0].get("command") or command.format(claim=claim)
        body.append(_section(claim, own, figures.get(claim), made.get(claim, {}), again))
    for title, text, figure in appendix:
        body.append(f"<h2>{_text(title)}</h2>" + (f"<pre class='wide'>{_text(text)}</pre>" if text else ""))
        body.append("" if figure is None else _figure(title, *figure))
    page = (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>sdewm: verdicts</title><style>{_STYLE}</style></head>\n<body>{''.join(body)}</body></html>\n"
    )
    path = place / "index.html"
    write_whole(path, page.encode())
    return path


def _summary(lines: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for line in lines:
        power = Power(*line["power"])
        rows.append(
            f"<tr><td><a href='#{_text(line['claim'])}'>{_text(line['claim'])}</a></td><td>{_text(line['case'])}</td>"
            f"<td>{_outcome(line['verdict'])}</td><td>{_text(line['expected'] or 'open')}</td>"
            f"<td>{_outcome(line['control'])}</td><td>{power}</td></tr>"
        )
    head = "".join(f"<th>{name}</th>" for name in ("claim", "case", "verdict", "expected", "control", "power"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _section(
    claim: str,
    lines: Sequence[Mapping[str, Any]],
    figure: tuple[Path, str] | None,
    made: Mapping[str, Any],
    command: str,
) -> str:
    first = lines[0]
    parts = [f"<h2 id='{_text(claim)}'>{_text(claim)}</h2><p>{_text(first['statement'])}</p>"]
    if first["note"]:
        parts.append(f"<p class='note'>{_text(first['note'])}</p>")
    if figure is not None:
        parts.append(_figure(claim, *figure))
    for line in lines:
        low, high = Power(*line["power"]).interval()
        flags = "".join(f"<br>{_text(flag)}" for flag in line["verdict"]["flags"])
        parts.append(
            f"<p><b>{_text(line['case'])}</b>: {_outcome(line['verdict'])} ({_text(line['verdict']['grade'])}). "
            f"{_text(line['verdict']['reason'])}.{flags}<br>Control: {_outcome(line['control'])}. "
            f"{_text(line['control']['reason'])}.<br>Power {Power(*line['power'])} [{low:.2f}, {high:.2f}].</p>"
        )
    facts = {"source": first["source"], "made again by": command, **made}
    items = "".join(f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>" for key, value in facts.items())
    return "".join(parts) + f"<details><summary>How it was made</summary><dl>{items}</dl></details>"


def _figure(name: str, picture: Path, caption: str) -> str:
    data = base64.b64encode(picture.read_bytes()).decode()
    return (
        f"<figure><img alt='Figure for {_text(name)}: {_text(caption)}' src='data:image/png;base64,{data}'>"
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


def _outcome(verdict: Mapping[str, Any]) -> str:
    name = str(verdict["outcome"])
    return f"<span class='{name if name in ('holds', 'violated') else 'other'}'>{_text(name)}</span>"


def _text(value: object) -> str:
    return escape(str(value), quote=True)
