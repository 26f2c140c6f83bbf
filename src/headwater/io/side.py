"""Hadoop's checksum side files: `.NAME.crc` beside NAME holds the CRC32 of each 512 bytes.

Spark writes and verifies them on local file systems. Invariants: the side file is written after its file and is never
required: one that is missing or cut off says nothing, so it is not flushed either.
"""

from __future__ import annotations

import struct
import zlib

from headwater.io.storage import Storage

_CHUNK = 512
_HEADER = b"crc\0" + struct.pack(">I", _CHUNK)


def side_path(path: str) -> str:
    """`a/.b.crc` for `a/b`."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.crc"


def checksum(data: bytes) -> bytes:
    """The content of the side file of a file that holds `data`."""
    sums = [zlib.crc32(data[at : at + _CHUNK]) for at in range(0, len(data), _CHUNK)]
    return _HEADER + struct.pack(f">{len(sums)}I", *sums)


def create_with_side(storage: Storage, path: str, data: bytes) -> None:
    """Create `path`, then its side file. Raises FileExistsError."""
    storage.create(path, data)
    storage.replace(side_path(path), checksum(data), durable=False)


def replace_with_side(storage: Storage, path: str, data: bytes) -> None:
    """Create or overwrite `path`, then its side file; a side file of older bytes goes first."""
    storage.delete(side_path(path))
    storage.replace(path, data)
    storage.replace(side_path(path), checksum(data), durable=False)


def delete_with_side(storage: Storage, path: str) -> None:
    """Delete `path` and its side file."""
    storage.delete(path)
    storage.delete(side_path(path))


def checksum_matches(storage: Storage, path: str, data: bytes) -> bool:
    """Whether the side file, if there is a whole one, belongs to `data`."""
    try:
        side = storage.read(side_path(path))
    except FileNotFoundError:
        return True
    whole = side.startswith(_HEADER) and (len(side) - len(_HEADER)) % 4 == 0
    return not whole or side == checksum(data)
