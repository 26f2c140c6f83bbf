"""Arrow's form of Spark's types as Spark Connect sends them, and back.

Invariants: timestamps are microseconds, with the session time zone for TIMESTAMP and without for TIMESTAMP_NTZ;
`from_arrow(to_arrow(t))` is `t` up to char lengths, interval units and variant; `conform` changes names, types and
nullability, never values or row order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    CalendarIntervalType,
    CharType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    TimeType,
    UserDefinedType,
    VarcharType,
    VariantType,
    YearMonthIntervalType,
)
from pyspark.sql.variant_utils import VariantUtils

from headwater.errors import unsupported

_PLAIN: dict[type[DataType], pa.DataType] = {
    StringType: pa.string(),
    CharType: pa.string(),
    VarcharType: pa.string(),
    BinaryType: pa.binary(),
    BooleanType: pa.bool_(),
    ByteType: pa.int8(),
    ShortType: pa.int16(),
    IntegerType: pa.int32(),
    LongType: pa.int64(),
    FloatType: pa.float32(),
    DoubleType: pa.float64(),
    DateType: pa.date32(),
    TimestampNTZType: pa.timestamp("us"),
    TimeType: pa.time64("ns"),
    DayTimeIntervalType: pa.duration("us"),
    YearMonthIntervalType: pa.int32(),
    CalendarIntervalType: pa.month_day_nano_interval(),
    NullType: pa.null(),
}
_BACK: list[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType], DataType]]] = [
    (pa.types.is_boolean, lambda _: BooleanType()),
    (pa.types.is_int8, lambda _: ByteType()),
    (lambda t: pa.types.is_int16(t) or pa.types.is_uint8(t), lambda _: ShortType()),
    (lambda t: pa.types.is_int32(t) or pa.types.is_uint16(t), lambda _: IntegerType()),
    (lambda t: pa.types.is_int64(t) or pa.types.is_uint32(t), lambda _: LongType()),
    (pa.types.is_uint64, lambda _: DecimalType(20, 0)),
    (lambda t: pa.types.is_float32(t) or pa.types.is_float16(t), lambda _: FloatType()),
    (pa.types.is_float64, lambda _: DoubleType()),
    (pa.types.is_decimal, lambda t: DecimalType(t.precision, t.scale)),
    (pa.types.is_date, lambda _: DateType()),
    (pa.types.is_timestamp, lambda t: TimestampType() if t.tz else TimestampNTZType()),
    (pa.types.is_time, lambda _: TimeType(6)),
    (pa.types.is_duration, lambda _: DayTimeIntervalType()),
    (pa.types.is_interval, lambda _: CalendarIntervalType()),
    (pa.types.is_null, lambda _: NullType()),
    (pa.types.is_dictionary, lambda t: _type_from(t.value_type)),
    (
        lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t),
        lambda _: StringType(),
    ),
    (
        lambda t: (
            pa.types.is_binary(t)
            or pa.types.is_large_binary(t)
            or pa.types.is_fixed_size_binary(t)
            or pa.types.is_binary_view(t)
        ),
        lambda _: BinaryType(),
    ),
    (pa.types.is_map, lambda t: MapType(_type_from(t.key_type), _type_from(t.item_type), t.item_field.nullable)),
    (pa.types.is_struct, lambda t: StructType([_field_from(field) for field in t])),
    (
        lambda t: pa.types.is_list(t) or pa.types.is_large_list(t) or pa.types.is_fixed_size_list(t),
        lambda t: ArrayType(_type_from(t.value_type), t.value_field.nullable),
    ),
]


def to_arrow(data_type: DataType, time_zone: str = "UTC") -> pa.DataType:
    """The Arrow type in which Connect sends values of a Spark type. Raises UnsupportedError."""
    if isinstance(data_type, UserDefinedType):
        return to_arrow(data_type.sqlType(), time_zone)
    if isinstance(data_type, DecimalType):
        return pa.decimal128(data_type.precision, data_type.scale)
    if isinstance(data_type, TimestampType):
        return pa.timestamp("us", tz=time_zone)
    if isinstance(data_type, ArrayType):
        element = to_arrow(data_type.elementType, time_zone)
        return pa.list_(pa.field("element", element, data_type.containsNull))
    if isinstance(data_type, MapType):
        return _map_type(data_type, time_zone)
    if isinstance(data_type, StructType):
        return pa.struct([_field_to(field, time_zone) for field in data_type.fields])
    if isinstance(data_type, VariantType):
        return _variant_type()
    found = _PLAIN.get(type(data_type))
    if found is None:
        raise unsupported(f"sending the type {data_type.simpleString()}")
    return found


def arrow_schema(schema: StructType, time_zone: str = "UTC") -> pa.Schema:
    """The Arrow schema of a Spark schema."""
    return pa.schema([_field_to(field, time_zone) for field in schema.fields])


def from_arrow(source: Any) -> Any:
    """The Spark type of an Arrow type, or the schema of an Arrow schema. Raises UnsupportedError."""
    if isinstance(source, pa.Schema):
        return StructType([_field_from(field) for field in source])
    return _type_from(source)


def conform(data: Any, schema: StructType, time_zone: str = "UTC") -> Any:
    """`data` (a table or record batch) with Connect's names and types: columns matched by position, then cast."""
    target = arrow_schema(schema, time_zone)
    columns = [_cast(column, field.type) for column, field in zip(data.columns, target, strict=True)]
    if not columns:
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.RecordBatch.from_arrays(columns, schema=target)
    return pa.Table.from_arrays(columns, schema=target)


def _cast(column: Any, target: pa.DataType) -> Any:
    if column.type.equals(target):
        return column
    if pa.types.is_null(target):
        nulls = pa.nulls(len(column))
        return pa.chunked_array([nulls]) if isinstance(column, pa.ChunkedArray) else nulls
    if pa.types.is_interval(column.type):
        return _cast_interval(column, target)
    if _is_variant(target):
        return _cast_variant(column, target)
    return pc.cast(column, target, safe=False) if _castable(column.type, target) else _rebuild(column, target)


def _castable(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether Arrow's own cast can do it: it refuses renamed struct fields, intervals, variants and maps."""
    if pa.types.is_nested(target):
        return False
    return not (pa.types.is_timestamp(source) and pa.types.is_timestamp(target) and bool(source.tz) != bool(target.tz))


def _rebuild(column: Any, target: pa.DataType) -> Any:
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([_rebuild(chunk, target) for chunk in column.chunks], type=target)
    if pa.types.is_timestamp(target):
        return column.cast(pa.timestamp("us")).cast(pa.int64()).cast(target)
    if pa.types.is_struct(target):
        return _rebuild_struct(column, target)
    if pa.types.is_map(target):
        keys = _cast(column.keys, target.key_type)
        items = _cast(column.items, target.item_type)
        offsets = _offsets(column)
        return pa.MapArray.from_buffers(
            target,
            len(column),
            [column_validity(column), offsets.buffers()[1]],
            children=[_entries(keys, items, target)],
        )
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        values = _cast(column.values, target.value_type)
        offsets = _offsets(column)
        return pa.ListArray.from_buffers(
            target, len(column), [column_validity(column), offsets.buffers()[1]], children=[values]
        )
    return pa.array(column.to_pylist(), type=target)


def column_validity(column: Any) -> Any:
    """The validity bitmap of an array as a buffer that starts at row 0, or None."""
    if column.null_count == 0:
        return None
    return (
        pc.is_valid(column).buffers()[1] if column.offset == 0 else pa.concat_arrays([pc.is_valid(column)]).buffers()[1]
    )


def _offsets(column: Any) -> Any:
    return pa.concat_arrays([column.offsets.cast(pa.int32())])


def _entries(keys: Any, items: Any, target: pa.MapType) -> Any:
    return pa.StructArray.from_arrays([keys, items], fields=[target.key_field, target.item_field])


def _rebuild_struct(column: Any, target: pa.StructType) -> Any:
    children = [_cast(column.field(i), field.type) for i, field in enumerate(target)]
    if column.offset:
        children = [
            child.slice(column.offset, len(column)) if len(child) != len(column) else child for child in children
        ]
    mask = pc.is_null(column) if column.null_count else None
    if not children:
        return column
    return pa.StructArray.from_arrays(children, fields=list(target), mask=mask)


def _cast_interval(column: Any, target: pa.DataType) -> Any:
    if pa.types.is_interval(target):
        return column
    months = pa.types.is_integer(target)
    values = [None if v is None else _interval_value(v, months) for v in column.to_pylist()]
    made = pa.array(values, type=pa.int32() if months else pa.int64()).cast(target)
    return pa.chunked_array([made]) if isinstance(column, pa.ChunkedArray) else made


def _interval_value(value: Any, months: bool) -> int:
    if months:
        return int(value.months)
    return int((value.days + value.months * 30) * 86_400_000_000 + value.nanoseconds // 1000)


def _variant_type() -> pa.DataType:
    marker = {b"variant": b"true"}
    return pa.struct([pa.field("value", pa.binary(), False), pa.field("metadata", pa.binary(), False, metadata=marker)])


def _is_variant(target: pa.DataType) -> bool:
    return bool(pa.types.is_struct(target)) and any((field.metadata or {}).get(b"variant") for field in target)


def _cast_variant(column: Any, target: pa.DataType) -> Any:
    """Variants are JSON text in DuckDB; the client reads Spark's two binaries."""
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([_cast_variant(chunk, target) for chunk in column.chunks], target)
    return pa.array([None if text is None else _variant(text) for text in column.to_pylist()], target)


def _variant(text: str) -> dict[str, bytes]:
    value, metadata = VariantUtils.parse_json(text)
    return {"value": value, "metadata": metadata}


def _map_type(data_type: MapType, time_zone: str) -> pa.DataType:
    key = to_arrow(data_type.keyType, time_zone)
    value = to_arrow(data_type.valueType, time_zone)
    return pa.map_(pa.field("key", key, False), pa.field("value", value, data_type.valueContainsNull))


def _field_to(field: StructField, time_zone: str) -> pa.Field:
    return pa.field(field.name, to_arrow(field.dataType, time_zone), field.nullable)


def _field_from(field: pa.Field) -> StructField:
    return StructField(field.name, _type_from(field.type), field.nullable)


def _type_from(data_type: pa.DataType) -> DataType:
    for test, make in _BACK:
        if test(data_type):
            return make(data_type)
    raise unsupported(f"Arrow's type {data_type}")
