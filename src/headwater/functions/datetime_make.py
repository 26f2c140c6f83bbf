"""Spark's functions that make dates, times and intervals from numbers.

Invariants: a field out of range is an error under ANSI, NULL otherwise and in `try_` forms; seconds have six digits,
and 60 seconds roll over to the next minute.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from pyspark.sql.types import (
    CalendarIntervalType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    TimestampNTZType,
    TimestampType,
    TimeType,
    YearMonthIntervalType,
)
from sqlglot import exp

from headwater.errors import DateTimeError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    add,
    cast,
    duck,
    int_literal,
    multiply,
    names,
    titled,
    to_date,
    to_int,
    to_text,
    to_type,
)
from headwater.functions.java_pattern import zone_of
from headwater.functions.kernels import kernel

_EPOCH = dt.datetime(1970, 1, 1)
_SECONDS = DecimalType(16, 6)


def _bad(error: ValueError) -> DateTimeError:
    return DateTimeError("DATETIME_FIELD_OUT_OF_BOUNDS.WITHOUT_SUGGESTION", rangeMessage=str(error))


@kernel(["INTEGER", "INTEGER", "INTEGER", "BOOLEAN"], "DATE", nulls=True)
def make_date(year: int | None, month: int | None, day: int | None, strict: bool) -> dt.date | None:
    """The date, or an error or NULL if there is none."""
    if year is None or month is None or day is None:
        return None
    try:
        return dt.date(year, month, day)
    except ValueError as error:
        if strict:
            raise _bad(error) from error
        return None


@kernel(["INTEGER[]", "DECIMAL(16,6)", "VARCHAR", "BOOLEAN"], "BIGINT", nulls=True)
def make_micros(fields: list[int | None], seconds: Decimal | None, zone: str | None, strict: bool) -> int | None:
    """Microseconds since the epoch of year, month, day, hour, minute and seconds in a zone ("": local)."""
    if seconds is None or zone is None or any(field is None for field in fields):
        return None
    try:
        year, month, day, hour, minute = (int(field) for field in fields if field is not None)
        micros = int(seconds * 1_000_000)
        if not 0 <= micros <= 60_000_000:
            raise ValueError("Invalid value for SecondOfMinute (valid values 0 - 59): " + str(seconds))
        moment = dt.datetime(year, month, day, hour, minute) + dt.timedelta(microseconds=micros)
        if not zone:
            return round((moment - _EPOCH) / dt.timedelta(microseconds=1))
        aware = moment.replace(tzinfo=zone_of(zone))
        return round((aware - _EPOCH.replace(tzinfo=dt.UTC)) / dt.timedelta(microseconds=1))
    except ValueError as error:
        if strict:
            raise _bad(error) from error
        return None


@function("make_date")
def make_date_(call: FunctionCall) -> Typed:
    """make_date(year, month, day) → date"""
    numbers = [to_int(call, operand) for operand in call.take(3)]
    nullable = any(number.nullable for number in numbers) or not call.ansi
    return Typed(duck("hw_make_date", *(number.sql for number in numbers), call.ansi), DateType(), nullable)


def _instant(call: FunctionCall, kind: DataType, *, strict: bool) -> Typed:
    operands = call.take(1, 7)
    if len(operands) <= 3:
        return _from_date_and_time(call, kind)
    *numbers, seconds = operands[:6]
    zone: exp.Expression | str = "" if isinstance(kind, TimestampNTZType) else call.time_zone
    if len(operands) == 7:
        zone = to_text(call, operands[6]).sql
    fields = exp.Array(expressions=[to_int(call, number).sql for number in numbers])
    exact = cast(to_type(call, seconds, _SECONDS).sql, "DECIMAL(16,6)")
    micros = duck("hw_make_micros", fields, exact, zone, strict)
    made = duck("make_timestamp" if isinstance(kind, TimestampNTZType) else "make_timestamptz", micros)
    # Spark's own name of the try form leaves the zone out.
    shown = names(operands[:6] if call.name == "try_make_timestamp" else operands)
    nullable = not strict or any(operand.nullable for operand in operands)
    return Typed(made, kind, nullable, name=titled(call, *shown))


def _from_date_and_time(call: FunctionCall, kind: DataType) -> Typed:
    day, *rest = call.operands
    moment = cast(to_date(call, day).sql, "TIMESTAMP")
    if rest:
        clock = to_type(call, rest[0], TimeType(6)).sql
        moment = exp.Paren(this=exp.Add(this=to_date(call, day).sql, expression=cast(clock, "TIME")))
    nullable = any(operand.nullable for operand in call.operands)
    if isinstance(kind, TimestampNTZType):
        return Typed(moment, kind, nullable, name=titled(call, *names(call.operands)))
    from headwater.functions.datetime_text import icu_zone

    zone: exp.Expression = exp.Literal.string(icu_zone(call.time_zone))
    if len(rest) == 2:
        known = rest[1].literal
        zone = exp.Literal.string(icu_zone(known)) if isinstance(known, str) else to_text(call, rest[1]).sql
    shown = "try_make_timestamp" if call.name == "try_make_timestamp" else "make_timestamp"
    return Typed(duck("timezone", zone, moment), kind, nullable, name=titled(call, *names(call.operands), name=shown))


@function("make_timestamp", "make_timestamp_ltz")
def make_timestamp(call: FunctionCall) -> Typed:
    """make_timestamp(year, month, day, hour, minute, seconds[, zone]) or (date[, time[, zone]]) → timestamp"""
    return _instant(call, TimestampType(), strict=call.ansi)


@function("try_make_timestamp", "try_make_timestamp_ltz")
def try_make_timestamp(call: FunctionCall) -> Typed:
    """try_make_timestamp(year, month, day, hour, minute, seconds[, zone]) → timestamp, NULL if out of range"""
    return _instant(call, TimestampType(), strict=False)


@function("make_timestamp_ntz")
def make_timestamp_ntz(call: FunctionCall) -> Typed:
    """make_timestamp_ntz(year, month, day, hour, minute, seconds) or (date, time) → timestamp_ntz"""
    return _instant(call, TimestampNTZType(), strict=call.ansi)


@function("try_make_timestamp_ntz")
def try_make_timestamp_ntz(call: FunctionCall) -> Typed:
    """try_make_timestamp_ntz(year, month, day, hour, minute, seconds) → timestamp_ntz, NULL if out of range"""
    return _instant(call, TimestampNTZType(), strict=False)


@kernel(["INTEGER", "INTEGER", "DECIMAL(16,6)"], "TIME")
def make_clock(hour: int, minute: int, seconds: Decimal) -> dt.time:
    """The time of day. Raises DATETIME_FIELD_OUT_OF_BOUNDS."""
    micros = int(seconds * 1_000_000)
    try:
        return dt.time(hour, minute, micros // 1_000_000, micros % 1_000_000)
    except ValueError as error:
        raise _bad(error) from error


@function("make_time")
def make_time(call: FunctionCall) -> Typed:
    """make_time(hour, minute, seconds) → time"""
    hour, minute, seconds = call.take(3)
    exact = cast(to_type(call, seconds, _SECONDS).sql, "DECIMAL(16,6)")
    sql = duck("hw_make_clock", to_int(call, hour).sql, to_int(call, minute).sql, exact)
    return Typed(sql, TimeType(6), any(operand.nullable for operand in call.operands))


# ── intervals ───────────────────────────────────────────────────────────────────────────────────────────────


def _filled(call: FunctionCall, count: int) -> list[Typed]:
    operands = call.take(0, count)
    zero = Typed(cast("0.000000", "DECIMAL(16,6)"), _SECONDS, False, Decimal("0.000000"), "0.000000")
    defaults = [int_literal(0)] * (count - 1) + [zero]
    return [*operands, *defaults[len(operands) :]]


def _micros_of(call: FunctionCall, seconds: Typed) -> exp.Expression:
    exact = cast(to_type(call, seconds, _SECONDS).sql, "DECIMAL(16,6)")
    return cast(multiply(cast(exact, "DECIMAL(28,6)"), 1_000_000), "BIGINT")


@function("make_dt_interval")
def make_dt_interval(call: FunctionCall) -> Typed:
    """make_dt_interval([days[, hours[, minutes[, seconds]]]]) → interval day to second"""
    days, hours, minutes, seconds = filled = _filled(call, 4)
    parts = [
        multiply(cast(to_int(call, item).sql, "BIGINT"), unit)
        for item, unit in ((days, 86_400), (hours, 3_600), (minutes, 60))
    ]
    whole = multiply(add(add(parts[0], parts[1]), parts[2]), 1_000_000)
    sql = duck("to_microseconds", add(whole, _micros_of(call, seconds)))
    nullable = any(item.nullable for item in filled)
    return Typed(sql, DayTimeIntervalType(0, 3), nullable, name=titled(call, *names(filled)))


@function("make_ym_interval")
def make_ym_interval(call: FunctionCall) -> Typed:
    """make_ym_interval([years[, months]]) → interval year to month"""
    operands = call.take(0, 2)
    filled = [*operands, *[int_literal(0)] * (2 - len(operands))]
    years, months = (cast(to_int(call, item).sql, "INTEGER") for item in filled)
    sql = duck("to_months", add(multiply(years, 12), months))
    nullable = any(item.nullable for item in filled)
    return Typed(sql, YearMonthIntervalType(0, 1), nullable, name=titled(call, *names(filled)))


def _interval(call: FunctionCall) -> Typed:
    filled = _filled(call, 7)
    years, months, weeks, days, hours, minutes = (cast(to_int(call, item).sql, "INTEGER") for item in filled[:6])
    clock = multiply(add(multiply(cast(hours, "BIGINT"), 3_600), multiply(cast(minutes, "BIGINT"), 60)), 1_000_000)
    sql = add(
        add(duck("to_months", add(multiply(years, 12), months)), duck("to_days", add(multiply(weeks, 7), days))),
        duck("to_microseconds", add(clock, _micros_of(call, filled[6]))),
    )
    nullable = any(item.nullable for item in filled)
    return Typed(sql, CalendarIntervalType(), nullable, name=titled(call, *names(filled)))


@function("make_interval")
def make_interval(call: FunctionCall) -> Typed:
    """make_interval([years, months, weeks, days, hours, minutes, seconds]) → interval"""
    return _interval(call)


@function("try_make_interval")
def try_make_interval(call: FunctionCall) -> Typed:
    """try_make_interval([years, months, weeks, days, hours, minutes, seconds]) → interval, NULL on overflow"""
    made = _interval(call)
    return Typed(exp.Anonymous(this="TRY", expressions=[made.sql]), made.type, True, name=made.name)
