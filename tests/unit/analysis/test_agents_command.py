"""The commands that train agents: unfinished is said, nothing is kept that is not whole, doses were tried before."""

import json
from pathlib import Path

import numpy as np
import pytest

import analysis.pilot as shared
from analysis.agents.__main__ import main
from analysis.agents.pilot import TRIED, table, tasks_of
from analysis.agents.pilot import main as pilot
from analysis.agents.setting import ARMS, PILOT
from analysis.agents.ship import main as ship
from analysis.long import UNFINISHED
from sdewm.claims.tasks import Task
from sdewm.run import Record


def test_a_time_limit_that_is_too_short_begins_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--minutes", "0.01", "--workers", "1", "--results", str(tmp_path)]) == UNFINISHED
    assert "the same command goes on from there" in capsys.readouterr().err
    assert not list((tmp_path / "records").iterdir())


def test_a_part_of_a_run_is_not_shipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ship(["--results", str(tmp_path)]) == 2
    assert "cells are missing" in capsys.readouterr().err


def test_every_dose_of_the_run_was_tried_in_the_pilot() -> None:
    for arm in ("plain", "zero drift in training", "penalty, prior map", "drift in training"):
        assert ARMS[arm] in TRIED[arm], arm
    assert all(task.cell.seed >= PILOT for task in tasks_of(2).values())


def test_a_pilot_computes_what_is_missing_and_keeps_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[int] = []

    def quickly(task: Task) -> Record:
        done.append(task.cell.seed)
        return Record(task.key, {"diverged": "made up"}, {})

    monkeypatch.setattr(shared, "compute", quickly)
    given = ["--seeds", "2", "--workers", "1", "--results", str(tmp_path)]
    assert pilot(given) == 0
    assert len(done) == len(tasks_of(2))
    found = json.loads((tmp_path / "pilot.json").read_text())
    assert found["seeds"] == [PILOT, PILOT + 1]
    assert found["table"] in capsys.readouterr().out
    assert pilot(given) == 0
    assert len(done) == len(tasks_of(2))


@pytest.mark.parametrize(("option", "words"), [("--seeds", "seeds must be"), ("--workers", "workers must be")])
def test_mistakes_of_a_pilot_are_named(
    option: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pilot([option, "0", "--results", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err


def test_the_table_of_the_pilot_has_a_line_a_setting_whatever_is_there() -> None:
    def record(scale: float) -> Record:
        arrays = {"curve": np.full(4, 100.0 * scale), "open loop/own": np.full(100, scale**2)}
        return Record(
            {"scale": scale}, {"diverged": None, "returns": {"clean": [200.0]}, "seconds of training": 9}, arrays
        )

    keys = [(arm, number, 0) for arm, settings in TRIED.items() for number in range(len(settings))]
    assert len(table(dict.fromkeys(keys), 1).splitlines()) == 1 + len(keys)
    found = table({("plain", 0, 0): record(1.0), ("drift in training", 3, 0): record(2.0)}, 1).splitlines()
    (line,) = (line for line in found if line.startswith("drift") and "size=0.3" in line)
    assert line.split()[-7:] == ["200", "200", "2", "2", "2", "0", "9"]
