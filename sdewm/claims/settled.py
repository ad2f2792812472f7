"""What a case comes to once its control is looked at."""

from collections.abc import Mapping
from typing import Any

from ..verdict import Outcome

DECISIVE = frozenset(each.value for each in (Outcome.HOLDS, Outcome.VIOLATED, Outcome.HYPOTHESIS_FAILS))


def otherwise(outcome: str, control: str) -> bool:
    """Whether a control has come out otherwise: one that is inconclusive has caught nothing."""
    return control != outcome and control in DECISIVE


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
    if outcome in DECISIVE and control is not None and not otherwise(outcome, control):
        return Outcome.INCONCLUSIVE.value
    return outcome
