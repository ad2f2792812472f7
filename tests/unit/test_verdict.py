import json
import math

import pytest

from sdewm.verdict import Grade, Outcome, Verdict

FULL = Verdict(
    Outcome.VIOLATED, Grade.CERTIFIED, "D is 1", (0.1, 0.2), (-1.0, 0.05), 0.05, 0.99, ("not checked: g in C3", "b")
)


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("grade", list(Grade))
def test_json_round_trip(outcome: Outcome, grade: Grade) -> None:
    bare = Verdict(outcome, grade, "because")
    assert Verdict.from_json(json.loads(json.dumps(bare.to_json()))) == bare


def test_json_keeps_every_field() -> None:
    data = FULL.to_json()
    assert set(data) == set(Verdict.__dataclass_fields__) - {"evidence"}  # which is not for files
    assert data["outcome"] == "violated"
    assert Verdict.from_json(json.loads(json.dumps(data))) == FULL


def test_text_shows_outcome_grade_reason_and_flags() -> None:
    assert str(FULL) == "violated (certified): D is 1 [not checked: g in C3; b]"
    assert str(Verdict(Outcome.HOLDS, Grade.ASYMPTOTIC, "fine")) == "holds (asymptotic): fine"


def test_an_unknown_outcome_is_not_read() -> None:
    with pytest.raises(ValueError, match="perhaps"):
        Verdict.from_json({**FULL.to_json(), "outcome": "perhaps"})


def test_a_verdict_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        FULL.outcome = Outcome.HOLDS  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value", "kind", "words"),
    [
        ("interval", [0, 1, 2], TypeError, "interval must be a list of two numbers or null"),
        ("interval", "12", TypeError, "interval must be a list of two numbers or null, got '12'"),
        ("interval", [True, False], TypeError, "interval must be a number, or one of 'inf', '-inf', 'nan', got True"),
        ("allowed", [0.0, 10**400], ValueError, "allowed must be a number that a float can hold"),
        ("margin", "1", TypeError, "margin must be a number"),
        ("level", True, TypeError, "level must be a number"),
        ("level", 0, ValueError, r"level must be in \(0, 1\], got 0"),
        ("reason", None, TypeError, "reason must be text, got None"),
        ("reason", "\ud800", ValueError, "reason has half a character"),
        ("flags", "ab", TypeError, "flags must be a list of texts, got 'ab'"),
        ("flags", [1], TypeError, "each flag must be text, got 1"),
    ],
)
def test_a_field_of_another_kind_is_not_read(field: str, value: object, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        Verdict.from_json({**FULL.to_json(), field: value})


def test_a_verdict_without_a_field_is_not_read() -> None:
    for field in FULL.to_json():
        with pytest.raises(KeyError, match=field):
            Verdict.from_json({name: value for name, value in FULL.to_json().items() if name != field})


def test_what_json_has_no_number_for_is_read() -> None:
    found = Verdict.from_json({**FULL.to_json(), "interval": ["-inf", "inf"], "margin": "nan", "level": 1})
    assert found.interval == (-math.inf, math.inf)
    assert found.margin is not None
    assert math.isnan(found.margin)
    assert found.level == 1.0
