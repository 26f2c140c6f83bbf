"""State values: from what a user's code gives to what is kept, to Arrow, and back to what the user sees.

A kept value is PySpark's internal form: a tuple per struct, days for dates, microseconds for timestamps. A value of
another type than the declared one is kept as null, as in Spark, where no Python type is checked either.

Invariant: `seen(kept(v))` is `v` for values of the declared types; Arrow and back changes no kept value.
"""

from __future__ import annotations

import ctypes
import decimal
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa
from pyspark.sql import Row
from pyspark.sql import types as t

from headwater.errors import IllegalArgumentError
from headwater.types.arrow import to_arrow

Kept = tuple[Any, ...]
_Convert = Callable[[Any], Any]

_BITS: dict[type[t.DataType], int] = {t.ByteType: 8, t.ShortType: 16, t.IntegerType: 32, t.LongType: 64, t.DateType: 32}
_MICROS = (t.TimestampType, t.TimestampNTZType, t.DayTimeIntervalType)


class Codec:
    """The values of one schema."""

    def __init__(self, schema: t.StructType) -> None:
        self.schema = schema
        self._keep = _keeper(schema)
        self._store = [_storer(field.dataType) for field in schema.fields]
        self._load = [_loader(field.dataType) for field in schema.fields]

    def kept(self, value: Sequence[Any]) -> Kept:
        """What is kept of a user's tuple or Row. Raises STRUCT_ARRAY_LENGTH_MISMATCH."""
        kept: Kept = self._keep(self.schema.toInternal(tuple([_plain(item) for item in value])))
        return kept

    def seen(self, kept: Kept) -> Row:
        """A kept value as the user sees it."""
        row: Row = self.schema.fromInternal(kept)
        return row

    def columns(self, values: Sequence[Kept | None]) -> list[pa.Array]:
        """Kept values as one Arrow column per field; None: all null."""
        return [
            pa.array(
                [None if value is None or value[i] is None else store(value[i]) for value in values],
                type=to_arrow(field.dataType),
            )
            for i, (field, store) in enumerate(zip(self.schema.fields, self._store, strict=True))
        ]

    def values(self, columns: Sequence[pa.ChunkedArray]) -> list[Kept]:
        """The kept values of such columns."""
        loaded = [_listed(column, load) for column, load in zip(columns, self._load, strict=True)]
        return list(zip(*loaded, strict=True))


@lru_cache(maxsize=256)
def _codec(text: str) -> Codec:
    return Codec(t.StructType.fromJson(json.loads(text)))


def codec_of(schema: t.StructType) -> Codec:
    """The codec of a schema, made once."""
    return _codec(schema.json())


def _plain(value: Any) -> Any:
    """NumPy's and pandas' values as Python's."""
    kind = type(value)
    if kind in (int, str, float, bool) or value is None:
        return value
    if isinstance(value, Row) or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return tuple([_plain(item) for item in value])
    if isinstance(value, list | tuple):
        return kind([_plain(item) for item in value])
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    for name in ("to_pytimedelta", "to_pydatetime"):
        if hasattr(value, name):
            return getattr(value, name)()
    return value.tolist() if kind.__module__ == "numpy" else value


# ── keeping ─────────────────────────────────────────────────────────────────────────────────────────────────


def _keeper(kind: t.DataType) -> _Convert:
    """From PySpark's internal form to what Spark's row would hold: other types become null."""
    if isinstance(kind, t.StructType):
        return _struct_keeper(kind)
    if isinstance(kind, t.ArrayType):
        element = _nullable(_keeper(kind.elementType))
        return lambda v: [element(item) for item in v] if isinstance(v, list | tuple) else None
    if isinstance(kind, t.MapType):
        key, item = _nullable(_keeper(kind.keyType)), _nullable(_keeper(kind.valueType))
        return lambda v: {key(k): item(x) for k, x in v.items()} if isinstance(v, dict) else None
    if isinstance(kind, t.DecimalType):
        return lambda v: _decimal(v, kind)
    if isinstance(kind, _MICROS):
        return lambda v: v if _whole(v) else None
    bits = _BITS.get(type(kind))
    if bits is not None:
        return lambda v: _wrapped(v, bits) if _whole(v) else None
    return _ATOMS.get(type(kind), lambda v: v)


_ATOMS: dict[type[t.DataType], _Convert] = {
    t.BooleanType: lambda v: v if isinstance(v, bool) else None,
    t.DoubleType: lambda v: v if isinstance(v, float) else None,
    t.FloatType: lambda v: ctypes.c_float(v).value if isinstance(v, float) else None,
    t.StringType: lambda v: v if isinstance(v, str) else _text(v),
    t.BinaryType: lambda v: bytes(v) if isinstance(v, bytes | bytearray) else None,
}


def _struct_keeper(kind: t.StructType) -> _Convert:
    fields = [_nullable(_keeper(field.dataType)) for field in kind.fields]

    def keep(value: Any) -> Any:
        if not isinstance(value, tuple | list):
            return None
        if len(value) != len(fields):
            raise IllegalArgumentError("STRUCT_ARRAY_LENGTH_MISMATCH", expected=len(fields), actual=len(value))
        return tuple([field(item) for field, item in zip(fields, value, strict=True)])

    return keep


def _nullable(convert: _Convert) -> _Convert:
    return lambda value: None if value is None else convert(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrapped(value: int, bits: int) -> int:
    """The value in so many bits, as a JVM narrows it."""
    half = 1 << (bits - 1)
    return (value + half) % (half * 2) - half


def _text(value: Any) -> str:
    """As a JVM writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _decimal(value: Any, kind: t.DecimalType) -> decimal.Decimal | None:
    if not isinstance(value, decimal.Decimal) or not value.is_finite():
        return None
    with decimal.localcontext(decimal.Context(prec=76)):
        fitted = value.quantize(decimal.Decimal(1).scaleb(-kind.scale), rounding=decimal.ROUND_HALF_UP)
    return fitted if len(fitted.as_tuple().digits) <= kind.precision else None


# ── Arrow ───────────────────────────────────────────────────────────────────────────────────────────────────


def _storer(kind: t.DataType) -> _Convert:
    """From a kept value to one that Arrow takes for the type."""
    if isinstance(kind, t.StructType):
        fields = [(field.name, _nullable(_storer(field.dataType))) for field in kind.fields]
        return lambda v: {name: store(item) for (name, store), item in zip(fields, v, strict=True)}
    if isinstance(kind, t.ArrayType):
        element = _nullable(_storer(kind.elementType))
        return lambda v: [element(item) for item in v]
    if isinstance(kind, t.MapType):
        key, item = _storer(kind.keyType), _nullable(_storer(kind.valueType))
        return lambda v: [(key(k), item(x)) for k, x in v.items()]
    return lambda v: v


def _loader(kind: t.DataType) -> _Convert:
    """From a Python value of an Arrow column to the kept one."""
    if isinstance(kind, t.StructType):
        fields = [(field.name, _nullable(_loader(field.dataType))) for field in kind.fields]
        return lambda v: tuple([load(v[name]) for name, load in fields])
    if isinstance(kind, t.ArrayType):
        element = _nullable(_loader(kind.elementType))
        return lambda v: [element(item) for item in v]
    if isinstance(kind, t.MapType):
        key, item = _loader(kind.keyType), _nullable(_loader(kind.valueType))
        return lambda v: {key(k): item(x) for k, x in v}
    return kind.toInternal if kind.needConversion() else lambda v: v


def _listed(column: pa.ChunkedArray, load: _Convert) -> list[Any]:
    """The kept values of a column; times come as numbers, not through Python's."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
    elif pa.types.is_duration(kind):
        column = column.cast(pa.duration("us")).cast(pa.int64())
    elif pa.types.is_date32(kind):
        column = column.cast(pa.int32())
    values: list[Any] = column.to_pylist()
    return [None if value is None else load(value) for value in values] if pa.types.is_nested(kind) else values


# ── order ───────────────────────────────────────────────────────────────────────────────────────────────────


def order_of(kept: Kept) -> bytes:
    """Where a map's key stands among the others: Spark iterates in the order of its rows' bytes."""
    import struct

    slots, tail = [], b""
    bits = (len(kept) + 63) // 64 * 8
    offset = bits + 8 * len(kept)
    for value in kept:
        data = value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else None
        if data is not None:
            slots.append(struct.pack("<ii", len(data), offset + len(tail)))
            tail += data + bytes(-len(data) % 8)
        elif isinstance(value, float):
            slots.append(struct.pack("<d", value))
        elif isinstance(value, int):
            slots.append((value & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "little"))
        else:
            slots.append(b"\0" * 8 if value is None else repr(value).encode())
    nulls = sum(1 << i for i, value in enumerate(kept) if value is None).to_bytes(bits, "little")
    return nulls + b"".join(slots) + tail
