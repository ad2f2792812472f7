"""The command that trains the models of the claims: unfinished is said, and nothing is kept that is not whole."""

from pathlib import Path

import pytest

from analysis.long import UNFINISHED
from analysis.models.__main__ import main
from analysis.models.pilot import TRIED, table
from analysis.models.setting import ARMS
from analysis.models.ship import main as ship


def test_a_time_limit_that_is_too_short_begins_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--minutes", "0.01", "--workers", "1", "--results", str(tmp_path)]) == UNFINISHED
    said = capsys.readouterr().err
    assert "cells are left; the same command" in said
    assert "nan" not in said
    assert "the same command goes on from there" in said
    assert not list((tmp_path / "records").iterdir())
    assert not (tmp_path / "verdicts.json").exists()


def test_nothing_is_judged_before_the_run_is_whole(tmp_path: Path) -> None:
    assert main(["judge", "--results", str(tmp_path)]) == UNFINISHED


def test_mistakes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--claims", "E9", "--results", str(tmp_path)])
    assert stopped.value.code == 2
    assert "unknown E9; known are L4, E1a" in capsys.readouterr().err
    assert main(["--minutes", "-1", "--results", str(tmp_path)]) == 2
    assert "minutes must be above zero" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["--results", str(tmp_path / "file")]) == 2
    assert "cannot be used as a directory" in capsys.readouterr().err


def test_a_part_of_a_run_is_not_shipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ship(["--results", str(tmp_path)]) == 2
    assert "cells are missing" in capsys.readouterr().err


def test_every_arm_of_the_run_was_tried_in_a_pilot() -> None:
    """The setting that an arm has is one of those that were tried; the protocols say why it is that one."""
    for arm, changes in ARMS.items():
        changed = {name: value for name, value in changes.items() if name != "longer"}
        if arm in TRIED:
            assert changed in TRIED[arm], arm
        else:
            assert arm in ("drift in training", "more steps", "whitened penalty, prior map")


def test_a_pilot_without_records_prints_a_table_all_the_same() -> None:
    keys = [(arm, number, 0) for arm, settings in TRIED.items() for number in range(len(settings))]
    lines = table(dict.fromkeys(keys), 1).splitlines()
    assert len(lines) == 1 + len(keys)
