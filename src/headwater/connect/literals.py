"""Values as protocol literals: what `observe` saw, on its way to the client.

Invariant: the client reads back the value that went in.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyspark.sql.types import DateType, DayTimeIntervalType, TimestampNTZType, TimestampType

from headwater.connect.proto import pb2, type_to_proto
from headwater.types.arrow import from_arrow

_Literal = pb2.Expression.Literal


def literal_to_proto(value: Any, kind: pa.DataType) -> Any:
    """An Arrow value (as Python) as a literal message; unknown kinds become their text."""
    if value is None:
        return _Literal(null=type_to_proto(from_arrow(kind)))
    for matches, build in _KINDS:
        if matches(kind):
            return build(value, kind)
    return _Literal(string=str(value))


def _plain(field: str) -> Callable[[Any, pa.DataType], Any]:
    return lambda value, _: _Literal(**{field: value})


def _decimal(value: Any, kind: pa.DataType) -> Any:
    return _Literal(decimal=_Literal.Decimal(value=str(value), precision=kind.precision, scale=kind.scale))


def _timestamp(value: datetime.datetime, kind: pa.DataType) -> Any:
    if kind.tz is None:
        return _Literal(timestamp_ntz=TimestampNTZType().toInternal(value))
    return _Literal(timestamp=TimestampType().toInternal(value))


def _array(value: list[Any], kind: pa.DataType) -> Any:
    items = [literal_to_proto(item, kind.value_type) for item in value]
    return _Literal(array=_Literal.Array(element_type=type_to_proto(from_arrow(kind.value_type)), elements=items))


def _struct(value: dict[str, Any], kind: pa.DataType) -> Any:
    items = [literal_to_proto(value[item.name], item.type) for item in kind]
    return _Literal(struct=_Literal.Struct(struct_type=type_to_proto(from_arrow(kind)), elements=items))


def _map(value: list[tuple[Any, Any]], kind: pa.DataType) -> Any:
    return _Literal(
        map=_Literal.Map(
            key_type=type_to_proto(from_arrow(kind.key_type)),
            value_type=type_to_proto(from_arrow(kind.item_type)),
            keys=[literal_to_proto(key, kind.key_type) for key, _ in value],
            values=[literal_to_proto(item, kind.item_type) for _, item in value],
        )
    )


_types = pa.types
_KINDS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any, pa.DataType], Any]], ...] = (
    (_types.is_boolean, _plain("boolean")),
    (_types.is_int8, _plain("byte")),
    (_types.is_int16, _plain("short")),
    (_types.is_int32, _plain("integer")),
    (_types.is_int64, _plain("long")),
    (_types.is_float32, _plain("float")),
    (_types.is_float64, _plain("double")),
    (_types.is_decimal, _decimal),
    (_types.is_string, _plain("string")),
    (_types.is_large_string, _plain("string")),
    (_types.is_binary, _plain("binary")),
    (_types.is_date, lambda value, _: _Literal(date=DateType().toInternal(value))),
    (_types.is_timestamp, _timestamp),
    (_types.is_duration, lambda value, _: _Literal(day_time_interval=DayTimeIntervalType().toInternal(value))),
    (_types.is_list, _array),
    (_types.is_struct, _struct),
    (_types.is_map, _map),
)
