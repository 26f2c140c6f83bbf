"""Files with Hadoop's checksum beside them: `NAME` and `.NAME.crc`, as Spark keeps its logs.

Invariants: the file is created first and never overwritten; the side file is checked when it is whole, and never
required.
"""

from __future__ import annotations

import struct
import zlib

from headwater.errors import RuntimeSparkError
from headwater.io.storage import Storage

_CHUNK = 512
_HEADER = b"crc\0" + struct.pack(">I", _CHUNK)


def create_checked(storage: Storage, path: str, data: bytes) -> None:
    """Create `path`, then its side file. Raises FileExistsError."""
    storage.create(path, data)
    storage.replace(side_file(path), checksum(data))


def read_checked(storage: Storage, path: str) -> bytes:
    """The bytes of `path`. Raises FileNotFoundError, INCOMPLETE_STREAM_LOG if its side file says otherwise."""
    data = storage.read(path)
    try:
        side = storage.read(side_file(path))
    except FileNotFoundError:
        return data
    if side.startswith(_HEADER) and side != checksum(data):
        remedy = f"If the file is as it should be, delete `{side_file(path)}`; else restore it from a copy."
        raise damaged(path, "its checksum does not match", remedy)
    return data


def delete_checked(storage: Storage, path: str) -> None:
    """Delete `path` and its side file."""
    storage.delete(path)
    storage.delete(side_file(path))


def checksum(data: bytes) -> bytes:
    """Hadoop's side file: a header, then the CRC32 of each 512 bytes."""
    sums = (zlib.crc32(data[at : at + _CHUNK]) for at in range(0, len(data), _CHUNK))
    return _HEADER + b"".join(struct.pack(">I", one) for one in sums)


def side_file(path: str) -> str:
    """`.NAME.crc` beside `NAME`."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.crc"


def damaged(path: str, reason: str, remedy: str) -> RuntimeSparkError:
    """The error for a log file that cannot be used."""
    return RuntimeSparkError("INCOMPLETE_STREAM_LOG", path=path, reason=reason, remedy=remedy)
