"""The runner: resumable, blind to what is expected, and able to say when a control was not caught."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest

from sdewm import InvalidArgument, NumericalFailure, Outcome, Verdict
from sdewm.claims import Cell, Claim, Result, Row, judge, run
from sdewm.claims.runner import remaining, table
from sdewm.claims.verdicts import write_verdicts
from sdewm.estimate import Moments
from sdewm.exceptions import WorkFailed
from sdewm.run import Record, Store
from sdewm.stats import equivalence


@final
@dataclass(frozen=True)
class Centred(Claim):
    """The mean of some normals is zero; its control shifts them."""

    shift: float = 0.0
    broken: bool = False

    id = "T1"
    statement = "The mean is zero."
    cases = ("one", "two")
    source = "a test"

    def cells(self, case: str, scale: float, seed: int, drawn: bool) -> Sequence[Cell]:
        return [Cell(self.id, {"case": case, "n": int(4000 * scale), "shift": self.shift}, seed)]

    def compute(self, cell: Cell) -> Result:
        if self.broken:
            raise NumericalFailure("path 3 is not finite", 3, 0.5, 1)
        key = [cell.seed, self.cases.index(cell.settings["case"])]
        draws = np.random.default_rng(key).standard_normal(cell.settings["n"]) + cell.settings["shift"]
        return Result({"n": len(draws)}, Moments.of(draws).to_arrays())

    def judge(self, case: str, records: Sequence[Record]) -> Verdict:
        return equivalence(Moments.from_arrays(records[0].arrays).estimates()[0], 0.3)

    def control(self) -> "Centred":
        return replace(self, shift=1.0 - self.shift)


HOLDS: dict[str, Outcome | None] = dict.fromkeys(Centred.cases, Outcome.HOLDS)


def test_work_is_done_once_and_judged_from_records_alone(tmp_path: Path) -> None:
    store, log = Store(tmp_path), io.StringIO()
    rows = [Row(Centred(), HOLDS, repetitions=5)]
    assert run(rows, store, stream=log) == 2 * (1 + 1 + 5)
    assert run(rows, store, stream=log) == 0
    assert "\r" not in log.getvalue()
    lines = judge(rows, store)
    assert [line["verdict"]["outcome"] for line in lines] == ["holds", "holds"]
    assert all(line["as expected"] and line["control differs"] and line["power"] == [5, 5] for line in lines)
    assert lines == judge(rows, store)
    write_verdicts(lines, tmp_path / "verdicts.json", budget="standard")
    assert json.loads((tmp_path / "verdicts.json").read_text())["verdicts"] == lines
    assert "T1" in table(lines)


def test_a_lost_record_is_made_again_and_equals_the_first(tmp_path: Path) -> None:
    store, rows = Store(tmp_path), [Row(Centred(), HOLDS, repetitions=1)]
    run(rows, store, stream=io.StringIO())
    before = judge(rows, store)
    victim = sorted(tmp_path.glob("*.npz"))[0]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:100])
    assert any(line["verdict"]["outcome"] != "holds" or line["power"] != [1, 1] for line in judge(rows, store)) or any(
        not line["control differs"] for line in judge(rows, store)
    )
    assert run(rows, store, stream=io.StringIO()) == 1
    after = judge(rows, store)
    for line in (*before, *after):
        line.pop("seconds")
    assert before == after


def test_swapping_the_formula_swaps_the_verdict(tmp_path: Path) -> None:
    store = Store(tmp_path)
    claim = Centred()
    for tried, outcome in ((claim, "holds"), (claim.control(), "violated"), (claim.control().control(), "holds")):
        rows = [Row(tried, HOLDS, repetitions=0)]
        run(rows, store, stream=io.StringIO())
        assert {line["verdict"]["outcome"] for line in judge(rows, store)} == {outcome}


def test_the_expected_outcome_changes_nothing_but_the_comparison(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = [Row(Centred(), HOLDS, repetitions=1)]
    run(rows, store, stream=io.StringIO())
    other: dict[str, Outcome | None] = {"one": Outcome.VIOLATED, "two": None}
    for a, b in zip(judge(rows, store), judge([Row(Centred(), other, repetitions=1)], store), strict=True):
        differing = {key for key in a if a[key] != b[key]}
        assert differing == {"expected", "as expected"}


def test_a_numerical_failure_is_a_verdict(tmp_path: Path) -> None:
    store, rows = Store(tmp_path), [Row(Centred(broken=True), HOLDS, repetitions=1)]
    run(rows, store, stream=io.StringIO())
    line = judge(rows, store)[0]
    assert line["verdict"]["outcome"] == "numerical failure"
    assert line["verdict"]["reason"] == "path 3 is not finite"
    assert line["power"] == [0, 1]


def test_missing_records_are_inconclusive(tmp_path: Path) -> None:
    line = judge([Row(Centred(), HOLDS, repetitions=1)], Store(tmp_path))[0]
    assert line["verdict"]["outcome"] == "inconclusive"
    assert "missing" in line["verdict"]["reason"]


def test_a_control_that_is_not_caught_is_told(tmp_path: Path) -> None:
    store, rows = Store(tmp_path), [Row(Centred(shift=0.5), dict.fromkeys(Centred.cases), repetitions=3)]
    run(rows, store, stream=io.StringIO())
    for line in judge(rows, store):
        # Both the claim (shift .5) and its control (shift .5) are violated: the control shows nothing.
        assert line["control differs"] is False
        assert line["power"] == [0, 3]
        assert line["as expected"] is None


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_with_a_time_limit_begins_nothing_that_would_end_later(tmp_path: Path, count: int) -> None:
    """A cell is said to cost a second: half a second is too short for any, and the next run does them all."""
    store, rows, log = Store(tmp_path), [Row(Centred(), HOLDS, repetitions=1)], io.StringIO()
    assert run(rows, store, count=count, minutes=0.5 / 60.0, stream=log) == 0
    assert "6 cells are left" in log.getvalue()
    assert remaining(rows, store) == 6
    assert run(rows, store, count=count, minutes=10.0, stream=log) == 6
    assert remaining(rows, store) == 0
    with pytest.raises(InvalidArgument, match="minutes must be above zero"):
        run(rows, store, minutes=0.0, stream=log)


@pytest.mark.slow
def test_two_workers_give_the_same_records(tmp_path: Path) -> None:
    from analysis.expansion.uncorrected import UncorrectedForm

    rows = [Row(UncorrectedForm(), dict.fromkeys(UncorrectedForm.cases), repetitions=0)]
    results: list[list[dict[str, Any]]] = []
    for count in (1, 2):
        store = Store(tmp_path / str(count))
        run(rows, store, budget="quick", count=count, stream=io.StringIO())
        lines = judge(rows, store, budget="quick")
        for line in lines:
            line.pop("seconds")
        results.append(lines)
    assert results[0] == results[1]


def test_mistakes_of_a_claims_author_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row(Centred(), HOLDS, repetitions=0)]
    monkeypatch.setattr(Centred, "compute", lambda self, cell: None)
    with pytest.raises(WorkFailed, match=r"4 of 4 cells .*\n  claim T1, cell {'case': 'one'") as caught:
        run(rows, Store(tmp_path), stream=io.StringIO())
    assert len(caught.value.failures) == 4
    assert "T1.compute must return a Result, got NoneType" in caught.value.failures[0]
    assert isinstance(caught.value.__cause__, InvalidArgument)
    monkeypatch.setattr(Centred, "cells", lambda *args: [])
    with pytest.raises(InvalidArgument, match=r"T1\.cells must return at least one cell, got none for case 'one'"):
        run(rows, Store(tmp_path), stream=io.StringIO())


def test_bad_rows_and_budgets(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="expected must name the cases of T1: one, two; got one"):
        Row(Centred(), {"one": Outcome.HOLDS})
    with pytest.raises(InvalidArgument, match="expected of case 'one' must be an Outcome or None, got 'holds'"):
        Row(Centred(), {"one": "holds", "two": None})  # type: ignore[dict-item]
    with pytest.raises(InvalidArgument, match="claim must be a Claim, got str"):
        Row("T1", HOLDS)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="repetition_scale must be above zero, got -1"):
        Row(Centred(), HOLDS, repetition_scale=-1)
    with pytest.raises(InvalidArgument, match="budget must be one of 'quick', 'standard', 'full', got 'huge'"):
        run([Row(Centred(), HOLDS)], Store(tmp_path), budget="huge", stream=io.StringIO())
