"""The narrowest type that holds the values of two types without changing one: Delta's type widening.

byte → short → int → long → decimal; float → double; byte, short and int → double; a decimal grows;
date → timestamp_ntz.

Invariants: symmetric; `None` where there is none; inside structs, arrays and maps field by field.
"""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    ShortType,
    StructField,
    StructType,
    TimestampNTZType,
)

_INTEGERS = (ByteType, ShortType, IntegerType, LongType)
_DIGITS = {ByteType: 3, ShortType: 5, IntegerType: 10, LongType: 20}
_MOST = 38


def wider(one: DataType, other: DataType) -> DataType | None:
    """The common type, or None."""
    if one == other or isinstance(other, NullType):
        return one
    if isinstance(one, NullType):
        return other
    if isinstance(one, StructType) and isinstance(other, StructType):
        return _struct(one, other)
    if isinstance(one, ArrayType) and isinstance(other, ArrayType):
        element = wider(one.elementType, other.elementType)
        return element and ArrayType(element, one.containsNull or other.containsNull)
    if isinstance(one, MapType) and isinstance(other, MapType):
        key, value = wider(one.keyType, other.keyType), wider(one.valueType, other.valueType)
        return MapType(key, value, True) if key and value else None
    return _atomic(one, other)


def _atomic(one: DataType, other: DataType) -> DataType | None:
    kinds = {type(one), type(other)}
    if kinds <= set(_INTEGERS):
        return max(one, other, key=lambda kind: _INTEGERS.index(type(kind)))
    if kinds == {DateType, TimestampNTZType}:
        return TimestampNTZType()
    if kinds & {FloatType, DoubleType} and kinds <= {FloatType, DoubleType, ByteType, ShortType, IntegerType}:
        return DoubleType()
    return _decimal(one, other)


def _decimal(one: DataType, other: DataType) -> DataType | None:
    exact = [_as_decimal(kind) for kind in (one, other)]
    if exact[0] is None or exact[1] is None:
        return None
    scale = max(kind.scale for kind in exact if kind)
    precision = scale + max(kind.precision - kind.scale for kind in exact if kind)
    return DecimalType(precision, scale) if precision <= _MOST else None


def _as_decimal(kind: DataType) -> DecimalType | None:
    if isinstance(kind, DecimalType):
        return kind
    return DecimalType(_DIGITS[type(kind)], 0) if type(kind) in _DIGITS else None


def _struct(one: StructType, other: StructType) -> StructType | None:
    known = {field.name.lower(): field for field in other.fields}
    fields = []
    for field in one.fields:
        match = known.pop(field.name.lower(), None)
        kind = wider(field.dataType, match.dataType) if match else field.dataType
        if kind is None:
            return None
        fields.append(StructField(field.name, kind, True, field.metadata))
    return StructType([*fields, *known.values()])
