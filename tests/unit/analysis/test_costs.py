"""The figures of cost draw the numbers that are on record, and the report shows them with their table."""

import json
from pathlib import Path

import pytest

from figures.cost import draw_cost_curves, draw_tolerance
from figures.sections import RECORDS, costs, faults
from sdewm import InvalidArgument
from sdewm.claims.report import write_report

BENCH = json.loads((RECORDS / "bench.json").read_text(encoding="utf-8"))
ESTIMATORS = json.loads((RECORDS / "estimators.json").read_text(encoding="utf-8"))


def test_curves_are_those_of_the_record() -> None:
    drawn = draw_cost_curves(BENCH)
    assert set(drawn.data) == {curve["curve"] for curve in BENCH["curves"]}
    for curve in BENCH["curves"]:
        best = [min(r) for r in curve.get("cpu_seconds", curve.get("wall_seconds"))]
        assert drawn.data[curve["curve"]]["seconds"] == best
    axes = [ax for ax in drawn.figure.axes if ax.get_visible()]
    assert len(axes) == len(BENCH["curves"])
    assert all(ax.get_title(loc="left").startswith("slope") for ax in axes)


def test_tolerances_are_those_of_the_record() -> None:
    drawn = draw_tolerance(ESTIMATORS)
    for name, case in ESTIMATORS["problems"].items():
        assert sorted(drawn.data[name]["chosen"]) == sorted(row["with pilot"] for row in case["curve"])
        # What this is about: less work, and the more so the smaller the interval.
        gains = [p / c for p, c in zip(drawn.data[name]["plain"], drawn.data[name]["chosen"], strict=True)]
        assert min(gains) > 1.0
        assert gains[0] == max(gains)


@pytest.mark.slow
def test_a_benchmark_of_this_machine_takes_the_records_place(tmp_path: Path) -> None:
    own = {**BENCH, "table": "my <own> table"}
    (tmp_path / "bench.json").write_text(json.dumps(own), encoding="utf-8")
    sections = costs(tmp_path, tmp_path / "out")
    assert [each.title for each in sections] == ["Benchmarks: the engine", "Benchmarks: cost against tolerance"]
    assert sections[0].log == "my <own> table"
    goals, *problems = sections[0].tables
    assert [list(row) for row in goals.rows] == BENCH["goals"]
    assert len(problems) == len(BENCH["rows"])
    page = write_report(tmp_path, {"verdicts": []}, {}, {}, command="{claim}", appendix=sections).read_text()
    assert "my &lt;own&gt; table" in page
    assert page.count("data:image/svg+xml;base64,") == 2


@pytest.mark.parametrize("row", BENCH["rows"], ids=lambda row: row["title"])
def test_no_peer_of_the_record_was_wrong(row: dict[str, object]) -> None:
    assert all(peer["status"] in ("ok", "left out", "not installed") for peer in row["peers"])  # type: ignore[attr-defined]


def test_faults_are_shown_where_some_were_injected(tmp_path: Path) -> None:
    kept = RECORDS / "faults.json"
    (section,) = faults(tmp_path)
    whole = json.loads(kept.read_text(encoding="utf-8"))
    assert [row[0] for row in section.tables[0].rows] == list(whole["rows"])
    assert all(row[2] and row[3] == "0" for row in section.tables[0].rows)
    (tmp_path / "faults.json").write_text(json.dumps({"table": "kill -9 <own>"}), encoding="utf-8")
    assert [(each.log, each.tables) for each in faults(tmp_path)] == [("kill -9 <own>", [])]


@pytest.mark.parametrize("content", ["{", "[1]", "[" * 100_000, '{"curves": 1}', '{"curves": [{}], "made": {}}'])
def test_another_file_in_the_place_of_a_benchmark_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text(content, encoding="utf-8")
    with pytest.raises(InvalidArgument, match=r"bench.json .* again"):
        costs(tmp_path, tmp_path / "out")
