"""The words about the paper's empirical claims are those of the verdicts."""

from typing import Any

from figures.findings import findings


def line(claim: str, case: str, outcome: str) -> dict[str, Any]:
    verdict = {"outcome": outcome, "reason": f"gain in {case} is 3 [1, 5]; more is not said"}
    return {"claim": claim, "case": case, "statement": f"Statement of {claim}.", "verdict": verdict, "control": None}


def test_each_case_is_said_once_and_decisive_ones_are_counted_apart() -> None:
    lines = [
        line("E1-agent", "noise", "violated"),
        {**line("E1-agent", "masking", "inconclusive"), "control": {"outcome": "holds"}},
        line("X3", "P", "violated"),
        line("E2", "growth", "holds"),
    ]
    whole, first, second = findings(lines).split("\n\n")
    assert whole.startswith("2 of 3 cases decided: 1 reproduce, 1 do not, 1 open. ")
    assert first.splitlines() == [
        "E1-agent, 1 of 2 cases decided: 1 do not, 1 open. Statement of E1-agent.",
        "- noise: does not reproduce at this scale. Gain in noise is 3 [1, 5].",
        "- masking: is open. Gain in masking is 3 [1, 5]. Control: holds.",
    ]
    assert second.splitlines()[1:] == ["- growth: reproduces at this scale. Gain in growth is 3 [1, 5]."]


def test_a_case_whose_control_has_no_power_is_not_counted_as_decided() -> None:
    undecided = {**line("E1", "rotation", "violated"), "control": {"outcome": "inconclusive"}}
    text = findings([undecided, {**line("E1", "noise", "violated"), "control": {"outcome": "holds"}}])
    assert text.startswith("1 of 2 cases decided: 1 do not, 1 open. ")
    assert "rotation: is open, though violated by itself: its control has no power. " in " ".join(text.split())


def test_without_such_claims_nothing_is_said() -> None:
    assert findings([line("X3", "P", "violated")]) == findings([]) == ""
