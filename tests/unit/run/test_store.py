"""Records are whole or absent, and named by what they depend on."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from sdewm import InvalidArgument
from sdewm.run import Record, Store
from sdewm.run.store import record_name, write_whole

KEY = {"work": "X1", "seed": 0, "settings": {"paths": 10}}


def make(**values: float) -> Record:
    return Record(KEY, values, {"mean": np.array([1.0, np.nan]), "count": np.array([3])}, {"seconds": 1.0})


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "records")
    store.write(make(P=0.25))
    found = store.find(KEY)
    assert found is not None
    assert found.values == {"P": 0.25}
    np.testing.assert_array_equal(found.arrays["mean"], [1.0, np.nan])
    assert found.made == {"seconds": 1.0}
    assert store.find({**KEY, "seed": 1}) is None


def test_the_name_depends_on_every_part_of_the_key_and_on_nothing_else() -> None:
    names = {
        record_name(key)
        for key in (KEY, {**KEY, "seed": 1}, {**KEY, "settings": {"paths": 11}}, {**KEY, "budget": "quick"})
    }
    assert len(names) == 4
    assert Record(KEY, {"P": 1}, {}, {"commit": "a"}).name == Record(dict(reversed(KEY.items())), {"P": 2}).name


@pytest.mark.parametrize(
    "damage",
    [
        lambda place, name: (place / f"{name}.json").write_text("{"),
        lambda place, name: (place / f"{name}.json").write_text("[]"),
        lambda place, name: (place / f"{name}.json").write_bytes((place / f"{name}.json").read_bytes()[:-40]),
        lambda place, name: (place / f"{name}.npz").unlink(),
        lambda place, name: (place / f"{name}.npz").write_bytes((place / f"{name}.npz").read_bytes()[:-7]),
        lambda place, name: _alter(place / f"{name}.json"),
    ],
)
def test_a_damaged_record_is_as_good_as_none(tmp_path: Path, damage: object) -> None:
    store = Store(tmp_path)
    store.write(make(P=0.25))
    name = record_name(KEY)
    assert store.read(name) is not None
    damage(tmp_path, name)  # type: ignore[operator]
    assert store.read(name) is None


def _alter(path: Path) -> None:
    data = json.loads(path.read_text())
    data["values"]["P"] = 0.5
    path.write_text(json.dumps(data))


def test_a_record_under_another_name_is_not_taken(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(make(P=0.25))
    other = record_name({**KEY, "seed": 5})
    for suffix in ("json", "npz"):
        (tmp_path / f"{record_name(KEY)}.{suffix}").rename(tmp_path / f"{other}.{suffix}")
    assert store.read(other) is None


def test_an_interrupted_write_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_place_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(InvalidArgument, match=r"results place .*results cannot be used"):
        Store(tmp_path / "results")


@pytest.mark.parametrize("key", [{"a": object()}, {"a": {1, 2}}, {1: "a", "a": 2}])
def test_a_key_that_has_no_name_is_refused_as_well(key: dict[object, object], tmp_path: Path) -> None:
    """The name of a record is made from its key, before anything is written."""
    with pytest.raises(InvalidArgument, match="plain JSON"):
        Store(tmp_path).write(Record(key, {}))
