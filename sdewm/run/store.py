"""Records on disk: written whole or not at all, named by what they depend on, checked when they are read."""

import hashlib
import json
import os
import platform
import re
import secrets
import stat
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

from numpy.typing import NDArray

from ..exceptions import InvalidArgument, StorageFailure
from .arrays import LARGEST, arrays_from_bytes, arrays_to_bytes

SCHEMA = 2


@final
@dataclass(frozen=True, eq=False)
class Record:
    """The result of one cell of work.

    Attributes:
        key: plain JSON values that the result depends on; their hash is the record's name.
        values: plain JSON values.
        arrays: arrays, kept in an npz file beside the JSON.
        made: how, when and where it was made; not part of the name.
    """

    key: Mapping[str, Any]
    values: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """File name without its suffix: the work for the eye, a hash for the rest."""
        return record_name(self.key)


def record_name(key: Mapping[str, Any]) -> str:
    """The name of the record with this key."""
    digest = hashlib.sha256(_canonical({**key, "schema": SCHEMA}).encode()).hexdigest()[:20]
    label = "".join(c if c.isalnum() else "-" for c in f"{key.get('work', 'record')}")
    return f"{label}-{digest}"


@final
@dataclass(frozen=True)
class Store:
    """A directory of records.

    Raises:
        InvalidArgument: the place exists and is not a directory, or cannot be made.
    """

    place: Path

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "place", Path(self.place))
            self.place.mkdir(parents=True, exist_ok=True)
        except (OSError, TypeError, ValueError) as error:
            raise InvalidArgument(f"results place {self.place} cannot be used as a directory: {error}.") from error

    def write(self, record: Record) -> Path:
        """Write the arrays first and the JSON that vouches for them last; return the JSON's path.

        Raises:
            InvalidArgument: the record holds what its files cannot: see `packed`.
            StorageFailure: there is no room or no permission; then the record is not there.
        """
        name, document, arrays = packed(record)
        path = self.place / f"{name}.json"
        try:
            if arrays:
                write_whole(self.place / f"{name}.npz", arrays)
            write_whole(path, document)
        except OSError as error:
            raise StorageFailure(
                f"{path} cannot be written: {error.strerror or error}; what is on record already is whole."
            ) from error
        return path

    def read(self, name: str) -> Record | None:
        """The record of this name, or None if it is not there or not intact (then it is to be made again)."""
        found = self.inspect(name)
        return found if isinstance(found, Record) else None

    def inspect(self, name: str) -> Record | str | None:
        """The record of this name; None if it is not there; in words what is wrong with it if it is not intact.

        Whatever the files hold, no more than a bounded size is read, and nothing outside of `place`.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return "its name is not one of a record"
        try:
            data = self._bytes(f"{name}.json", _TEXT)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            return f"it cannot be read: {error}"
        try:
            whole = json.loads(data)
            content, made = {part: whole[part] for part in _CONTENT}, whole.get("made", {})
            if whole["schema"] != SCHEMA:
                return "its schema is another"
            if hashlib.sha256(_canonical(content).encode()).hexdigest() != whole["sha256"]:
                return "its hash differs"
            if not all(isinstance(part, dict) for part in (made, *list(content.values())[1:])):
                return "it is no record"
            arrays = self._arrays(name, content["arrays"])
            record = Record(content["key"], content["values"], arrays, made)
            return record if record.name == name else "it belongs under another name"
        except _HashDiffers:
            return "the hash of its arrays differs"
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return f"it is no record: {type(error).__name__}"

    def find(self, key: Mapping[str, Any]) -> Record | None:
        """The intact record with this key, or None."""
        return self.read(record_name(key))

    def check_room(self) -> None:
        """Write a file and take it away again, so that it is known before hours of work that there will be results.

        Raises:
            StorageFailure: nothing can be written here.
        """
        path = self.place / f".room.{secrets.token_hex(8)}"
        try:
            write_whole(path, b"0" * 4096)
            path.unlink()
        except OSError as error:
            raise StorageFailure(
                f"results place {self.place} cannot be written to: {error.strerror or error}; make room there, or name "
                "another place."
            ) from error

    def sweep(self, older: float = 3600.0) -> int:
        """Take away what writers that were killed have left half written; return how many files.

        Args:
            older: only files last changed so many seconds ago: a younger one may belong to a writer that is at work.
        """
        swept = 0
        for path in self.place.glob(".*"):
            try:
                if _TEMPORARY.fullmatch(path.name) and time.time() - path.lstat().st_mtime > older:
                    path.unlink()
                    swept += 1
            except OSError:
                # Another run was faster, or may not.
                continue
        return swept

    def _arrays(self, name: str, files: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        if not files:
            return {}
        data = self._bytes(f"{name}.npz", LARGEST)
        if hashlib.sha256(data).hexdigest() != files["sha256"]:
            raise _HashDiffers
        return arrays_from_bytes(data)

    def _bytes(self, name: str, most: int) -> bytes:
        """A file of the store, if it is a file and not too long."""
        path = self.place / name
        found = path.stat()
        # A pipe would never end.
        if not stat.S_ISREG(found.st_mode) or found.st_size > most:
            raise ValueError(f"no file of at most {most >> 20} MiB")
        with open(path, "rb") as file:
            return file.read(most)


_CONTENT = ("schema", "key", "values", "arrays")
# What a JSON text takes in memory is several times its length.
_TEXT = 1 << 25
_NAME = re.compile(r"[\w-]{1,200}-[0-9a-f]{20}")
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}")


@final
class _HashDiffers(Exception):
    """The arrays are not those that the JSON vouches for."""


def packed(record: Record) -> tuple[str, bytes, bytes]:
    """Name, JSON and npz (empty if there are no arrays) of a record; but for `made` the same for the same content.

    Raises:
        InvalidArgument: the values are not plain JSON, the arrays are not plain numbers, or they are too large to be
            read again.
    """
    arrays = arrays_to_bytes(record.arrays) if record.arrays else b""
    try:
        name = record.name
        files = {"file": f"{name}.npz", "sha256": hashlib.sha256(arrays).hexdigest()} if arrays else {}
        content = {"schema": SCHEMA, "key": dict(record.key), "values": dict(record.values), "arrays": files}
        digest = hashlib.sha256(_canonical(content).encode()).hexdigest()
        whole = {**content, "sha256": digest, "made": dict(record.made)}
        document = (json.dumps(whole, indent=1, sort_keys=True, allow_nan=True) + "\n").encode()
        same = all(_canonical(json.loads(document)[part]) == _canonical(content[part]) for part in _CONTENT)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"key and values of a record must be plain JSON: {error}.") from error
    if not same or not _NAME.fullmatch(name) or len(document) > _TEXT or len(arrays) > LARGEST:
        raise InvalidArgument(
            f"a record must have a short name, JSON with words for keys and at most {_TEXT >> 20} MiB of it, got "
            f"{name[:40]!r} of {len(document)} bytes; keep numbers in arrays."
        )
    return name, document, arrays


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: to a temporary name in the same directory, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by tempfile, whose files nobody else may read.
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def provenance() -> dict[str, Any]:
    """Versions, machine and commit: noted with each record, but not part of its name."""
    return dict(_provenance())


@cache
def _provenance() -> dict[str, Any]:
    import torch
    import torchsde

    return {
        "sdewm": version("sdewm"),
        "torch": torch.__version__,
        "torchsde": torchsde.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=True)
