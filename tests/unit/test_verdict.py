import json

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
