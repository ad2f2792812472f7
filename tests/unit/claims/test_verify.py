"""Records computed again: equal to the bit, or said where they are not; and modules are imported on request only."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from soak.work import CATALOGUE, CELLS

from sdewm import InvalidArgument
from sdewm.claims import run
from sdewm.claims.module import catalogue_of
from sdewm.claims.verify import difference, verify
from sdewm.cli import main
from sdewm.run import Record, Store


@pytest.fixture
def place(tmp_path: Path) -> Path:
    run(CATALOGUE, Store(tmp_path / "records"), stream=io.StringIO())
    return tmp_path


def changed(place: Path, **values: Any) -> str:
    """One record with other contents, its hashes made right again."""
    store = Store(place / "records")
    name = sorted(path.stem for path in store.place.glob("*.json"))[0]
    record = store.read(name)
    assert record is not None
    arrays = {**record.arrays, "mean": np.nextafter(record.arrays["mean"], 9.0)}
    store.write(Record(record.key, {**record.values, **values}, arrays, {**record.made, "torch": "1.0"}))
    return name


def test_a_sample_is_equal_to_the_bit(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = verify(CATALOGUE, Store(place / "records"), sample=4)
    assert len(found) == 4
    assert not any(one.difference or one.elsewhere for one in found)
    assert {one.name for one in found} != {
        one.name for one in verify(CATALOGUE, Store(place / "records"), sample=4, draw=1)
    }
    assert main(["verify-records", "soak.work", "--results", str(place), "--sample", "2"]) == 0
    assert "2 records computed again, 2 equal to the bit" in capsys.readouterr().out


def test_a_false_record_is_found(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = changed(place, paths=4095)
    wrong = [one for one in verify(CATALOGUE, Store(place / "records"), sample=1000) if one.difference]
    assert [one.name for one in wrong] == [name]
    assert "value 'paths'" in wrong[0].difference
    assert "array 'mean' by at most" in wrong[0].difference
    assert "made with torch 1.0" in str(wrong[0])
    assert main(["verify-records", "soak.work", "--results", str(place), "--sample", str(CELLS)]) == 1
    assert f"{CELLS - 1} equal to the bit" in capsys.readouterr().out


def test_differences_are_those_of_bits() -> None:
    one = Record({}, {"a": (1, float("nan")), "b": {"c": 1}}, {"x": np.array([np.nan, 0.0])})
    assert difference(one, Record({}, {"a": [1, float("nan")], "b": {"c": 1}}, one.arrays)) == ""
    for other in (
        Record({}, {**one.values, "d": 1}, one.arrays),
        Record({}, {**one.values, "a": [1.0, float("nan")]}, one.arrays),
        Record({}, one.values, {"x": np.array([np.nan, -0.0])}),
        Record({}, one.values, {"x": np.array([np.nan])}),
        Record({}, one.values, {}),
    ):
        assert difference(one, other).startswith("differs in ")


def test_mistakes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify-records", "soak.work", "--results", str(tmp_path)]) == 2
    assert "there are no records in" in capsys.readouterr().err
    with pytest.raises(InvalidArgument, match="must hold records of budget 'quick' and seed 3, got none"):
        verify(CATALOGUE, Store(tmp_path), budget="quick", seed=3)
    assert main(["verify-records", "no_such_module", "--results", str(tmp_path)]) == 2
    assert "'no_such_module' cannot be imported" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("CATALOGUE = 3", "must have a CATALOGUE"),
        ("CATALOGUE = [3]", "must have a CATALOGUE"),
        ("import sys; sys.exit(3)", r"cannot be imported \(3\)"),
        ("1 +", "cannot be imported"),
        ("1 / 0", "division by zero"),
    ],
)
def test_modules_that_are_none(code: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"module_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidArgument, match=words):
        catalogue_of(name)


@pytest.mark.parametrize("name", ["", ".", "a..b", "../a", "a b", "a\0b", ".a", None])
def test_what_is_no_modules_name_is_not_imported(name: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"a module's name such as package.my_claims is needed"):
        catalogue_of(name)
