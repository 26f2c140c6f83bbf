"""Spark's date functions that name a unit: extract, date_part, dateadd, datediff with units, time_bucket.

Invariants: unit names are Spark's, without case; differences count whole units in the session time zone.
"""

from __future__ import annotations

from pyspark.sql.types import (
    ByteType,
    CalendarIntervalType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    IntegerType,
    LongType,
    TimestampNTZType,
    TimeType,
    YearMonthIntervalType,
)
from sqlglot import exp

from headwater.errors import AnalysisError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    Value,
    add,
    binary,
    cast,
    duck,
    let,
    literal_text,
    multiply,
    names,
    subtract,
    titled,
    to_long,
    to_timestamp,
)

_FIELDS = {
    **dict.fromkeys(("year", "y", "years", "yr", "yrs"), "year"),
    **dict.fromkeys(("yearofweek",), "isoyear"),
    **dict.fromkeys(("quarter", "qtr"), "quarter"),
    **dict.fromkeys(("month", "mon", "mons", "months"), "month"),
    **dict.fromkeys(("week", "w", "weeks"), "week"),
    **dict.fromkeys(("day", "d", "days"), "day"),
    **dict.fromkeys(("dayofweek", "dow"), "dow"),
    **dict.fromkeys(("dayofweek_iso", "dow_iso"), "isodow"),
    "doy": "doy",
    **dict.fromkeys(("hour", "h", "hours", "hr", "hrs"), "hour"),
    **dict.fromkeys(("minute", "m", "min", "mins", "minutes"), "minute"),
    **dict.fromkeys(("second", "s", "sec", "seconds", "secs"), "second"),
}
_INTERVALS = (DayTimeIntervalType, YearMonthIntervalType, CalendarIntervalType)


@function("date_part", "datepart", "extract")
def date_part(call: FunctionCall) -> Typed:
    """date_part(field, date | timestamp | interval) → int; seconds as decimal(8, 6)"""
    field, source = call.take(2)
    wanted = (literal_text(call, field, "field") or "").lower()
    part = _FIELDS.get(wanted)
    if part is None:
        raise AnalysisError("INVALID_EXTRACT_FIELD", field=f"`{wanted}`", expr=f'"{source.name}"')
    name = (
        titled(call, *names(call.operands))
        if call.name == "date_part"
        else f"{call.name}({field.name} FROM {source.name})"
    )
    if isinstance(source.type, _INTERVALS):
        return _interval_part(source, part, name)
    moment = source if isinstance(source.type, DateType | TimeType) else to_timestamp(call, source)
    if part == "second":
        return Typed(_seconds(moment.sql), DecimalType(8, 6), moment.nullable, name=name)
    number: Value = duck("date_part", part, moment.sql)
    if part == "dow":
        number = add(number, 1)
    return Typed(cast(number, "INTEGER"), IntegerType(), moment.nullable, name=name)


def _seconds(moment: exp.Expression) -> exp.Expression:
    micros = cast(duck("date_part", "microsecond", moment), "DECIMAL(18,0)")
    return cast(multiply(micros, cast("0.000001", "DECIMAL(7,6)")), "DECIMAL(8,6)")


def _interval_part(source: Typed, part: str, name: str) -> Typed:
    """A field of an interval: days carry the hours beyond 24."""

    def read(interval: exp.Expression) -> exp.Expression:
        if part in ("year", "month"):
            return duck("date_part", part, interval)
        total = add(
            multiply(cast(duck("date_part", "day", interval), "BIGINT"), 86_400_000_000), _clock_micros(interval)
        )
        if isinstance(source.type, CalendarIntervalType):
            total = (
                _clock_micros(interval)
                if part != "day"
                else multiply(cast(duck("date_part", "day", interval), "BIGINT"), 86_400_000_000)
            )
        return _field_of_micros(total, part)

    kinds: dict[str, DataType] = {"year": IntegerType(), "day": IntegerType(), "second": DecimalType(8, 6)}
    kind = kinds.get(part, ByteType())
    target = {IntegerType: "INTEGER", ByteType: "TINYINT", DecimalType: "DECIMAL(8,6)"}[type(kind)]
    return Typed(cast(let([source.sql], read), target), kind, source.nullable, name=name)


def _clock_micros(interval: exp.Expression) -> exp.Expression:
    hours = multiply(cast(duck("date_part", "hour", interval), "BIGINT"), 3_600_000_000)
    minutes = multiply(cast(duck("date_part", "minute", interval), "BIGINT"), 60_000_000)
    return add(add(hours, minutes), cast(duck("date_part", "microsecond", interval), "BIGINT"))


def _field_of_micros(total: exp.Expression, part: str) -> exp.Expression:
    units = {"day": 86_400_000_000, "hour": 3_600_000_000, "minute": 60_000_000}
    if part == "second":
        return multiply(cast(binary(exp.Mod, total, 60_000_000), "DECIMAL(18,0)"), cast("0.000001", "DECIMAL(7,6)"))
    whole = binary(exp.IntDiv, total, units[part])
    return whole if part == "day" else binary(exp.Mod, whole, 24 if part == "hour" else 60)


# ── dateadd and datediff with a unit ────────────────────────────────────────────────────────────────────────

_MONTHS = {"year": 12, "quarter": 3, "month": 1}
_MICROS = {
    "week": 604_800_000_000,
    "day": 86_400_000_000,
    "dayofyear": 86_400_000_000,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
    "microsecond": 1,
}


def _unit(call: FunctionCall, operand: Typed) -> str:
    known = operand.literal if isinstance(operand.literal, str) else operand.name
    unit = known.lower()
    if unit not in _MONTHS and unit not in _MICROS:
        raise AnalysisError(
            "INVALID_PARAMETER_VALUE.DATETIME_UNIT",
            functionName=f"`{call.name}`",
            parameter="`unit`",
            invalidValue=f"'{known}'",
        )
    return unit


@function("timestampadd")
def timestampadd(call: FunctionCall) -> Typed:
    """timestampadd(unit, n, timestamp) → timestamp"""
    return add_units(call)


def add_units(call: FunctionCall) -> Typed:
    """dateadd(unit, n, timestamp): months and days in local time, smaller units in physical time."""
    unit, count, operand = call.take(3)
    known = _unit(call, unit)
    moment = to_timestamp(call, operand)
    number = to_long(call, count)
    if known in _MONTHS:
        step = duck("to_months", cast(multiply(number.sql, _MONTHS[known]), "INTEGER"))
    elif known in ("week", "day", "dayofyear"):
        step = duck("to_days", cast(multiply(number.sql, 7 if known == "week" else 1), "INTEGER"))
    else:
        step = duck("to_microseconds", multiply(number.sql, _MICROS[known]))
    name = titled(call, unit.name, count.name, operand.name, name="timestampadd")
    return Typed(add(moment.sql, step), moment.type, moment.nullable or number.nullable, name=name)


@function("timestampdiff")
def timestampdiff(call: FunctionCall) -> Typed:
    """timestampdiff(unit, start, end) → long whole units"""
    return count_units(call)


def count_units(call: FunctionCall) -> Typed:
    """datediff(unit, start, end): whole units between local times."""
    unit, start, end = call.take(3)
    known = _unit(call, unit)
    first, last = to_timestamp(call, start), to_timestamp(call, end)
    local = [cast(moment.sql, "TIMESTAMP") for moment in (first, last)]
    name = titled(call, unit.name, start.name, end.name, name="timestampdiff")
    sub_units = {"quarter": ("month", 3), "dayofyear": ("day", 1), "week": ("day", 7)}
    part, size = sub_units.get(known, (known, 1))
    whole: exp.Expression = duck("date_sub", part, *local)
    if size > 1:
        whole = binary(exp.IntDiv, whole, size)
    return Typed(cast(whole, "BIGINT"), LongType(), first.nullable or last.nullable, name=name)


@function("time_bucket")
def time_bucket(call: FunctionCall) -> Typed:
    """time_bucket(interval, timestamp[, origin]) → the start of the bucket the timestamp lies in"""
    width, operand, *rest = call.take(2, 3)
    moment = to_timestamp(call, operand)
    epoch = "TIMESTAMP '1970-01-01 00:00:00'"
    ntz = isinstance(moment.type, TimestampNTZType)
    default = (
        cast("1970-01-01 00:00:00", "TIMESTAMP")
        if ntz
        else cast(cast("1970-01-01 00:00:00", "TIMESTAMP"), "TIMESTAMPTZ")
    )
    origin = to_timestamp(call, rest[0]).sql if rest else default
    size = let(
        [width.sql],
        lambda i: add(multiply(cast(duck("date_part", "day", i), "BIGINT"), 86_400_000_000), _clock_micros(i)),
    )

    def bucket(at: exp.Expression, start: exp.Expression, step: exp.Expression) -> exp.Expression:
        gone = subtract(at, start)
        rest_ = binary(exp.Mod, add(binary(exp.Mod, gone, step), step), step)
        return duck("make_timestamp" if ntz else "make_timestamptz", subtract(at, rest_))

    sql = let([duck("epoch_us", moment.sql), duck("epoch_us", origin), size], bucket)
    name = titled(call, width.name, operand.name, rest[0].name if rest else epoch)
    return Typed(sql, moment.type, moment.nullable, name=name)
