"""Spark's type lattice: the type that two values take when they meet (ANSI rules).

Invariants: `tightest` is commutative; a result holds every value of both sides without loss, except that integers
and decimals may lose precision when they meet floats, as in Spark.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql.types import (
    ArrayType,
    AtomicType,
    ByteType,
    CharType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    FractionalType,
    IntegerType,
    IntegralType,
    LongType,
    MapType,
    NullType,
    NumericType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VarcharType,
    YearMonthIntervalType,
)

_ORDER: list[type[DataType]] = [ByteType, ShortType, IntegerType, LongType, FloatType, DoubleType]
_DIGITS: dict[type[DataType], int] = {ByteType: 3, ShortType: 5, IntegerType: 10, LongType: 20}
_DATETIME: list[type[DataType]] = [DateType, TimestampNTZType, TimestampType]
MAX_PRECISION = 38


def decimal_of(data_type: DataType) -> DecimalType:
    """The decimal that holds every value of an integer type; a decimal itself."""
    if isinstance(data_type, DecimalType):
        return data_type
    return DecimalType(_DIGITS[type(data_type)], 0)


def bounded(precision: int, scale: int) -> DecimalType:
    """DECIMAL(precision, scale), giving up scale first where 38 digits do not do (at least 6 stay)."""
    if precision <= MAX_PRECISION:
        return DecimalType(precision, scale)
    whole = precision - scale
    return DecimalType(MAX_PRECISION, max(MAX_PRECISION - whole, min(scale, 6)))


def wider_decimal(one: DecimalType, other: DecimalType) -> DecimalType:
    """The decimal that holds both, integer digits first."""
    scale = max(one.scale, other.scale)
    whole = max(one.precision - one.scale, other.precision - other.scale)
    if whole + scale <= MAX_PRECISION:
        return DecimalType(whole + scale, scale)
    return DecimalType(MAX_PRECISION, max(0, MAX_PRECISION - whole))


def tightest(one: DataType, other: DataType) -> DataType | None:
    """The common type without touching strings; None if there is none."""
    if one == other or isinstance(other, NullType):
        return one
    if isinstance(one, NullType):
        return other
    if isinstance(one, NumericType) and isinstance(other, NumericType):
        return _numeric(one, other)
    if type(one) in _DATETIME and type(other) in _DATETIME:
        return max(one, other, key=lambda t: _DATETIME.index(type(t)))
    if _texts(one, other):
        return StringType()
    return _interval(one, other)


def _texts(one: DataType, other: DataType) -> bool:
    return isinstance(one, StringType | CharType | VarcharType) and isinstance(
        other, StringType | CharType | VarcharType
    )


def _interval(one: DataType, other: DataType) -> DataType | None:
    for kind in (DayTimeIntervalType, YearMonthIntervalType):
        if isinstance(one, kind) and isinstance(other, kind):
            return kind(min(one.startField, other.startField), max(one.endField, other.endField))
    return None


def _numeric(one: DataType, other: DataType) -> DataType:
    if isinstance(one, DecimalType) or isinstance(other, DecimalType):
        if isinstance(one, FloatType | DoubleType) or isinstance(other, FloatType | DoubleType):
            return DoubleType()
        return wider_decimal(decimal_of(one), decimal_of(other))
    wide = max(one, other, key=lambda t: _ORDER.index(type(t)))
    narrow = other if wide is one else one
    if isinstance(wide, FloatType) and isinstance(narrow, IntegralType):
        return DoubleType()
    return wide


def wider(one: DataType, other: DataType) -> DataType | None:
    """The common type by ANSI implicit casts: a string gives way to what it meets."""
    found = tightest(one, other)
    if found is not None:
        return found
    for text, rest in ((one, other), (other, one)):
        if isinstance(text, StringType | CharType | VarcharType):
            return _with_text(rest)
    return _nested(one, other)


def _with_text(other: DataType) -> DataType | None:
    if isinstance(other, IntegralType):
        return LongType()
    if isinstance(other, FractionalType):
        return DoubleType()
    if isinstance(other, AtomicType):
        return other
    return None


def _nested(one: DataType, other: DataType) -> DataType | None:
    if isinstance(one, ArrayType) and isinstance(other, ArrayType):
        element = wider(one.elementType, other.elementType)
        return None if element is None else ArrayType(element, one.containsNull or other.containsNull)
    if isinstance(one, MapType) and isinstance(other, MapType):
        key, value = wider(one.keyType, other.keyType), wider(one.valueType, other.valueType)
        if key is None or value is None:
            return None
        return MapType(key, value, one.valueContainsNull or other.valueContainsNull)
    if isinstance(one, StructType) and isinstance(other, StructType) and len(one) == len(other):
        return _struct(one, other)
    return None


def _struct(one: StructType, other: StructType) -> DataType | None:
    fields = []
    for a, b in zip(one.fields, other.fields, strict=True):
        joint = wider(a.dataType, b.dataType)
        if joint is None or a.name.lower() != b.name.lower():
            return None
        fields.append(StructField(a.name, joint, a.nullable or b.nullable))
    return StructType(fields)


def common_type(types: Sequence[DataType]) -> DataType | None:
    """The type all are brought to (strings last, so that order does not matter); None if there is none."""
    if not types:
        return NullType()
    ordered = sorted(types, key=lambda t: isinstance(t, StringType | CharType | VarcharType))
    found: DataType | None = ordered[0]
    for data_type in ordered[1:]:
        found = None if found is None else wider(found, data_type)
    return found
