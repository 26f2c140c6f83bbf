"""Spark's Murmur3 and XXH64 over typed values, and digests that DuckDB lacks.

Invariants: integers up to 32 bits hash as ints, longs, timestamps and doubles' bits as longs, texts by their UTF-8
bytes; containers hash their parts in turn, each with the hash so far as seed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import struct
import zlib
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pyspark.sql import types as t

from headwater.functions.kernels import kernel

_M32, _M64 = (1 << 32) - 1, (1 << 64) - 1
_P1, _P2, _P3, _P4, _P5 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


@kernel(["BLOB"], "BIGINT")
def crc32_of(data: bytes) -> int:
    """CRC-32."""
    return zlib.crc32(data)


@kernel(["BLOB", "INTEGER"], "VARCHAR", nulls=True)
def sha2_digits(data: bytes | None, bits: int | None) -> str | None:
    """A SHA-2 digest of the given length, NULL for a length there is not."""
    if data is None or bits not in (0, 224, 256, 384, 512):
        return None
    return hashlib.new(f"sha{bits or 256}", data).hexdigest()


def _rotate(x: int, r: int, bits: int) -> int:
    mask = (1 << bits) - 1
    return ((x << r) | (x >> (bits - r))) & mask


def _mix_k(k: int) -> int:
    return (_rotate((k * 0xCC9E2D51) & _M32, 15, 32) * 0x1B873593) & _M32


def _mix_h(h: int, k: int) -> int:
    return (_rotate(h ^ _mix_k(k), 13, 32) * 5 + 0xE6546B64) & _M32


def _final(h: int, length: int) -> int:
    h ^= length
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & _M32
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & _M32
    return h ^ (h >> 16)


class Murmur3:
    """Murmur3 x86 32 as Spark does it: bytes beyond whole words are mixed one by one."""

    @staticmethod
    def whole(x: int, seed: int) -> int:
        """A 32-bit integer."""
        return _final(_mix_h(seed, x & _M32), 4)

    @staticmethod
    def wide(x: int, seed: int) -> int:
        """A 64-bit integer."""
        return _final(_mix_h(_mix_h(seed, x & _M32), (x >> 32) & _M32), 8)

    @staticmethod
    def text(data: bytes, seed: int) -> int:
        """Bytes."""
        h, whole = seed, len(data) - len(data) % 4
        for i in range(0, whole, 4):
            h = _mix_h(h, int.from_bytes(data[i : i + 4], "little"))
        for byte in data[whole:]:
            h = _mix_h(h, (byte - 256 if byte > 127 else byte) & _M32)
        return _final(h, len(data))


def _avalanche(h: int) -> int:
    h = ((h ^ (h >> 33)) * _P2) & _M64
    h = ((h ^ (h >> 29)) * _P3) & _M64
    return h ^ (h >> 32)


def _round8(h: int, x: int) -> int:
    k = (_rotate((x * _P2) & _M64, 31, 64) * _P1) & _M64
    return (_rotate(h ^ k, 27, 64) * _P1 + _P4) & _M64


class XxHash64:
    """XXH64."""

    @staticmethod
    def whole(x: int, seed: int) -> int:
        """A 32-bit integer."""
        h = (seed + _P5 + 4) & _M64
        h = (_rotate(h ^ (((x & _M32) * _P1) & _M64), 23, 64) * _P2 + _P3) & _M64
        return _avalanche(h)

    @staticmethod
    def wide(x: int, seed: int) -> int:
        """A 64-bit integer."""
        return _avalanche(_round8((seed + _P5 + 8) & _M64, x & _M64))

    @staticmethod
    def text(data: bytes, seed: int) -> int:
        """Bytes."""
        at, size = 0, len(data)
        h = (seed + _P5) & _M64
        if size >= 32:
            h, at = _stripes(data, seed)
        h = (h + size) & _M64
        while at + 8 <= size:
            h = _round8(h, int.from_bytes(data[at : at + 8], "little"))
            at += 8
        if at + 4 <= size:
            h = (_rotate(h ^ ((int.from_bytes(data[at : at + 4], "little") * _P1) & _M64), 23, 64) * _P2 + _P3) & _M64
            at += 4
        for byte in data[at:]:
            h = (_rotate(h ^ ((byte * _P5) & _M64), 11, 64) * _P1) & _M64
        return _avalanche(h)


def _stripes(data: bytes, seed: int) -> tuple[int, int]:
    lanes = [(seed + _P1 + _P2) & _M64, (seed + _P2) & _M64, seed & _M64, (seed - _P1) & _M64]
    at = 0
    while at + 32 <= len(data):
        for i in range(4):
            word = int.from_bytes(data[at + 8 * i : at + 8 * i + 8], "little")
            lanes[i] = (_rotate((lanes[i] + word * _P2) & _M64, 31, 64) * _P1) & _M64
        at += 32
    h = sum(_rotate(lane, r, 64) for lane, r in zip(lanes, (1, 7, 12, 18), strict=True)) & _M64
    for lane in lanes:
        h = ((h ^ ((_rotate((lane * _P2) & _M64, 31, 64) * _P1) & _M64)) * _P1 + _P4) & _M64
    return h, at


Algorithm = type[Murmur3] | type[XxHash64]


def _value(x: Any, kind: t.DataType, seed: int, algorithm: Algorithm) -> int:
    if x is None or isinstance(kind, t.NullType):
        return seed
    if isinstance(kind, t.StructType):
        for field in kind.fields:
            seed = _value(x[field.name], field.dataType, seed, algorithm)
        return seed
    if isinstance(kind, t.ArrayType):
        for item in x:
            seed = _value(item, kind.elementType, seed, algorithm)
        return seed
    if isinstance(kind, t.MapType):
        for key, item in x.items():
            seed = _value(item, kind.valueType, _value(key, kind.keyType, seed, algorithm), algorithm)
        return seed
    return _scalar(x, kind, seed, algorithm)


def _scalar(x: Any, kind: t.DataType, seed: int, algorithm: Algorithm) -> int:
    if isinstance(kind, t.BooleanType):
        return algorithm.whole(int(x), seed)
    if isinstance(kind, t.ByteType | t.ShortType | t.IntegerType):
        return algorithm.whole(x, seed)
    if isinstance(kind, t.DateType):
        return algorithm.whole((x - dt.date(1970, 1, 1)).days, seed)
    if isinstance(kind, t.FloatType):
        return algorithm.whole(struct.unpack("<i", struct.pack("<f", x + 0.0))[0], seed)
    if isinstance(kind, t.DoubleType):
        return algorithm.wide(struct.unpack("<q", struct.pack("<d", x + 0.0))[0], seed)
    if isinstance(kind, t.DecimalType):
        return _decimal(x, kind, seed, algorithm)
    if isinstance(kind, t.BinaryType):
        return algorithm.text(bytes(x), seed)
    if isinstance(x, dt.datetime):
        zone = x.tzinfo and dt.UTC
        return algorithm.wide((x - dt.datetime(1970, 1, 1, tzinfo=zone)) // dt.timedelta(microseconds=1), seed)
    if isinstance(x, dt.timedelta):
        return algorithm.wide(x // dt.timedelta(microseconds=1), seed)
    return algorithm.wide(x, seed) if isinstance(x, int) else algorithm.text(str(x).encode(), seed)


def _decimal(x: Decimal, kind: t.DecimalType, seed: int, algorithm: Algorithm) -> int:
    unscaled = int(x.scaleb(kind.scale))
    if kind.precision <= 18:
        return algorithm.wide(unscaled, seed)
    size = (unscaled.bit_length() if unscaled >= 0 else (~unscaled).bit_length()) // 8 + 1
    return algorithm.text(unscaled.to_bytes(size, "big", signed=True), seed)


@lru_cache(maxsize=256)
def _schema(text: str) -> t.StructType:
    import json

    return t.StructType.fromJson(json.loads(text))


def _signed(x: int, bits: int) -> int:
    return x - (1 << bits) if x >> (bits - 1) else x


@kernel(None, "BIGINT")
def murmur3(schema: str, row: dict[str, Any]) -> int:
    """Murmur3 of a row's fields, seed 42."""
    return _signed(_value(row, _schema(schema), 42, Murmur3), 32)


@kernel(None, "BIGINT")
def xxhash64(schema: str, row: dict[str, Any]) -> int:
    """XXH64 of a row's fields, seed 42."""
    return _signed(_value(row, _schema(schema), 42, XxHash64), 64)
