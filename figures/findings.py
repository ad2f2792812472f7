"""What the paper's empirical claims come to here, in words that are made from the verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any

from sdewm.claims.settled import settled

MEANING = {
    "holds": "reproduces at this scale",
    "violated": "does not reproduce at this scale",
    "inconclusive": "is open",
    "hypothesis fails": "cannot be asked",
}
COUNTED = {"holds": "reproduce", "violated": "do not", "inconclusive": "open", "hypothesis fails": "cannot be asked"}


def findings(lines: Sequence[Mapping[str, Any]], group: str = "E") -> str:
    """A paragraph a claim: its statement, then case by case what came of it; decisive verdicts counted apart.

    Args:
        lines: of the verdicts.
        group: what the names of the claims begin with.

    Returns:
        Paragraphs with an empty line between two, their cases lines that begin with a dash; empty without such claims.
    """
    chosen = [line for line in lines if str(line["claim"]).startswith(group)]
    if not chosen:
        return ""
    names = sorted({str(line["claim"]) for line in chosen})
    paragraphs = [f"{_counts(chosen)}. What does not reproduce has an effect below the smallest that matters."]
    for name in names:
        own = [line for line in chosen if line["claim"] == name]
        parts = [f"{name}, {_counts(own)}. {own[0]['statement']}", *map(_case, own)]
        paragraphs.append("\n".join(parts))
    return "\n\n".join(paragraphs)


def _counts(lines: Sequence[Mapping[str, Any]]) -> str:
    outcomes = list(map(settled, lines))
    said = [f"{outcomes.count(each)} {word}" for each, word in COUNTED.items() if each in outcomes]
    decisive = outcomes.count("holds") + outcomes.count("violated")
    return f"{decisive} of {len(outcomes)} cases decided: {', '.join(said)}"


def _case(line: Mapping[str, Any]) -> str:
    verdict, control, outcome = line["verdict"], line.get("control") or {}, settled(line)
    reason = str(verdict["reason"]).partition("; ")[0]
    meaning = MEANING.get(outcome, outcome)
    if outcome != str(verdict["outcome"]):
        meaning += f", though {verdict['outcome']} by itself: its control has no power"
    checked = f" Control: {control['outcome']}." if "outcome" in control else ""
    return f"- {line['case']}: {meaning}. {reason[:1].upper()}{reason[1:]}.{checked}"
