"""Spark's auto-generated names: `sum(x)`, `(a + 1)`, `CAST(a AS STRING)`.

Invariants: a name depends only on the expression as written, never on casts that were put in.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    MapType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
    YearMonthIntervalType,
)

_INFIX = {"+", "-", "*", "/", "%", "==", "=", "<", "<=", ">", ">=", "<=>", "&", "|", "^", "and", "or", "||", "div"}
_SHOWN = {"==": "=", "and": "AND", "or": "OR"}
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def call_name(name: str, arguments: Sequence[str], distinct: bool = False) -> str:
    """The name of a call of `name` with named arguments."""
    special = _special(name, arguments)
    if special is not None:
        return special
    inside = ", ".join(arguments)
    return f"{name}({'DISTINCT ' if distinct else ''}{inside})"


def _special(name: str, a: Sequence[str]) -> str | None:
    if name in _INFIX and len(a) == 2:
        return f"concat({a[0]}, {a[1]})" if name == "||" else f"({a[0]} {_SHOWN.get(name, name)} {a[1]})"
    if name in {"!=", "<>"}:
        return f"(NOT ({a[0]} = {a[1]}))"
    if name == "like":
        return f"{a[0]} LIKE {a[1]}" + (f" ESCAPE '{a[2]}'" if len(a) > 2 else "")
    if name in {"rlike", "regexp", "regexp_like"} and len(a) == 2:
        return f"{name.upper()}({a[0]}, {a[1]})"
    if name == "in":
        return f"({a[0]} IN ({', '.join(a[1:])}))"
    if name == "when":
        return _case(a)
    fixed = {
        "not": "(NOT {0})", "!": "(NOT {0})", "isnull": "({0} IS NULL)", "isnotnull": "({0} IS NOT NULL)",
        "~": "~{0}", "between": "between({0}, {1}, {2})",
    }  # fmt: skip
    if name in {"-", "+"} and len(a) == 1:
        return f"({name} {a[0]})"
    return fixed[name].format(*a) if name in fixed else None


def _case(a: Sequence[str]) -> str:
    whens = "".join(f" WHEN {a[i]} THEN {a[i + 1]}" for i in range(0, len(a) - 1, 2))
    otherwise = f" ELSE {a[-1]}" if len(a) % 2 else ""
    return f"CASE{whens}{otherwise} END"


def literal_name(value: Any, data_type: DataType, time_zone: str = "UTC") -> str:
    """The name of a constant, as Spark prints it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(data_type, TimestampType | TimestampNTZType):
        zone = ZoneInfo(time_zone) if isinstance(data_type, TimestampType) else dt.UTC
        word = "TIMESTAMP" if isinstance(data_type, TimestampType) else "TIMESTAMP_NTZ"
        return f"{word} '{instant_text(value, zone)}'"
    if isinstance(data_type, DateType):
        return f"DATE '{date_text(value)}'"
    if isinstance(data_type, StructType | ArrayType | MapType):
        return _nested_name(value, data_type, time_zone)
    if isinstance(data_type, DayTimeIntervalType):
        return _day_time_name(value, data_type)
    if isinstance(data_type, YearMonthIntervalType):
        return _year_month_name(value, data_type)
    if isinstance(data_type, BinaryType):
        return "X'" + bytes(value).hex().upper() + "'"
    if isinstance(data_type, DoubleType | FloatType):
        return java_double(float(value), isinstance(data_type, FloatType))
    if isinstance(data_type, DecimalType):
        return f"{Decimal(value):f}"
    return value if isinstance(data_type, StringType) else str(value)


def _nested_name(value: Any, data_type: DataType, time_zone: str) -> str:
    if isinstance(data_type, ArrayType):
        return f"array({', '.join(literal_name(v, data_type.elementType, time_zone) for v in value)})"
    if isinstance(data_type, MapType):
        parts = [
            literal_name(v, t, time_zone)
            for pair in value
            for v, t in zip(pair, (data_type.keyType, data_type.valueType), strict=True)
        ]
        return f"map({', '.join(parts)})"
    assert isinstance(data_type, StructType)
    fields = [
        f"{f.name}, {literal_name(v, f.dataType, time_zone)}" for f, v in zip(data_type.fields, value, strict=True)
    ]
    return f"named_struct({', '.join(fields)})"


def date_text(days: int) -> str:
    """`2024-01-31` of days since the epoch."""
    return (dt.date(1970, 1, 1) + dt.timedelta(days=days)).isoformat()


def instant_text(microseconds: int, zone: dt.tzinfo) -> str:
    """`2024-01-31 10:00:00.5` of microseconds since the epoch."""
    moment = (EPOCH + dt.timedelta(microseconds=microseconds)).astimezone(zone)
    text = f"{moment.year:04d}-{moment:%m-%d %H:%M:%S}"
    return f"{text}.{moment.microsecond:06d}".rstrip("0") if moment.microsecond else text


_YEAR_MONTH_UNITS = ("YEAR", "MONTH")
_DAY_TIME_UNITS = ("DAY", "HOUR", "MINUTE", "SECOND")
_SECONDS = (86400, 3600, 60, 1)


def _units(units: Sequence[str], first: int, last: int) -> str:
    return units[first] if first == last else f"{units[first]} TO {units[last]}"


def _year_month_name(months: int, data_type: YearMonthIntervalType) -> str:
    first, last = data_type.startField, data_type.endField
    sign, rest = ("-" if months < 0 else ""), abs(months)
    text = f"{rest // 12}-{rest % 12}" if first != last else str(rest // 12 if last == 0 else rest)
    return f"INTERVAL '{sign}{text}' {_units(_YEAR_MONTH_UNITS, first, last)}"


def _day_time_name(microseconds: int, data_type: DayTimeIntervalType) -> str:
    """The first unit in full, the others up to their next; a fraction only with seconds."""
    first, last = data_type.startField, data_type.endField
    seconds, micros = divmod(abs(microseconds), 1_000_000)
    text = ""
    for unit in range(first, last + 1):
        number = seconds // _SECONDS[unit]
        seconds -= number * _SECONDS[unit]
        text += ("" if unit == first else (" " if unit == 1 else ":")) + (str(number) if unit == 0 else f"{number:02d}")
    if last == 3 and micros:
        text += f".{micros:06d}".rstrip("0")
    return f"INTERVAL '{'-' if microseconds < 0 else ''}{text}' {_units(_DAY_TIME_UNITS, first, last)}"


def java_double(value: float, single: bool = False) -> str:
    """A double (or float) as Java prints it: `1.0E10`, `NaN`, `Infinity`."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    digits = _float_digits(value) if single else repr(value)
    sign, number = ("-", Decimal(digits).copy_abs()) if digits.startswith("-") else ("", Decimal(digits))
    if number == 0:
        return f"{sign}0.0"
    if Decimal("0.001") <= number < Decimal(10**7):
        text = f"{number:f}"
        text = text.rstrip("0") if "." in text else text + "."
        return sign + (text + "0" if text.endswith(".") else text)
    mantissa = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    return f"{sign}{mantissa[0]}.{mantissa[1:] or '0'}E{number.adjusted()}"


def _float_digits(value: float) -> str:
    import numpy as np

    return str(np.float32(value))
