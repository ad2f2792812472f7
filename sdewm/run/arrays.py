"""Arrays in npz files that may come from anybody: no pickle, and nothing is allocated that the file does not hold."""

import math
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..exceptions import InvalidArgument

# A small file may unpack to a thousand times its size.
LARGEST = 1 << 28
_MEMBERS = 4096
_KINDS = "biufc"


def arrays_to_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Named arrays as the bytes of a compressed npz file, the same bytes for the same arrays.

    Args:
        arrays: bools, whole, real or complex numbers of any shape.

    Raises:
        InvalidArgument: an array holds something else, or they are too large to be read again.
    """
    plain = {name: np.asarray(value) for name, value in arrays.items()}
    for name, value in plain.items():
        if not isinstance(name, str) or value.dtype.kind not in _KINDS:
            raise InvalidArgument(f"arrays must hold numbers, got {name!r} of {value.dtype}; keep text in the values.")
    size = sum(value.nbytes for value in plain.values())
    if size > LARGEST or len(plain) > _MEMBERS:
        raise InvalidArgument(
            f"arrays of a record must be at most {_MEMBERS} and have at most {LARGEST >> 20} MiB, got {len(plain)} of "
            f"{size >> 20} MiB; keep what is judged or drawn, such as moments."
        )
    buffer = BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **plain)
    return buffer.getvalue()


def arrays_from_bytes(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays in the bytes of an npz file.

    Raises:
        ValueError: the bytes are no npz file of plain numbers, or claim more than they may hold.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if len(members) > _MEMBERS or size > LARGEST + 4096 * len(members):
                raise ValueError(f"{len(members)} arrays of {size} bytes are more than a record may hold")
            for member in members:
                if not member.filename.endswith(".npy") or member.filename in arrays:
                    raise ValueError(f"{member.filename!r} is no array, or there twice")
                arrays[member.filename] = _array(archive.read(member))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"no npz file: {error}") from error
    return {name.removesuffix(".npy"): array for name, array in arrays.items()}


def _array(data: bytes) -> NDArray[Any]:
    """One npy file; its header is compared with what follows before anything is made of it."""
    stream = BytesIO(data)
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"npy format {version} is not known")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, fortran, dtype = read(stream)
    except (SyntaxError, TypeError, MemoryError, RecursionError, AttributeError) as error:
        raise ValueError(f"no npy header: {error}") from error
    rest = len(data) - stream.tell()
    if dtype.kind not in _KINDS or any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != rest:
        raise ValueError(f"{rest} bytes are not an array of shape {shape} of {dtype}")
    array = np.frombuffer(data, dtype, offset=stream.tell()).reshape(shape, order="F" if fortran else "C")
    return array.copy(order="K")
