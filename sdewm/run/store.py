"""Records on disk: written whole or not at all, named by what they depend on, checked when they are read."""

import hashlib
import json
import os
import platform
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ..exceptions import InvalidArgument

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
        InvalidArgument: the place exists and is not a directory, or cannot be written.
    """

    place: Path

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "place", Path(self.place))
            self.place.mkdir(parents=True, exist_ok=True)
        except (OSError, TypeError) as error:
            raise InvalidArgument(f"results place {self.place} cannot be used as a directory: {error}.") from error

    def write(self, record: Record) -> Path:
        """Write the arrays first and the JSON that vouches for them last; return the JSON's path."""
        name = record.name
        files: dict[str, Any] = {}
        if record.arrays:
            buffer = BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **dict(record.arrays))
            write_whole(self.place / f"{name}.npz", buffer.getvalue())
            files = {"file": f"{name}.npz", "sha256": hashlib.sha256(buffer.getvalue()).hexdigest()}
        content = {"schema": SCHEMA, "key": dict(record.key), "values": dict(record.values), "arrays": files}
        digest = hashlib.sha256(_canonical(content).encode()).hexdigest()
        whole = {**content, "sha256": digest, "made": dict(record.made)}
        path = self.place / f"{name}.json"
        write_whole(path, (json.dumps(whole, indent=1, sort_keys=True, allow_nan=True) + "\n").encode())
        return path

    def read(self, name: str) -> Record | None:
        """The record of this name, or None if it is not there or not intact (then it is to be made again)."""
        path = self.place / f"{name}.json"
        try:
            whole = json.loads(path.read_bytes())
            content = {key: whole[key] for key in ("schema", "key", "values", "arrays")}
            if hashlib.sha256(_canonical(content).encode()).hexdigest() != whole["sha256"] or whole["schema"] != SCHEMA:
                return None
            arrays: dict[str, NDArray[Any]] = {}
            if content["arrays"]:
                data = (self.place / f"{name}.npz").read_bytes()
                if hashlib.sha256(data).hexdigest() != content["arrays"]["sha256"]:
                    return None
                with np.load(BytesIO(data), allow_pickle=False) as archive:
                    arrays = {key: archive[key] for key in archive.files}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        record = Record(content["key"], content["values"], arrays, whole.get("made", {}))
        return record if record.name == name else None

    def find(self, key: Mapping[str, Any]) -> Record | None:
        """The intact record with this key, or None."""
        return self.read(record_name(key))


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
