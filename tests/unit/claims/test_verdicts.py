"""The file of verdicts is read as what anybody may have written."""

import json
from pathlib import Path
from typing import Any

import pytest

from sdewm import InvalidArgument, Outcome, Verdict
from sdewm.claims import read_verdicts, verdicts, write_verdicts
from sdewm.verdict import Grade

VERDICT = Verdict(Outcome.HOLDS, Grade.ASYMPTOTIC, "a reason", (0.0, float("inf")), (0.0, 1.0)).to_json()
DEEP = json.loads("[" * 300 + "]" * 300)
LINE: dict[str, Any] = {
    **{key: key for key in ("claim", "case", "statement", "source", "note")},
    **{"verdict": VERDICT, "control": VERDICT, "expected": None, "power": [3, 4], "records": ["a"], "seconds": 1.0},
}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_verdicts([LINE], tmp_path / "v.json", budget="quick", seed=3)
    assert read_verdicts(tmp_path / "v.json") == {"budget": "quick", "seed": 3, "verdicts": [LINE]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "no list of verdicts"),
        ('{"verdicts": {}}', "no list of verdicts"),
        ('{"verdicts": [1]}', "verdict 0 is none"),
        ('{"verdicts": [], "seed": ' + "9" * 400 + "}", "a number is larger than a float can hold: 9999"),
        ('{"verdicts": [], "budget": ["\\ud800"]}', "a text has half a character"),
    ],
)
def test_another_file_is_refused(data: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    path.write_text(data)
    with pytest.raises(InvalidArgument, match=words):
        read_verdicts(path)


@pytest.mark.parametrize(
    "change",
    [
        {"claim": 1},
        {"command": 1},
        {"expected": 1},
        {"power": [5, 4]},
        {"power": [1.0, 4]},
        {"power": [1, 10**400]},
        {"power": [1, 2, 3]},
        {"records": "a"},
        {"records": [1]},
        {"verdict": {**VERDICT, "outcome": "perhaps"}},
        {"verdict": {**VERDICT, "flags": [1]}},
        {"control": {**VERDICT, "reason": None}},
        {"control": {**VERDICT, "interval": [1]}},
        {"control": None},
        {"control": {**VERDICT, "interval": [0, 1, 2]}},
        {"control": {**VERDICT, "interval": "12"}},
        {"verdict": {**VERDICT, "interval": [True, False]}},
        {"verdict": {**VERDICT, "interval": ["0", "1"]}},
        {"verdict": {**VERDICT, "interval": {"0": 1, "1": 2}}},
        {"verdict": {**VERDICT, "allowed": [0, 10**400]}},
        {"verdict": {**VERDICT, "allowed": []}},
        {"verdict": {**VERDICT, "margin": True}},
        {"verdict": {**VERDICT, "margin": "1"}},
        {"verdict": {**VERDICT, "margin": 10**400}},
        {"verdict": {**VERDICT, "level": True}},
        {"verdict": {**VERDICT, "level": 0}},
        {"verdict": {**VERDICT, "level": 1.5}},
        {"verdict": {**VERDICT, "level": "nan"}},
        {"verdict": {**VERDICT, "level": "0.5"}},
        {"verdict": {**VERDICT, "flags": "ab"}},
        {"verdict": {**VERDICT, "flags": ["\ud800"]}},
        {"verdict": {**VERDICT, "reason": "\ud800"}},
        {"verdict": {**VERDICT, "grade": DEEP}},
        {"statement": "\ud800"},
        {"note\udfff": 1},
        {"seconds": -(10**400)},
        {"power": DEEP},
        {"hypotheses": "ab"},
        {"hypotheses": {}},
    ],
)
def test_a_verdict_of_another_kind_is_refused_and_numbered(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    path.write_text(json.dumps({"verdicts": [LINE, {**LINE, **change}]}))
    with pytest.raises(InvalidArgument, match="verdict 1 is none") as caught:
        read_verdicts(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_no_file_and_too_large_a_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v.json"
    with pytest.raises(InvalidArgument, match="cannot be read"):
        read_verdicts(path)
    write_verdicts([LINE], path)
    monkeypatch.setattr(verdicts, "LARGEST", 100)
    with pytest.raises(InvalidArgument, match="has more than 0 MiB"):
        read_verdicts(path)


@pytest.mark.parametrize("depth", [3, 700])
def test_values_that_can_be_shown(depth: int) -> None:
    nested = json.loads("[" * depth + '"a", 1e308, null' + "]" * depth)
    verdicts.check_values(nested)
    verdicts.check_values({"a": nested}, deepest=depth + 2)
    with pytest.raises(ValueError, match=f"more than {depth} deep"):
        verdicts.check_values({"a": nested}, deepest=depth)
