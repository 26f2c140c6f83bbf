"""Constants as DuckDB expressions.

Invariants: the expression has exactly DuckDB's form of the literal's Spark type, NULLs too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    CalendarIntervalType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    IntegralType,
    MapType,
    NullType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
    TimeType,
    YearMonthIntervalType,
)
from sqlglot import exp

from headwater.compile.naming import instant_text
from headwater.types.duck import to_duck

_EPOCH = dt.date(1970, 1, 1)


def literal_sql(value: Any, data_type: DataType) -> exp.Expression:
    """The DuckDB expression of a literal's value (in the form of `plan.expressions.Literal`)."""
    if value is None:
        return exp.Null() if isinstance(data_type, NullType) else exp.Cast(this=exp.Null(), to=to_duck(data_type))
    for kind, make in _MAKERS:
        if isinstance(data_type, kind):
            return make(value, data_type)
    return _cast(exp.convert(value), data_type)


def _cast(tree: exp.Expr, data_type: DataType) -> exp.Expression:
    return exp.Cast(this=tree, to=to_duck(data_type))


def _call(name: str, *arguments: exp.Expression) -> exp.Expression:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _number(value: int) -> exp.Expression:
    number = exp.Literal.number(abs(value))
    return exp.Paren(this=exp.Neg(this=number)) if value < 0 else number


def _integer(value: int, data_type: DataType) -> exp.Expression:
    plain = isinstance(data_type, IntegerType) and value > -(2**31)
    return _number(value) if plain else _cast(_number(value), data_type)


def _text(value: str, data_type: DataType) -> exp.Expression:
    del data_type
    parts = [exp.Literal.string(part) for part in str(value).split("\x00")]
    tree: exp.Expression = parts[0]
    for part in parts[1:]:
        tree = _call("concat", tree, _call("chr", exp.Literal.number(0)), part)
    return tree


def _as_text(value: Any, data_type: DataType) -> exp.Expression:
    return _cast(exp.Literal.string(repr(value) if isinstance(value, float) else f"{Decimal(value):f}"), data_type)


def _date(value: int, data_type: DataType) -> exp.Expression:
    try:
        return _cast(exp.Literal.string((_EPOCH + dt.timedelta(days=value)).isoformat()), data_type)
    except OverflowError:
        return exp.Paren(
            this=exp.Add(this=_cast(exp.Literal.string("1970-01-01"), data_type), expression=_number(value))
        )


def _timestamp(value: int, data_type: DataType) -> exp.Expression:
    suffix = "+00" if isinstance(data_type, TimestampType) else ""
    return _cast(exp.Literal.string(instant_text(value, dt.UTC) + suffix), data_type)


def _interval(value: Any, data_type: DataType) -> exp.Expression:
    if isinstance(data_type, DayTimeIntervalType):
        return _call("to_microseconds", _number(value))
    if isinstance(data_type, YearMonthIntervalType):
        return _call("to_months", _number(value))
    months, days, microseconds = value
    parts = (("to_months", months), ("to_days", days), ("to_microseconds", microseconds))
    first, *rest = [_call(name, _number(amount)) for name, amount in parts]
    tree = first
    for part in rest:
        tree = exp.Add(this=tree, expression=part)
    return exp.Paren(this=tree)


def _array(value: Any, data_type: DataType) -> exp.Expression:
    assert isinstance(data_type, ArrayType)
    items = [literal_sql(item, data_type.elementType) for item in value]
    return _cast(exp.Array(expressions=items), data_type)


def _map(value: Any, data_type: DataType) -> exp.Expression:
    assert isinstance(data_type, MapType)
    keys = exp.Array(expressions=[literal_sql(k, data_type.keyType) for k, _ in value])
    values = exp.Array(expressions=[literal_sql(v, data_type.valueType) for _, v in value])
    return _cast(_call("map", keys, values), data_type)


def _struct(value: Any, data_type: DataType) -> exp.Expression:
    assert isinstance(data_type, StructType)
    items = [literal_sql(v, f.dataType) for v, f in zip(value, data_type.fields, strict=True)]
    return _cast(_call("row", *items), data_type)


def _time(value: int, data_type: DataType) -> exp.Expression:
    seconds, nanos = divmod(value, 1_000_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{nanos // 1000:06d}"
    return _cast(exp.Literal.string(text), data_type)


_MAKERS: list[tuple[Any, Callable[[Any, DataType], exp.Expression]]] = [
    (BooleanType, lambda value, _: exp.Boolean(this=bool(value))),
    (IntegralType, _integer),
    (StringType, _text),
    ((DoubleType, FloatType, DecimalType), _as_text),
    (BinaryType, lambda value, _: _call("unhex", exp.Literal.string(bytes(value).hex()))),
    (DateType, _date),
    ((TimestampType, TimestampNTZType), _timestamp),
    ((DayTimeIntervalType, YearMonthIntervalType, CalendarIntervalType), _interval),
    (ArrayType, _array),
    (MapType, _map),
    (StructType, _struct),
    (TimeType, _time),
]
