"""Records that somebody made to harm: nothing large is allocated, nothing outside is read, nothing is unpickled."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdewm import InvalidArgument
from sdewm.exceptions import StorageFailure
from sdewm.run import Record, Store
from sdewm.run import store as store_module
from sdewm.run.arrays import arrays_from_bytes, arrays_to_bytes
from sdewm.run.store import SCHEMA, record_name, write_whole

KEY: dict[str, Any] = {"work": "X1", "seed": 0, "settings": {"paths": 10}}


def forged(place: Path, data: bytes = b"", name: str = record_name(KEY), **parts: Any) -> str:
    """A record whose hashes are right, whatever it holds."""
    files = {"file": f"{name}.npz", "sha256": hashlib.sha256(data).hexdigest()} if data else {}
    content = {"schema": SCHEMA, "key": KEY, "values": {}, "arrays": files, **parts}
    digest = hashlib.sha256(store_module._canonical(content).encode()).hexdigest()
    (place / f"{name}.json").write_text(json.dumps({**content, "sha256": digest, "made": {}}))
    (place / f"{name}.npz").write_bytes(data)
    return name


def npz(members: Mapping[str, bytes], **options: Any) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def npy(shape: tuple[int, ...], data: bytes, descr: str = "<f8") -> bytes:
    buffer = BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


def pickled() -> bytes:
    buffer = BytesIO()
    np.savez(buffer, a=np.array([{"code": 1}], dtype=object))
    return buffer.getvalue()


BOMB = npz({f"{i}.npy": b"" for i in range(5000)})
HOSTILE = {
    "no zip": b"PK nothing",
    "too many members": BOMB,
    "more than it holds": npz({"a.npy": npy((1 << 40,), b"12345678")}),
    "a negative size": npz({"a.npy": npy((-1,), b"")}),
    "a pickle": pickled(),
    "text": npz({"a.npy": npy((1,), b"abcd", "<U1")}),
    "another file": npz({"../../a": b""}),
    "no header": npz({"a.npy": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 9000}),
    "code for a header": npz({"a.npy": b"\x93NUMPY\x01\x00\x20\x00" + b"__import__('os').getcwd()      \n"}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_arrays_are_no_record(kind: str, tmp_path: Path) -> None:
    name = forged(tmp_path, HOSTILE[kind])
    assert Store(tmp_path).inspect(name) == "it is no record: ValueError"
    with pytest.raises(ValueError):
        arrays_from_bytes(HOSTILE[kind])


def test_a_file_that_unpacks_to_more_than_a_record_may_hold_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdewm.run.arrays.LARGEST", 1 << 16)
    with pytest.raises(ValueError, match="more than a record may hold"):
        arrays_from_bytes(npz({"a.npy": npy((1 << 20,), bytes(8 << 20))}))
    # A member that says less than it is: it is read as far as it says, and its check sum is wrong.
    lying = bytearray(npz({"a.npy": npy((1 << 10,), bytes(8 << 10))}))
    size = (8 << 10) + len(npy((1 << 10,), b""))
    for i in range(len(lying) - 4):
        if int.from_bytes(lying[i : i + 4], "little") == size:
            lying[i : i + 4] = (200).to_bytes(4, "little")
    with pytest.raises(ValueError, match="no npz file"):
        arrays_from_bytes(bytes(lying))


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.bool_, np.complex128])
def test_arrays_come_back_as_they_were(shape: tuple[int, ...], dtype: type) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    back = arrays_from_bytes(arrays_to_bytes({"a": array, "b": np.asfortranarray(array)}))
    for found in back.values():
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
    assert arrays_to_bytes({"a": array}) == arrays_to_bytes({"a": array.copy()})


PARTS: list[tuple[dict[str, Any], str]] = [
    ({"key": []}, "it is no record"),
    ({"values": 3}, "it is no record"),
    ({"arrays": {"sha256": 3}}, "the hash of its arrays differs"),
    ({"arrays": {"file": "x"}}, "it is no record: KeyError"),
    ({"schema": 1}, "its schema is another"),
    ({"key": {"work": "another"}}, "it belongs under another name"),
]


@pytest.mark.parametrize(("parts", "reason"), PARTS)
def test_hostile_words_are_no_record(parts: dict[str, Any], reason: str, tmp_path: Path) -> None:
    assert Store(tmp_path).inspect(forged(tmp_path, **parts)) == reason


@pytest.mark.parametrize("text", ["[" * 100_000, "3", '"text"', "null", '{"schema": 1e999}', "\ufeff{}", "1" * 10_000])
def test_hostile_json_is_no_record(text: str, tmp_path: Path) -> None:
    (tmp_path / f"{record_name(KEY)}.json").write_text(text)
    assert "it is no record" in str(Store(tmp_path).inspect(record_name(KEY)))


@pytest.mark.parametrize("name", ["../outside", "a/b-" + "0" * 20, "", "a\0b", "x" * 5000, ".-" + "0" * 20, None, 3])
def test_names_cannot_leave_the_directory(name: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "outside.json").write_text("{}")
    assert Store(tmp_path / "in").inspect(name) == "its name is not one of a record"


def test_pipes_and_directories_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / f"{record_name(KEY)}.json"
    os.mkfifo(path)
    assert "it cannot be read" in str(Store(tmp_path).inspect(path.stem))
    path.unlink()
    path.mkdir()
    assert "it cannot be read" in str(Store(tmp_path).inspect(path.stem))


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / f"{record_name(KEY)}.json"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    assert "no file of at most 32 MiB" in str(Store(tmp_path).inspect(path.stem))


@pytest.mark.parametrize(
    "record",
    [
        Record(KEY, {"a": object()}),
        Record(KEY, {"a": {1: 2, "b": 3}}),
        Record(KEY, {"a": {9: 1, 10: 2}}),
        Record({**KEY, "work": ""}, {}),
        Record({**KEY, "work": "x" * 300}, {}),
        Record(KEY, {}, {"a": np.array(["text"])}),
        Record(KEY, {}, {"a": np.array([None])}),
        Record(KEY, {"a": "x" * 3000}),
    ],
)
def test_what_could_not_be_read_again_is_not_written(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_TEXT", 3000)
    with pytest.raises(InvalidArgument):
        Store(tmp_path).write(record)
    assert list(tmp_path.iterdir()) == []


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_full_disk_is_said_and_leaves_what_was_there(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, record = Store(tmp_path), Record(KEY, {"P": 1.0}, {"a": np.ones(3)})
    store.write(record)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(os, call, full)
    actions: list[Callable[[], object]] = [lambda: store.write(record), store.check_room]
    for action in actions:
        with pytest.raises(StorageFailure, match=r"cannot be written.*: No space left on device"):
            action()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_killed_writer_left_is_swept_and_a_young_file_is_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, age in ((".a.json.0123456789abcdef", 7200.0), (".b.json.0123456789abcdef", 10.0), (".keep", 7200.0)):
        write_whole(tmp_path / name, b"half")
        past = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (past, past))
    assert store.sweep() == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.json.0123456789abcdef", ".keep"]
