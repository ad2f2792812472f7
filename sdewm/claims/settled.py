"""What a case comes to once its control is looked at."""

from collections.abc import Mapping
from typing import Any

# By which other outcomes of the control each is borne out.
BORNE_OUT: Mapping[str, tuple[str, ...]] = {
    "holds": ("violated", "hypothesis fails"),
    "violated": ("holds", "hypothesis fails"),
    "hypothesis fails": ("holds", "violated"),
}


def settled(line: Mapping[str, Any]) -> str:
    """The outcome of a case, or "inconclusive" where its control has not come out otherwise, and so has no power.

    Args:
        line: of verdicts.json.

    Example:
        >>> settled({"verdict": {"outcome": "violated"}, "control": {"outcome": "inconclusive"}})
        'inconclusive'
    """
    outcome = str(line["verdict"]["outcome"])
    control = (line.get("control") or {}).get("outcome")
    if outcome in BORNE_OUT and control is not None and control not in BORNE_OUT[outcome]:
        return "inconclusive"
    return outcome
