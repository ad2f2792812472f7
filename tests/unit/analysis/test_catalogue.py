"""Every claim, swapped for its control through the same code, gets another verdict; no judge sees the expected one."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from analysis import CATALOGUE
from analysis.__main__ import main
from analysis.agents import AGENTS
from analysis.expansion.uncorrected import UncorrectedForm
from analysis.kit import PAPER
from analysis.models import MODELS
from sdewm import Outcome
from sdewm.claims import Claim, Row, judge, run
from sdewm.run import Store

# The expansion, the sign and the bounds; claims on learned models have their own tests.
THEORY = [row for row in CATALOGUE if row.claim.id[0] in "XSDB"]
# A quarter of the paths decides, but for these.
NEEDS_ALL = ("X2", "X8", "X10", "X15", "B3", "B4")
OPPOSITE = {"holds": "violated", "violated": "holds", "hypothesis fails": "holds"}


def verdicts(claim: Claim, place: Path, cases: Sequence[str]) -> dict[str, str]:
    rows = [Row(claim, dict.fromkeys(claim.cases), repetitions=0)]
    budget = "standard" if claim.id in NEEDS_ALL else "quick"
    run(rows, Store(place), budget=budget, stream=io.StringIO())
    lines = judge(rows, Store(place), budget=budget)
    assert set(cases) == {line["case"] for line in lines}
    return {line["case"]: line["verdict"]["outcome"] for line in lines}


@pytest.mark.slow
@pytest.mark.parametrize("row", THEORY, ids=[row.claim.id for row in THEORY])
def test_swapping_the_formula_swaps_every_verdict(row: Row, tmp_path: Path) -> None:
    claim = row.claim
    first, swapped = verdicts(claim, tmp_path, claim.cases), verdicts(claim.control(), tmp_path, claim.cases)
    for case, expected in row.expected.items():
        assert expected is not None
        assert first[case] == expected.value
        assert swapped[case] == OPPOSITE[first[case]]


def test_the_whole_list_is_there() -> None:
    bounds = [f"B{k}" for k in range(1, 11)]
    assert [row.claim.id for row in THEORY] == [f"X{k}" for k in range(1, 16)] + ["D1", "S1", "S2", "S3", "S4"] + bounds


def test_what_is_refuted_says_what_is_not_affected() -> None:
    """Whoever reads that a formula of the paper fails also reads that it is a reconstruction, and where it is right."""
    refuted = [row for row in THEORY if Outcome.VIOLATED in row.expected.values() and PAPER in row.claim.source]
    assert len(refuted) >= 7
    for row in refuted:
        assert "as reconstructed" in row.claim.note, row.claim.id
        assert "ot affected" in row.claim.note, row.claim.id
    assert "a real recurrent state-space model has no noise there at all" in next(
        row.claim.note for row in THEORY if row.claim.id == "X13"
    )


@pytest.mark.slow
def test_the_uncorrected_first_order_is_twice_the_closed_form(tmp_path: Path) -> None:
    claim = UncorrectedForm()
    rows = [Row(claim, dict.fromkeys(claim.cases), repetitions=0)]
    run(rows, Store(tmp_path), budget="quick", stream=io.StringIO())
    (line,) = [line for line in judge(rows, Store(tmp_path), budget="quick") if line["case"] == "P"]
    record = Store(tmp_path).read(line["records"][0])
    assert record is not None
    s = record.key["settings"]
    a, b, c, t = s["a"], s["b"], s["c"], s["T"]
    # P = 2bc x₀ (e^{κt} − e^{at})/(a + b²), written here apart from the code.
    closed = 2 * b * c * s["x0"] * (np.exp((2 * a + b**2) * t) - np.exp(a * t)) / (a + b**2)
    assert record.values["closed form"]["P"] == pytest.approx(closed, rel=1e-9)
    form, _, measured, *_ = record.arrays["mean"]
    assert form / measured == pytest.approx(2.0, rel=0.02)
    assert measured == pytest.approx(closed, rel=0.05)


def test_expected_outcomes_are_out_of_the_judges_reach() -> None:
    for row in CATALOGUE:
        assert not any(isinstance(value, Outcome) for value in vars(row.claim).values())
        assert not any("expected" in name for name in dir(row.claim))


def test_a_control_differs_from_its_claim_and_names_are_unique() -> None:
    ids = [row.claim.id for row in CATALOGUE]
    assert len(set(ids)) == len(ids)
    for row in CATALOGUE:
        assert row.claim.control() != row.claim
        assert row.claim.control().control() == row.claim
        assert row.claim.statement
        assert row.claim.source


def test_every_claim_has_a_figure() -> None:
    from figures import FIGURES

    # L5 and L6 compare what is shipped with its own records: equal numbers need no picture.
    assert set(FIGURES) == {row.claim.id for row in (*CATALOGUE, *MODELS, *AGENTS)} - {"L5", "L6"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--claims", "X99"], "unknown X99; known are"),
        (["--budget", "huge"], "invalid choice: 'huge'"),
        (["sing"], "invalid choice: 'sing'"),
    ],
)
def test_wrong_arguments_end_with_code_2(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_other_wrong_values_end_with_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for results, more in ((tmp_path / "file", ["judge"]), (tmp_path / "new", ["run", "--seed", "-1"])):
        assert main([*more, "--results", str(results)]) == 2
        assert capsys.readouterr().err.startswith("analysis: ")


@pytest.mark.slow
def test_the_whole_way_from_command_to_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from figures.__main__ import main as draw

    results, page = tmp_path / "results", tmp_path / "report"
    common = ["--claims", "X3", "--budget", "quick", "--workers", "1", "--results", str(results)]
    assert main(common) == 0
    assert "X3" in capsys.readouterr().out
    assert draw(["--results", str(results), "--out", str(page)]) == 0
    text = (page / "index.html").read_text(encoding="utf-8")
    assert "as reconstructed" in text
    assert "python -m analysis --claims X3 --budget quick --seed 0" in text
    for address in ("http://", "https://", "src='/"):
        assert address not in text
    drawn = json.loads((page / "X3.json").read_text())
    stored = json.loads((results / "verdicts.json").read_text())["verdicts"][0]
    record = Store(results / "records").read(stored["records"][0])
    assert record is not None
    # What is drawn is what was recorded.
    assert drawn["P"]["uncorrected form"]["value"] == pytest.approx(record.arrays["mean"][0], rel=1e-12)
    assert drawn["P"]["measured"]["value"] == pytest.approx(record.arrays["mean"][2], rel=1e-12)
    for suffix in ("png", "pdf", "svg"):
        assert (page / f"X3.{suffix}").stat().st_size > 5000
    # The same records give the same files.
    before = (page / "X3.svg").read_bytes()
    assert draw(["X3", "--results", str(results), "--out", str(page)]) == 0
    assert (page / "X3.svg").read_bytes() == before


def test_drawing_without_results_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from figures.__main__ import main as draw

    assert draw(["--results", str(tmp_path)]) == 2
    assert "python -m analysis makes it" in capsys.readouterr().err
    (tmp_path / "verdicts.json").write_text("{")
    assert draw(["--results", str(tmp_path)]) == 2
    assert "not valid JSON" in capsys.readouterr().err
    (tmp_path / "verdicts.json").write_text('{"verdicts": [], "budget": "quick", "seed": 0}')
    assert draw(["X3", "--results", str(tmp_path)]) == 2
    assert "no verdict for X3" in capsys.readouterr().err
