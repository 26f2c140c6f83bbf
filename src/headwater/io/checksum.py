"""Files with Hadoop's checksum beside them: `NAME` and `.NAME.crc`, as Spark keeps its logs.

Invariants: the file is created first and never overwritten; the side file is checked when it is whole, and never
required, so it is not flushed either. Objects in S3 have none: S3 keeps checksums of its own, as Spark leaves to it.
"""

from __future__ import annotations

import struct
import zlib

from headwater.errors import RuntimeSparkError
from headwater.io.paths import is_remote
from headwater.io.storage import Storage

_CHUNK = 512
_HEADER = b"crc\0" + struct.pack(">I", _CHUNK)


def create_checked(storage: Storage, path: str, data: bytes) -> None:
    """Create `path`, then its side file. Raises FileExistsError."""
    storage.create(path, data)
    if is_remote(path):
        return
    storage.replace(side_file(path), checksum(data), durable=False)


def replace_checked(storage: Storage, path: str, data: bytes) -> None:
    """Create or overwrite `path`, then its side file; a side file of older bytes goes first."""
    if is_remote(path):
        storage.replace(path, data)
        return
    storage.delete(side_file(path))
    storage.replace(path, data)
    storage.replace(side_file(path), checksum(data), durable=False)


def read_checked(storage: Storage, path: str) -> bytes:
    """The bytes of `path`. Raises FileNotFoundError, INCOMPLETE_STREAM_LOG if its side file says otherwise."""
    data = storage.read(path)
    if not matches(storage, path, data):
        remedy = f"If the file is as it should be, delete `{side_file(path)}`; else restore it from a copy."
        raise damaged(path, "its checksum does not match", remedy)
    return data


def matches(storage: Storage, path: str, data: bytes) -> bool:
    """Whether the side file, if there is a whole one, belongs to `data`."""
    if is_remote(path):
        return True
    try:
        side = storage.read(side_file(path))
    except FileNotFoundError:
        return True
    whole = side.startswith(_HEADER) and (len(side) - len(_HEADER)) % 4 == 0
    return not whole or side == checksum(data)


def delete_checked(storage: Storage, path: str) -> None:
    """Delete `path` and its side file."""
    storage.delete(path)
    if not is_remote(path):
        storage.delete(side_file(path))


def checksum(data: bytes) -> bytes:
    """Hadoop's side file: a header, then the CRC32 of each 512 bytes."""
    sums = [zlib.crc32(data[at : at + _CHUNK]) for at in range(0, len(data), _CHUNK)]
    return _HEADER + struct.pack(f">{len(sums)}I", *sums)


def side_file(path: str) -> str:
    """`.NAME.crc` beside `NAME`."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.crc"


def damaged(path: str, reason: str, remedy: str) -> RuntimeSparkError:
    """The error for a log file that cannot be used."""
    return RuntimeSparkError("INCOMPLETE_STREAM_LOG", path=path, reason=reason, remedy=remedy)
