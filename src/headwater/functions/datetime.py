"""Spark's date and time functions: now, parts, truncation and arithmetic.

Invariants: a timestamp's parts and truncation are those of the session time zone (the connection's); Sunday is day 1 of
`dayofweek`, Monday day 0 of `weekday`; months clamp to the month's last day.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pyspark.sql.types import (
    DataType,
    DateType,
    DoubleType,
    IntegerType,
    StringType,
    TimestampNTZType,
    TimestampType,
    TimeType,
)
from sqlglot import exp

from headwater.errors import IllegalArgumentError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    Value,
    add,
    both,
    case,
    cast,
    duck,
    either,
    equal,
    is_null,
    let,
    names,
    subtract,
    titled,
    to_date,
    to_int,
    to_text,
    to_timestamp,
    value,
)
from headwater.functions.raising import fail


@function("current_date", "curdate")
def current_date(call: FunctionCall) -> Typed:
    """current_date() → date in the session time zone"""
    call.take(0)
    return Typed(cast(call.now, "DATE"), DateType(), False, name="current_date()")


@function("current_timestamp", "now")
def current_timestamp(call: FunctionCall) -> Typed:
    """current_timestamp() → timestamp, the same throughout a query"""
    call.take(0)
    return Typed(call.now, TimestampType(), False)


@function("localtimestamp")
def localtimestamp(call: FunctionCall) -> Typed:
    """localtimestamp() → timestamp_ntz in the session time zone"""
    call.take(0)
    return Typed(cast(call.now, "TIMESTAMP"), TimestampNTZType(), False)


@function("current_timezone")
def current_timezone(call: FunctionCall) -> Typed:
    """current_timezone() → string: the session time zone"""
    call.take(0)
    return Typed(exp.Literal.string(call.time_zone), StringType(), False, call.time_zone)


def _date_part(names: tuple[str, ...], part: str, about: str, offset: int = 0) -> None:
    def build(call: FunctionCall) -> Typed:
        day = to_date(call, call.take(1)[0])
        number: Value = duck("date_part", part, day.sql)
        if offset:
            number = add(number, offset)
        return Typed(cast(number, "INTEGER"), IntegerType(), day.nullable)

    build.__doc__ = f"{names[0]}(date) → int: {about}"
    build.__qualname__ = f"date_part_{names[0]}"
    function(*names)(build)


for _names, _part, _about, _offset in (
    (("year",), "year", "the year", 0),
    (("quarter",), "quarter", "1 to 4", 0),
    (("month",), "month", "1 to 12", 0),
    (("day", "dayofmonth"), "day", "1 to 31", 0),
    (("dayofyear",), "doy", "1 to 366", 0),
    (("weekofyear",), "week", "ISO week", 0),
    (("dayofweek",), "dow", "1 (Sunday) to 7", 1),
    (("weekday",), "isodow", "0 (Monday) to 6", -1),
):
    _date_part(_names, _part, _about, _offset)


def _clock(call: FunctionCall) -> Typed:
    (moment,) = call.take(1)
    return moment if isinstance(moment.type, TimeType) else to_timestamp(call, moment)


def _clock_part(name: str, about: str) -> None:
    def build(call: FunctionCall) -> Typed:
        moment = _clock(call)
        return Typed(cast(duck("date_part", name, moment.sql), "INTEGER"), IntegerType(), moment.nullable)

    build.__doc__ = f"{name}(timestamp | time) → int: {about}"
    build.__qualname__ = f"clock_part_{name}"
    function(name)(build)


for _name, _about in (("hour", "0 to 23"), ("minute", "0 to 59"), ("second", "0 to 59")):
    _clock_part(_name, _about)


def _named_part(name: str, duck_name: str, about: str) -> None:
    def build(call: FunctionCall) -> Typed:
        day = to_date(call, call.take(1)[0])
        return Typed(duck("left", duck(duck_name, day.sql), 3), StringType(), day.nullable)

    build.__doc__ = f"{name}(date) → string: {about}"
    build.__qualname__ = f"named_part_{name}"
    function(name)(build)


_named_part("dayname", "dayname", "Mon, Tue, …")
_named_part("monthname", "monthname", "Jan, Feb, …")


# ── arithmetic ──────────────────────────────────────────────────────────────────────────────────────────────


def _days(call: FunctionCall, sign: Callable[[Value, Value], exp.Expression]) -> Typed:
    day, count = call.take(2)
    start, days = to_date(call, day), to_int(call, count)
    return Typed(cast(sign(start.sql, days.sql), "DATE"), DateType(), start.nullable or days.nullable)


@function("date_add", "dateadd")
def date_add(call: FunctionCall) -> Typed:
    """date_add(date, days) → date; dateadd(unit, n, timestamp) → timestamp"""
    if len(call.operands) == 3:
        from headwater.functions.datetime_units import add_units

        return add_units(call)
    return replace(_days(call, add), name=titled(call, *names(call.operands), name="date_add"))


@function("date_sub")
def date_sub(call: FunctionCall) -> Typed:
    """date_sub(date, days) → date"""
    return _days(call, subtract)


@function("datediff", "date_diff")
def datediff(call: FunctionCall) -> Typed:
    """datediff(end, start) → int days; datediff(unit, start, end) → long units"""
    if len(call.operands) == 3:
        from headwater.functions.datetime_units import count_units

        return count_units(call)
    end, start = (to_date(call, operand) for operand in call.take(2))
    return Typed(cast(subtract(end.sql, start.sql), "INTEGER"), IntegerType(), end.nullable or start.nullable)


def add_months_to(day: exp.Expression, months: Value) -> exp.Expression:
    """A date some months later, at most the month's last day."""
    return cast(add(day, duck("to_months", cast(months, "INTEGER"))), "DATE")


@function("add_months")
def add_months(call: FunctionCall) -> Typed:
    """add_months(date, months) → date, at most the month's last day"""
    day, count = call.take(2)
    start, months = to_date(call, day), to_int(call, count)
    return Typed(add_months_to(start.sql, months.sql), DateType(), start.nullable or months.nullable)


@function("last_day")
def last_day(call: FunctionCall) -> Typed:
    """last_day(date) → date: the last of its month"""
    day = to_date(call, call.take(1)[0])
    return Typed(duck("last_day", day.sql), DateType(), day.nullable)


_WEEK = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_WEEK_NAMES = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")


def _weekday_branches() -> list[tuple[str, int]]:
    forms: list[tuple[str, int]] = []
    for number, (short, long) in enumerate(zip(_WEEK, _WEEK_NAMES, strict=True), 1):
        forms += [(short, number), (long[:3], number), (long, number)]
    return forms


@function("next_day")
def next_day(call: FunctionCall) -> Typed:
    """next_day(date, weekday name) → date: the first such day after it"""
    day, name = call.take(2)

    def shift(start: exp.Expression, wanted: exp.Expression) -> exp.Expression:
        unknown: Value = None
        if call.ansi:
            unknown = fail(IllegalArgumentError, "ILLEGAL_DAY_OF_WEEK", string=wanted)
        branches: list[tuple[Value, Value]] = [
            (equal(duck("upper", wanted), form), n) for form, n in _weekday_branches()
        ]
        number = case((is_null(wanted), None), *branches, otherwise=unknown)
        ahead = exp.Mod(this=exp.Paren(this=subtract(add(number, 6), duck("isodow", start))), expression=exp.convert(7))
        return cast(add(start, cast(add(exp.Paren(this=ahead), 1), "INTEGER")), "DATE")

    begin = to_date(call, day)
    sql = let([begin.sql, to_text(call, name).sql], shift)
    return Typed(sql, DateType(), begin.nullable or name.nullable or not call.ansi)


@function("months_between")
def months_between(call: FunctionCall) -> Typed:
    """months_between(end, start[, rounded = true]) → double: whole months, days in 31sts"""
    end, start, *rest = call.take(2, 3)
    rounded = rest[0].sql if rest else value(True)
    first, second = to_timestamp(call, end), to_timestamp(call, start)
    sql = let([cast(first.sql, "TIMESTAMP"), cast(second.sql, "TIMESTAMP"), rounded], _months_apart)
    name = titled(call, end.name, start.name, rest[0].name if rest else "true")
    return Typed(
        sql, DoubleType(), any((first.nullable, second.nullable, *(item.nullable for item in rest))), name=name
    )


def _months_apart(a: exp.Expression, b: exp.Expression, rounded: exp.Expression) -> exp.Expression:
    def part(name: str, moment: exp.Expression) -> exp.Expression:
        return cast(duck("date_part", name, moment), "BIGINT")

    def is_last(moment: exp.Expression) -> exp.Expression:
        return equal(cast(moment, "DATE"), duck("last_day", cast(moment, "DATE")))

    def seconds(moment: exp.Expression) -> exp.Expression:
        clock = subtract(duck("epoch_us", moment), duck("epoch_us", cast(cast(moment, "DATE"), "TIMESTAMP")))
        whole = exp.IntDiv(this=clock, expression=exp.convert(1_000_000))
        return add(exp.Mul(this=part("day", moment), expression=exp.convert(86400)), exp.Paren(this=whole))

    years = exp.Mul(this=subtract(part("year", a), part("year", b)), expression=exp.convert(12))
    months = add(years, subtract(part("month", a), part("month", b)))
    rest = exp.Div(this=cast(subtract(seconds(a), seconds(b)), "DOUBLE"), expression=cast(31 * 86400, "DOUBLE"))
    exact = add(cast(months, "DOUBLE"), exp.Paren(this=rest))
    same = either(equal(part("day", a), part("day", b)), both(is_last(a), is_last(b)))
    return case((same, cast(months, "DOUBLE")), (rounded, duck("round", exact, 8)), otherwise=exact)


# ── truncation ──────────────────────────────────────────────────────────────────────────────────────────────

_DATE_UNITS = {
    **dict.fromkeys(("year", "yyyy", "yy"), "year"),
    "quarter": "quarter",
    **dict.fromkeys(("month", "mon", "mm"), "month"),
    "week": "week",
}
_TIME_UNITS = {
    **_DATE_UNITS,
    **dict.fromkeys(("day", "dd"), "day"),
    **{unit: unit for unit in ("hour", "minute", "second", "millisecond", "microsecond")},
}


def _truncated(
    call: FunctionCall, moment: exp.Expression, unit: Typed, units: dict[str, str], cast_to: str
) -> exp.Expression:
    if isinstance(unit.literal, str):
        known = units.get(unit.literal.lower())
        return cast(duck("date_trunc", known, moment) if known else None, cast_to)

    def choose(at: exp.Expression, name: exp.Expression) -> exp.Expression:
        return case(
            *(
                (equal(duck("lower", name), form), cast(duck("date_trunc", known, at), cast_to))
                for form, known in units.items()
            )
        )

    return let([moment, to_text(call, unit).sql], choose)


@function("trunc")
def trunc(call: FunctionCall) -> Typed:
    """trunc(date, unit) → date: the start of its year, quarter, month or week; NULL for another unit"""
    day, unit = call.take(2)
    return Typed(_truncated(call, to_date(call, day).sql, unit, _DATE_UNITS, "DATE"), DateType(), True)


@function("date_trunc")
def date_trunc(call: FunctionCall) -> Typed:
    """date_trunc(unit, timestamp) → timestamp: the start of its unit, NULL for an unknown unit"""
    unit, operand = call.take(2)
    moment = to_timestamp(call, operand)
    kind: DataType = TimestampNTZType() if isinstance(moment.type, TimestampNTZType) else TimestampType()
    name = "TIMESTAMP" if isinstance(kind, TimestampNTZType) else "TIMESTAMPTZ"
    return Typed(_truncated(call, moment.sql, unit, _TIME_UNITS, name), kind, True)
