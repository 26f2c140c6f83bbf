"""Literals: protocol constants to a Python value and its Spark type (the table of `plan.expressions.Literal`).

Invariant: the type is exact (a `byte` 1 is not an `int` 1); nested values follow the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pyspark.sql import types as t

from headwater.connect.decode.base import Decoder, expression
from headwater.errors import unsupported
from headwater.plan.expressions import Literal

_PLAIN: dict[str, t.DataType] = {
    "binary": t.BinaryType(),
    "boolean": t.BooleanType(),
    "byte": t.ByteType(),
    "short": t.ShortType(),
    "integer": t.IntegerType(),
    "long": t.LongType(),
    "float": t.FloatType(),
    "double": t.DoubleType(),
    "string": t.StringType(),
    "date": t.DateType(),
    "timestamp": t.TimestampType(),
    "timestamp_ntz": t.TimestampNTZType(),
    "year_month_interval": t.YearMonthIntervalType(),
    "day_time_interval": t.DayTimeIntervalType(),
}


@expression("literal")
def literal(decoder: Decoder, message: Any) -> Literal:
    """`Expression.Literal`."""
    kind = message.WhichOneof("literal_type")
    plain = _PLAIN.get(kind)
    if plain is not None:
        declared = decoder.type(message.data_type) if message.HasField("data_type") else plain
        return Literal(getattr(message, kind), declared)
    decode = _NESTED.get(kind)
    if decode is None:
        raise unsupported(f"the literal `{kind}` of the Spark Connect protocol")
    return decode(decoder, message)


def _null(decoder: Decoder, message: Any) -> Literal:
    return Literal(None, decoder.type(message.null))


def _decimal(_: Decoder, message: Any) -> Literal:
    value = Decimal(message.decimal.value)
    digits = value.as_tuple()
    scale = max(-int(digits.exponent), 0)
    precision = max(len(digits.digits), scale)
    if message.decimal.HasField("precision"):
        precision = max(precision, message.decimal.precision)
    if message.decimal.HasField("scale"):
        scale = max(scale, message.decimal.scale)
    return Literal(value, t.DecimalType(min(precision, 38), scale))


def _calendar_interval(_: Decoder, message: Any) -> Literal:
    interval = message.calendar_interval
    return Literal((interval.months, interval.days, interval.microseconds), t.CalendarIntervalType())


def _time(_: Decoder, message: Any) -> Literal:
    return Literal(message.time.nano, t.TimeType(message.time.precision if message.time.HasField("precision") else 6))


def _array(decoder: Decoder, message: Any) -> Literal:
    items = [literal(decoder, item) for item in message.array.elements]
    if message.HasField("data_type"):
        kind = decoder.type(message.data_type)
    elif message.array.HasField("element_type"):
        kind = t.ArrayType(decoder.type(message.array.element_type))
    else:
        kind = t.ArrayType(items[0].type if items else t.NullType())
    return Literal(tuple([item.value for item in items]), kind)


def _map(decoder: Decoder, message: Any) -> Literal:
    keys = [literal(decoder, item) for item in message.map.keys]
    values = [literal(decoder, item) for item in message.map.values]
    if message.HasField("data_type"):
        kind = decoder.type(message.data_type)
    elif message.map.HasField("key_type"):
        kind = t.MapType(decoder.type(message.map.key_type), decoder.type(message.map.value_type))
    else:
        kind = t.MapType(keys[0].type if keys else t.NullType(), values[0].type if values else t.NullType())
    return Literal(tuple([(k.value, v.value) for k, v in zip(keys, values, strict=True)]), kind)


def _struct(decoder: Decoder, message: Any) -> Literal:
    items = [literal(decoder, item) for item in message.struct.elements]
    declared = message.data_type if message.HasField("data_type") else message.struct.struct_type
    return Literal(tuple([item.value for item in items]), decoder.type(declared))


_ELEMENTS: dict[str, t.DataType] = {
    "bools": t.BooleanType(),
    "ints": t.IntegerType(),
    "longs": t.LongType(),
    "floats": t.FloatType(),
    "doubles": t.DoubleType(),
    "strings": t.StringType(),
}


def _specialized_array(_: Decoder, message: Any) -> Literal:
    kind = message.specialized_array.WhichOneof("value_type")
    values = getattr(message.specialized_array, kind).values
    return Literal(tuple(values), t.ArrayType(_ELEMENTS[kind], containsNull=False))


_NESTED: dict[str | None, Callable[[Decoder, Any], Literal]] = {
    "null": _null,
    "decimal": _decimal,
    "calendar_interval": _calendar_interval,
    "time": _time,
    "array": _array,
    "map": _map,
    "struct": _struct,
    "specialized_array": _specialized_array,
}
