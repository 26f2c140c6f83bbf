"""Deletion vectors: every container of the roaring format, every place a vector can lie, damage."""

from __future__ import annotations

import base64
import struct
import uuid
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from headwater.errors import SparkError, UnsupportedError
from headwater.lake.deletion_vectors import BLOCK_BITS, deleted_rows

_B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def z85(data: bytes) -> str:
    return base64.b85encode(data + bytes(-len(data) % 4)).translate(bytes.maketrans(_B85, _Z85)).decode()


def container(rows: list[int], *, runs: bool) -> bytes:
    """Rows below 65,536 as a container."""
    if runs:
        held = set(rows)
        starts = [row for row in rows if row - 1 not in held]
        ends = [row for row in rows if row + 1 not in held]
        pairs = [number for start, end in zip(starts, ends, strict=True) for number in (start, end - start)]
        return struct.pack(f"<H{len(pairs)}H", len(starts), *pairs)
    if len(rows) <= 4096:
        return struct.pack(f"<{len(rows)}H", *rows)
    bits = bytearray(8192)
    for row in rows:
        bits[row // 8] |= 1 << row % 8
    return bytes(bits)


def bitmap(rows: list[int], *, runs: bool) -> bytes:
    """A 32-bit bitmap; with `runs`, every second container is one of runs."""
    keys = sorted({row >> 16 for row in rows})
    flags = [runs and index % 2 == 0 for index in range(len(keys))]
    parts = [[row & 0xFFFF for row in rows if row >> 16 == key] for key in keys]
    bodies = [container(part, runs=flag) for part, flag in zip(parts, flags, strict=True)]
    heads = b"".join(struct.pack("<HH", key, len(part) - 1) for key, part in zip(keys, parts, strict=True))
    if runs:
        marks = sum(flag << index for index, flag in enumerate(flags)).to_bytes((len(keys) + 7) // 8, "little")
        start = struct.pack("<I", 12347 | (len(keys) - 1) << 16) + marks + heads
    else:
        start = struct.pack("<II", 12346, len(keys)) + heads
    offsets = b"" if runs and len(keys) < 4 else bytes(4 * len(keys))
    return start + offsets + b"".join(bodies)


def serialized(rows: Iterable[int], *, runs: bool = False) -> bytes:
    """Any rows as Delta's portable set."""
    given = sorted(rows)
    highs = sorted({row >> 32 for row in given})
    parts = [struct.pack("<iq", 1681511377, len(highs))]
    for high in highs:
        parts += [struct.pack("<I", high), bitmap([r & 0xFFFFFFFF for r in given if r >> 32 == high], runs=runs)]
    return b"".join(parts)


def inline(data: bytes, rows: int) -> dict[str, Any]:
    return {"storageType": "i", "pathOrInlineDv": z85(data), "sizeInBytes": len(data), "cardinality": rows}


def listed(vector: dict[str, Any], table: str = "/none") -> list[int]:
    """The rows that `deleted_rows` names, by the meaning that its blocks have."""
    rows = []
    for block, bits in deleted_rows(table, vector):
        text = "".join(f"{byte:08b}" for byte in bits)
        rows += [(block << BLOCK_BITS) + place for place, bit in enumerate(text) if bit == "1"]
    return rows


SETS = {
    "few": [0, 3, 34, 65535],
    "many": list(range(0, 65536, 3)),
    "a whole block": list(range(65536)),
    "runs": [*range(10, 20), 40, *range(60000, 65536)],
    "three blocks": [1, 65536 + 7, *range(2 * 65536, 2 * 65536 + 9000, 2)],
    "five blocks": [block * 65536 + row for block in (0, 1, 5, 6, 9) for row in (4, 5, 6, 100)],
    "beyond 32 bits": [1, (1 << 32) + 5, (1 << 32) + 6, (3 << 32) + 65536],
}


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("rows", SETS.values(), ids=SETS)
def test_every_container_names_its_rows(rows: list[int], runs: bool) -> None:
    assert listed(inline(serialized(rows, runs=runs), len(rows))) == rows


def stored(folder: Path, name: str, data: bytes, before: bytes = b"\x01") -> int:
    """Write a vector's file; the vector's offset."""
    folder.mkdir(exist_ok=True)
    body = struct.pack(">i", len(data)) + data + struct.pack(">I", zlib.crc32(data))
    (folder / name).write_bytes(before + body)
    return len(before)


def described(kind: str, place: str, data: bytes, rows: int, offset: int) -> dict[str, Any]:
    size = len(data)
    return {"storageType": kind, "pathOrInlineDv": place, "offset": offset, "sizeInBytes": size, "cardinality": rows}


def test_a_vector_lies_beside_the_data_or_anywhere(tmp_path: Path) -> None:
    data, name = serialized([5, 7]), uuid.uuid4()
    file = f"deletion_vector_{name}.bin"
    offset = stored(tmp_path / "ab c", file, data, b"\x01" + bytes(40))
    assert listed(described("u", "ab c" + z85(name.bytes), data, 2, offset), str(tmp_path)) == [5, 7]
    uri = "file:" + str(tmp_path / "ab%20c" / file)
    assert listed(described("p", uri, data, 2, offset)) == [5, 7]
    offset = stored(tmp_path, file, serialized([9]))
    assert listed(described("u", z85(name.bytes), serialized([9]), 1, offset), str(tmp_path)) == [9]


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        ({"cardinality": 3}, "CARDINALITY"),
        ({"sizeInBytes": 8}, "SIZE"),
        ({"offset": 0}, "SIZE"),
    ],
)
def test_a_descriptor_that_is_not_the_vectors_is_an_error(
    tmp_path: Path, change: dict[str, int], condition: str
) -> None:
    data = serialized([5, 7])
    offset = stored(tmp_path, "v.bin", data)
    vector = {**described("p", f"file://{tmp_path}/v.bin", data, 2, offset), **change}
    with pytest.raises(SparkError, match=f"DELTA_DELETION_VECTOR_{condition}_MISMATCH"):
        deleted_rows("/none", vector)


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    data = serialized([5, 7])
    offset = stored(tmp_path, "v.bin", data)
    whole = (tmp_path / "v.bin").read_bytes()
    vector = described("p", f"file://{tmp_path}/v.bin", data, 2, offset)
    (tmp_path / "v.bin").write_bytes(whole[:-6] + b"\xff" + whole[-5:])
    with pytest.raises(SparkError, match="DELTA_DELETION_VECTOR_CHECKSUM_MISMATCH"):
        deleted_rows("/none", vector)
    (tmp_path / "v.bin").write_bytes(whole[:-6])
    with pytest.raises(SparkError, match="DELTA_DELETION_VECTOR_SIZE_MISMATCH"):
        deleted_rows("/none", vector)
    (tmp_path / "v.bin").unlink()
    with pytest.raises(FileNotFoundError):
        deleted_rows("/none", vector)


@pytest.mark.parametrize("length", [14, 22, 30, 60])
def test_a_bitmap_that_ends_too_early_is_an_error(length: int) -> None:
    data = serialized(range(0, 20000, 3))[:length]
    with pytest.raises(SparkError, match="DELTA_DELETION_VECTOR_SIZE_MISMATCH"):
        deleted_rows("/none", inline(data, 6667))


def test_what_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="storage type `x`"):
        deleted_rows("/none", {**inline(serialized([1]), 1), "storageType": "x"})
    with pytest.raises(UnsupportedError, match="portable roaring bitmap"):
        deleted_rows("/none", inline(b"\0" * 16, 1))
