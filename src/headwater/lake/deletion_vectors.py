"""Deletion vectors: which rows of a data file are deleted although the file still holds them.

A vector is a set of row numbers, kept as roaring bitmaps in a file beside the data or inside the log. It is handed on
as blocks of 65,536 rows, each a bitmap that DuckDB reads as `BIT`: bit i (from the left) is the block's row i.

Invariants: a vector that is damaged (size, checksum, number of rows) is an error, never fewer deleted rows; vectors
never change once they are named, so what was read of one is kept.
Source: Delta's PROTOCOL.md, "Deletion Vectors" and "Deletion Vector Format"; the RoaringFormatSpec of 32-bit bitmaps.
"""

from __future__ import annotations

import base64
import os
import struct
import uuid
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from headwater.errors import SparkError, unsupported
from headwater.io.paths import as_remote
from headwater.io.routing import read_range
from headwater.lake.actions import decode_path

BLOCK_BITS = 16
"""Rows of a block are numbered with this many bits."""

_MAGIC = 1681511377
_RUNS, _NO_RUNS = 12347, 12346
_MOST_IN_ARRAY, _OFFSETS_FROM = 4096, 4
_BITMAP_BYTES = 1 << (BLOCK_BITS - 3)
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_UUID_CHARACTERS = 20
_B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_TO_B85 = bytes.maketrans(_Z85, _B85)

Blocks = tuple[tuple[int, bytes], ...]
"""(number of the block, its bitmap without zero bytes at the end)."""


def deleted_rows(table: str, vector: Mapping[str, Any]) -> Blocks:
    """The deleted rows that the descriptor `vector` of a file in the table at `table` tells of.

    Raises Delta's errors for a damaged vector, and FileNotFoundError if its file is gone.
    """
    kind, place, size = vector["storageType"], vector["pathOrInlineDv"], int(vector["sizeInBytes"])
    if kind == "i":
        return _parsed(_z85(place)[:size], int(vector["cardinality"]))
    if kind not in ("u", "p"):
        raise unsupported(f"a deletion vector of storage type `{kind}`", "Read the table with Apache Spark.")
    path = _local(place) if kind == "p" else os.path.join(table, *_relative(place))
    return _stored(path, int(vector.get("offset") or 0), size, int(vector["cardinality"]))


def _relative(text: str) -> tuple[str, str]:
    """Folder and file name: a prefix of any length, then a UUID in Z85."""
    prefix, coded = text[:-_UUID_CHARACTERS], text[-_UUID_CHARACTERS:]
    return prefix, f"deletion_vector_{uuid.UUID(bytes=_z85(coded))}.bin"


def _local(uri: str) -> str:
    plain = decode_path(uri)
    return "/" + plain[len("file:") :].lstrip("/") if plain.startswith("file:") else as_remote(plain)


def _z85(text: str) -> bytes:
    return base64.b85decode(text.encode("ascii").translate(_TO_B85))


@lru_cache(maxsize=256)
def _stored(path: str, offset: int, size: int, rows: int) -> Blocks:
    data = read_range(path, offset, offset + size + 8)
    if len(data) < size + 8 or struct.unpack_from(">i", data)[0] != size:
        raise SparkError("DELTA_DELETION_VECTOR_SIZE_MISMATCH")
    if zlib.crc32(data[4 : size + 4]) != struct.unpack_from(">I", data, size + 4)[0]:
        raise SparkError("DELTA_DELETION_VECTOR_CHECKSUM_MISMATCH")
    return _parsed(data[4 : size + 4], rows)


def _parsed(data: bytes, rows: int) -> Blocks:
    """A 64-bit set: several 32-bit bitmaps, each with its high word."""
    try:
        magic, count = struct.unpack_from("<iq", data)
        if magic != _MAGIC:
            raise unsupported(
                "a deletion vector that is no portable roaring bitmap", "Run REORG TABLE … APPLY (PURGE)."
            )
        blocks, found, at = [], 0, 12
        for _ in range(count):
            (high,) = struct.unpack_from("<I", data, at)
            at, some, held = _bitmap(data, at + 4, high << BLOCK_BITS)
            blocks += some
            found += held
    except (struct.error, IndexError) as cause:
        raise SparkError("DELTA_DELETION_VECTOR_SIZE_MISMATCH") from cause
    if found != rows:
        raise SparkError("DELTA_DELETION_VECTOR_CARDINALITY_MISMATCH")
    return tuple(blocks)


def _bitmap(data: bytes, at: int, first_block: int) -> tuple[int, list[tuple[int, bytes]], int]:
    """One 32-bit bitmap: where it ends, its blocks, and how many rows they hold."""
    (cookie,) = struct.unpack_from("<I", data, at)
    at += 4
    runs = b""
    if cookie & 0xFFFF == _RUNS:
        count = (cookie >> 16) + 1
        runs = data[at : at + (count + 7) // 8]
        at += len(runs)
    elif cookie == _NO_RUNS:
        (count,) = struct.unpack_from("<I", data, at)
        at += 4
    else:
        raise SparkError("DELTA_DELETION_VECTOR_SIZE_MISMATCH")
    heads = [struct.unpack_from("<HH", data, at + 4 * index) for index in range(count)]
    at += 4 * count
    if not runs or count >= _OFFSETS_FROM:
        at += 4 * count
    blocks, total = [], 0
    for index, (key, less_one) in enumerate(heads):
        is_run = bool(runs) and bool(runs[index // 8] >> (index % 8) & 1)
        at, bits = _run(data, at) if is_run else _plain(data, at, less_one + 1)
        blocks.append((first_block + key, bits.rstrip(b"\0")))
        total += int.from_bytes(bits, "big").bit_count()
    return at, blocks, total


def _plain(data: bytes, at: int, rows: int) -> tuple[int, bytes]:
    """A container of single rows: listed while they are few, else as bits from the right of each byte."""
    if rows > _MOST_IN_ARRAY:
        found = data[at : at + _BITMAP_BYTES]
        if len(found) < _BITMAP_BYTES:
            raise SparkError("DELTA_DELETION_VECTOR_SIZE_MISMATCH")
        return at + _BITMAP_BYTES, found.translate(_MIRRORED)
    bits = bytearray(_BITMAP_BYTES)
    for row in struct.unpack_from(f"<{rows}H", data, at):
        bits[row >> 3] |= 0x80 >> (row & 7)
    return at + 2 * rows, bytes(bits)


def _run(data: bytes, at: int) -> tuple[int, bytes]:
    """A container of runs: (first row, rows after it)."""
    (count,) = struct.unpack_from("<H", data, at)
    numbers = struct.unpack_from(f"<{2 * count}H", data, at + 2)
    bits, width = 0, 1 << BLOCK_BITS
    for first, more in zip(numbers[::2], numbers[1::2], strict=True):
        bits |= ((1 << (more + 1)) - 1) << (width - 1 - first - more)
    return at + 2 + 4 * count, bits.to_bytes(_BITMAP_BYTES, "big")
