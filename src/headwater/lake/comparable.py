"""Constants as Spark compares them with a column: in which type, and with which value.

Invariant: None for every pair of types whose comparison is not that of plain values in the column's own order.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    FloatType,
    NullType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from headwater.lake.bounds import FLOATING, INTEGRAL, days, micros
from headwater.plan.expressions import Literal

_EXACT_IN_SINGLE, _EXACT_IN_DOUBLE = 1 << 24, 1 << 53
_MOST_DIGITS, _LONG_DIGITS = 38, 20
_WHOLE = re.compile(r"-?\d{1,18}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d(\.\d{1,6})?)?")

_EPOCH = date(1970, 1, 1)
_FIRST_DAY, _LAST_DAY = (date.min - _EPOCH).days, (date.max - _EPOCH).days

Convert = Callable[[Any], Any]


def number(literal: Literal, kind: DataType) -> tuple[Any, Convert | None] | None:
    """A number as Spark compares it with a column of the numeric type `kind`, and what becomes of the column for that.

    Conversions that keep the order keep bounds bounds; those that Spark would round otherwise are left out.
    """
    value = literal.value
    if isinstance(literal.type, StringType) and isinstance(kind, INTEGRAL):
        return (int(value), None) if _WHOLE.fullmatch(value.strip()) else None
    if isinstance(literal.type, FLOATING):
        if value != value:
            return None
        if isinstance(literal.type, FloatType):
            value = struct.unpack("f", struct.pack("f", value))[0]
            if not isinstance(kind, FLOATING):
                return None
        return value, (None if isinstance(kind, FLOATING) else float)
    if not isinstance(literal.type, (*INTEGRAL, DecimalType)):
        return None
    if isinstance(kind, FLOATING):
        most = _EXACT_IN_SINGLE if isinstance(kind, FloatType) else _EXACT_IN_DOUBLE
        fits = isinstance(literal.type, DecimalType) or abs(value) <= most
        return (float(value), None) if fits else None
    return (value, None) if _fits(literal, kind) else None


def _fits(literal: Literal, kind: DataType) -> bool:
    """Whether Spark compares the two as decimals without rounding."""
    digits, scale = (kind.precision - kind.scale, kind.scale) if isinstance(kind, DecimalType) else (_LONG_DIGITS, 0)
    written = Decimal(literal.value).as_tuple()
    below = max(0, -int(written.exponent))
    return bool(max(digits, len(written.digits) - below, 0) + max(scale, below) <= _MOST_DIGITS)


def timely(literal: Literal, kind: DataType, zone: str) -> Any:
    """The value as a column of type `kind` has it, if Spark compares them in that type; None if not."""
    value, own = literal.value, literal.type
    if isinstance(own, NullType):
        return None
    if isinstance(own, StringType) and not isinstance(kind, StringType):
        return _parsed(value.strip(), kind, zone)
    if type(own) is type(kind):
        known = isinstance(kind, StringType | BooleanType | DateType | TimestampType | TimestampNTZType)
        return value if known and (not isinstance(kind, StringType) or own == kind) else None
    if isinstance(own, DateType) and isinstance(kind, TimestampType | TimestampNTZType):
        if not _FIRST_DAY <= value <= _LAST_DAY:
            return None
        return _parsed((_EPOCH + timedelta(days=value)).isoformat(), kind, zone)
    return None


def _parsed(text: str, kind: DataType, zone: str) -> int | None:
    """A date or time written in full; other spellings are Spark's to read."""
    try:
        if isinstance(kind, DateType) and _DAY.fullmatch(text):
            return days(text)
        if isinstance(kind, TimestampNTZType) and _TIME.fullmatch(text):
            return micros(text, zoned=False)
        if isinstance(kind, TimestampType) and _TIME.fullmatch(text):
            return micros(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).isoformat(), zoned=True)
    except (ValueError, OverflowError, KeyError, OSError):
        return None
    return None
