"""Spark's text of a value: what CAST AS STRING, `show` and string functions give.

Invariants: doubles print as Java prints them, timestamps in the session zone without trailing zeros, nested values as
`[1, 2]`, `{1, a}`, `{k -> v}` with `null` for NULL.
"""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    CalendarIntervalType,
    DataType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    MapType,
    NullType,
    StructType,
    TimestampType,
    VariantType,
    YearMonthIntervalType,
)
from sqlglot import exp

from headwater.functions.building import (
    Value,
    add,
    at_least,
    both,
    case,
    cast,
    duck,
    equal,
    is_null,
    lambda_,
    less,
    let,
    more,
    subtract,
)


def text_of(sql: exp.Expression, data_type: DataType) -> exp.Expression:
    """The text of a value of a Spark type; NULL for NULL."""
    if isinstance(data_type, DoubleType | FloatType):
        return let([sql], java_number)
    if isinstance(data_type, TimestampType):
        return cast(cast(sql, "TIMESTAMP"), "VARCHAR")
    if isinstance(data_type, BinaryType):
        return let(
            [sql], lambda data: duck("coalesce", duck("try", duck("decode", data)), duck("hw_repair_utf8", data))
        )
    if isinstance(data_type, DecimalType) and data_type.scale == data_type.precision < 38:
        return cast(cast(sql, f"DECIMAL({data_type.precision + 1},{data_type.scale})"), "VARCHAR")
    if isinstance(data_type, ArrayType):
        return _joined("[", sql, lambda_(lambda item: _shown(item, data_type.elementType)), "]")
    if isinstance(data_type, MapType):
        return _map_text(sql, data_type)
    if isinstance(data_type, StructType):
        return let([sql], lambda item: _struct_text(item, data_type))
    if isinstance(data_type, VariantType):
        return exp.JSONExtractScalar(this=sql, expression=exp.Literal.string("$"))
    if isinstance(data_type, DayTimeIntervalType):
        return duck("hw_day_time_text", duck("epoch_us", sql), data_type.startField, data_type.endField)
    if isinstance(data_type, YearMonthIntervalType):
        return duck("hw_year_month_text", let([sql], _months), data_type.startField, data_type.endField)
    if isinstance(data_type, CalendarIntervalType):
        return let([sql], _calendar_text)
    if isinstance(data_type, NullType):
        return cast(exp.Null(), "VARCHAR")
    return cast(sql, "VARCHAR")


def _shown(item: exp.Expression, data_type: DataType) -> exp.Expression:
    return duck("coalesce", text_of(item, data_type), "null")


def concat(*parts: Value) -> exp.Expression:
    """`a || b || …`: NULL if one is."""
    from headwater.functions.building import value

    tree = value(parts[0])
    for part in parts[1:]:
        tree = exp.DPipe(this=tree, expression=value(part))
    return exp.Paren(this=tree)


def _joined(opening: str, items: exp.Expression, shown: exp.Expression, closing: str) -> exp.Expression:
    return concat(opening, duck("array_to_string", duck("list_transform", items, shown), ", "), closing)


def _map_text(sql: exp.Expression, data_type: MapType) -> exp.Expression:
    def entry(item: exp.Expression) -> exp.Expression:
        key = duck("struct_extract", item, "key")
        value = duck("struct_extract", item, "value")
        return concat(_shown(key, data_type.keyType), " -> ", _shown(value, data_type.valueType))

    return _joined("{", duck("map_entries", sql), lambda_(entry), "}")


def _struct_text(item: exp.Expression, data_type: StructType) -> exp.Expression:
    parts: list[Value] = ["{"]
    for i, field in enumerate(data_type.fields):
        parts += [", "] if i else []
        parts.append(_shown(duck("struct_extract", item, field.name), field.dataType))
    return case((is_null(item), None), otherwise=concat(*parts, "}"))


def java_number(number: exp.Expression) -> exp.Expression:
    """A double or float as Java's `toString` gives it."""
    size = duck("abs", number)
    plain = exp.Paren(this=exp.Or(this=equal(size, 0), expression=both(at_least(size, 0.001), less(size, 10_000_000))))
    sign = case((less(number, 0), "-"), otherwise="")
    return case(
        (is_null(number), None),
        (duck("isnan", number), "NaN"),
        (duck("isinf", number), case((more(number, 0), "Infinity"), otherwise="-Infinity")),
        (plain, cast(number, "VARCHAR")),
        otherwise=concat(sign, let([cast(size, "VARCHAR")], _scientific)),
    )


def _scientific(text: exp.Expression) -> exp.Expression:
    """`d.dddE±x` of DuckDB's text of a positive number outside [0.001, 10^7)."""
    mantissa, exponent = duck("split_part", text, "e", 1), duck("split_part", text, "e", 2)
    whole, fraction = duck("split_part", text, ".", 1), duck("split_part", text, ".", 2)
    dotted = case((duck("contains", mantissa, "."), mantissa), otherwise=concat(mantissa, ".0"))
    large = concat(
        _mantissa(duck("rtrim", concat(whole, fraction), "0")), "E", cast(subtract(duck("length", whole), 1), "VARCHAR")
    )
    digits = duck("ltrim", fraction, "0")
    zeros = subtract(duck("length", digits), add(duck("length", fraction), 1))
    small = concat(_mantissa(digits), "E", cast(zeros, "VARCHAR"))
    return case(
        (duck("contains", text, "e"), concat(dotted, "E", cast(cast(exponent, "INTEGER"), "VARCHAR"))),
        (equal(whole, "0"), small),
        otherwise=large,
    )


def _mantissa(digits: exp.Expression) -> exp.Expression:
    rest = duck("substr", digits, 2)
    return concat(duck("substr", digits, 1, 1), ".", case((equal(rest, ""), "0"), otherwise=rest))


def _months(interval: exp.Expression) -> exp.Expression:
    years = exp.Mul(this=duck("datepart", "year", interval), expression=exp.Literal.number(12))
    return add(years, duck("datepart", "month", interval))


def _calendar_text(interval: exp.Expression) -> exp.Expression:
    hours = exp.Mul(this=duck("datepart", "hour", interval), expression=exp.Literal.number(3_600_000_000))
    minutes = exp.Mul(this=duck("datepart", "minute", interval), expression=exp.Literal.number(60_000_000))
    micros = add(add(hours, minutes), duck("datepart", "microsecond", interval))
    return duck("hw_calendar_text", _months(interval), duck("datepart", "day", interval), micros)
