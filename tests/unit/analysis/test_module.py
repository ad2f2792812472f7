"""The command line of the catalogue, with the claims of somebody's own module."""

import json
import shutil
from pathlib import Path

import pytest

from analysis.__main__ import main

EXAMPLE = Path(__file__).parents[3] / "examples" / "13_a_claim_of_your_own.py"


@pytest.mark.slow
def test_the_claims_of_a_module_are_run_in_place_of_the_papers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example's module, by its name; its records and verdicts are files that others may read."""
    shutil.copy(EXAMPLE, tmp_path / "somebodys_claims.py")
    monkeypatch.syspath_prepend(tmp_path)
    options = ["--module", "somebodys_claims", "--workers", "1", "--results", str(tmp_path / "out")]
    assert main(options) == 0
    assert capsys.readouterr().out.count("M1") == 2
    path = tmp_path / "out" / "verdicts.json"
    assert {line["claim"] for line in json.loads(path.read_text())["verdicts"]} == {"M1"}
    (tmp_path / "plain").write_text("")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_such_module", "cannot be imported"),
        ("json", "must have a CATALOGUE"),
        ("json, --claims X1", "a module's name"),
    ],
)
def test_a_module_without_claims(name: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--module", name])
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def test_a_claim_that_the_module_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(EXAMPLE, tmp_path / "other_claims.py")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit):
        main(["--module", "other_claims", "--claims", "X3"])
    assert "unknown X3; known are M1" in capsys.readouterr().err
