"""The table of all verdicts, and what filters it."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...stats.power import Power
from ..settled import settled
from .claim import interval, outcome, text

Line = Mapping[str, Any]
COLUMNS = ("claim", "case", "verdict", "expected", "control", "power", "interval", "allowed")
FITS = {True: "as expected", False: "not as expected", None: "open question"}


def counts(lines: Sequence[Line]) -> str:
    """How many cases there are, and what came of them."""
    claims = len({line["claim"] for line in lines})
    outcomes = Counter(map(settled, lines))
    weak = sum(settled(line) != line["verdict"]["outcome"] for line in lines)
    why = {"inconclusive": f" ({weak} because the control did not come out the other way)"} if weak else {}
    said = ", ".join(f"{number} × {name}{why.get(name, '')}" for name, number in outcomes.most_common())
    fits = Counter(_fit(line) for line in lines)
    told = ", ".join(f"{fits[name]} × {name}" for name in FITS.values() if fits[name])
    return text(f"{len(lines)} cases of {claims} claims: {said}; {told}.") if lines else "No verdicts."


def controls(lines: Sequence[Line]) -> str:
    """Search and choices; shown by the script, without which they do nothing."""
    groups = list(dict.fromkeys(map(_group, lines)))
    outcomes = list(dict.fromkeys(map(settled, lines)))
    fits = [name for name in FITS.values() if any(_fit(line) == name for line in lines)]
    return (
        "<div class='controls' id='controls' role='search' hidden>"
        "<label class='search'>Search (key /)<input id='search' type='search' autocomplete='off' spellcheck='false' "
        "placeholder='claim, case, statement'></label>"
        f"{_choice('group', 'Group', groups)}{_choice('outcome', 'Verdict', outcomes)}"
        f"{_choice('fit', 'Expected', fits)}"
        "<button id='reset' type='button'>Reset</button><output id='count' aria-live='polite'></output></div>"
    )


def _choice(name: str, label: str, values: Sequence[str]) -> str:
    options = "".join(f"<option>{text(value)}</option>" for value in values)
    return f"<label>{label}<select id='{name}'><option value=''>all</option>{options}</select></label>"


def table(lines: Sequence[Line]) -> str:
    """One row a case."""
    head = "".join(f"<th scope='col'><button type='button'>{name}</button></th>" for name in COLUMNS)
    return (
        "<div class='wide verdicts' tabindex='0' role='region' aria-label='Verdicts'><table id='verdicts'><thead><tr>"
        f"{head}</tr></thead><tbody>{''.join(map(_row, lines))}</tbody></table>"
        "<p id='none' hidden>No case matches.</p></div>"
    )


def _row(line: Line) -> str:
    verdict, (won, tried) = line["verdict"], line["power"]
    found = {name: verdict.get(name) for name in ("interval", "allowed")}
    searched = " ".join(str(line[name]) for name in ("claim", "case", "statement", "source"))
    searched = f"{searched} {line.get('title', '')}".lower()
    data = {
        "claim": line["claim"],
        "group": _group(line).lower(),
        "outcome": settled(line),
        "fit": _fit(line),
        "text": f"{searched} {verdict['outcome']}",
    }
    unlike = " class='unlike'" if _fit(line) == FITS[False] else ""
    name = text(line["claim"])
    cells = [
        f"<td><a href='#claim-{name}' title='{text(line.get('title', ''))}'>{name}</a></td>",
        f"<td>{text(line['case'])}</td>",
        f"<td>{outcome(verdict)}</td>",
        f"<td{unlike}>{text(line['expected'] or 'open')}</td>",
        f"<td>{outcome(line['control'])}</td>",
        f"<td data-key='{won / tried if tried else ''}'>{text(Power(won, tried)) if tried else '–'}</td>",
        *(
            f"<td data-key='{_key(ends)}'>{'' if ends is None else interval(ends)}</td>"
            for ends in found.values()
        ),
    ]
    facts = " ".join(f"data-{key}='{text(value)}'" for key, value in data.items())
    return f"<tr {facts}>{''.join(cells)}</tr>"


def _key(ends: Any) -> str:
    """The lower end as JavaScript reads it; nothing where there is none."""
    low = math.nan if ends is None else float(ends[0])
    if math.isnan(low):
        return ""
    return repr(low).replace("inf", "Infinity")


def _group(line: Line) -> str:
    """What a claim's name begins with: X of X3, E of E1-agent."""
    found = re.match(r"[^\W\d_]+", str(line["claim"]))
    return found.group() if found else "other"


def _fit(line: Line) -> str:
    expected = line["expected"]
    return FITS[None if expected is None else expected == settled(line)]
