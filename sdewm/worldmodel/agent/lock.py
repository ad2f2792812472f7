"""One process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...exceptions import InvalidArgument


@contextmanager
def sole_use(path: Path) -> Iterator[None]:
    """Inside, no other process, and nobody else in this one, is in here with the same path.

    The operating system holds the lock on a file beside `path`, and lets go of it when the process ends, however that
    comes about. The file stays: to remove it would let two in.

    Raises:
        InvalidArgument: somebody else is in here, or the file cannot be made.

    Warning:
        Locks of network file systems may hold on one machine only.
    """
    place = path.parent / f".{path.name}.lock"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        file = open(place, "a+b")  # noqa: SIM115
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be locked: {error}.") from error
    with file:
        try:
            _lock(file)
        except OSError as error:
            raise InvalidArgument(
                f"{path} is in use by another training: wait until it ends, stop it, or name another file."
            ) from error
        yield


def _lock(file: Any) -> None:
    # Each of the two modules is there on one kind of system only; a lock ends with its file.
    if os.name == "nt":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
