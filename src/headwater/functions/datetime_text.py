"""Spark's functions between texts, numbers and times: to_date, to_timestamp, date_format, unix times, time zones.

Invariants: patterns are Java's; a text that does not fit is an error under ANSI, NULL otherwise and in `try_` forms.
"""

from __future__ import annotations

import re
from dataclasses import replace

from pyspark.sql.types import (
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    IntegralType,
    LongType,
    StringType,
    TimestampNTZType,
    TimestampType,
)
from sqlglot import exp

from headwater.errors import DateTimeError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    Value,
    add,
    binary,
    both,
    case,
    cast,
    done,
    duck,
    is_null,
    let,
    multiply,
    names,
    negate,
    subtract,
    text_literal,
    titled,
    to_int,
    to_long,
    to_text,
    to_timestamp,
    to_type,
)
from headwater.functions.java_pattern import strftime, strptime
from headwater.functions.raising import fail

_DEFAULT = "yyyy-MM-dd HH:mm:ss"


def parsed_micros(call: FunctionCall, text: exp.Expression, pattern: Typed, zone: str) -> exp.Expression:
    """Microseconds since the epoch of a text by a Java pattern, NULL if it does not fit; zone "": local time."""
    form = strptime(pattern.literal) if isinstance(pattern.literal, str) else None
    if form is None:
        return duck("hw_parse_time", text, to_text(call, pattern).sql, zone)
    shape = form[1]

    def read(body: exp.Expression) -> exp.Expression:
        local = exp.Anonymous(this="try_strptime", expressions=[body.copy(), exp.Literal.string(form[0])])
        moment = duck("epoch_us", cast(local, "TIMESTAMPTZ") if zone else local)
        return case((duck("regexp_full_match", body, shape), moment))

    return let([text], read)


def _from_micros(micros: Value, kind: DataType) -> exp.Expression:
    if isinstance(kind, DateType):
        return cast(duck("make_timestamp", micros), "DATE")
    return duck("make_timestamp" if isinstance(kind, TimestampNTZType) else "make_timestamptz", micros)


def read_text(call: FunctionCall, kind: DataType, *, strict: bool) -> exp.Expression:
    """The first operand, a text, read by the second, a pattern. Raises CANNOT_PARSE_TIMESTAMP when strict."""
    text, pattern = call.operands[0], call.operands[1]
    zone = call.time_zone if isinstance(kind, TimestampType) else ""

    def check(body: exp.Expression) -> exp.Expression:
        micros = parsed_micros(call, body, pattern, zone)
        if not strict:
            return _from_micros(micros, kind)
        bad = fail(DateTimeError, "CANNOT_PARSE_TIMESTAMP", func="`try_to_timestamp`", message=_complaint(body))
        given = both(negate(is_null(body)), negate(is_null(to_text(call, pattern).sql)))
        return _from_micros(
            let([micros], lambda found: case((both(is_null(found), given), bad), otherwise=found)), kind
        )

    return let([to_text(call, text).sql], check)


def _complaint(body: exp.Expression) -> exp.Expression:
    return exp.DPipe(
        this=exp.DPipe(this=exp.Literal.string("Text '"), expression=body.copy()),
        expression=exp.Literal.string("' could not be parsed"),
    )


def _is_time(operand: Typed) -> bool:
    return isinstance(operand.type, DateType | TimestampType | TimestampNTZType)


def _read(call: FunctionCall, kind: DataType, *, trying: bool) -> Typed:
    operands = call.take(1, 2)
    name = titled(call, *names(operands))
    if len(operands) == 1 or _is_time(operands[0]):
        quiet = replace(call, ansi=False) if trying else call
        result = to_type(quiet, operands[0], kind)
        sql = result.sql
        if trying and isinstance(operands[0].type, StringType):
            sql = exp.Anonymous(this="TRY", expressions=[sql])
        return Typed(sql, kind, result.nullable or trying, name=name)
    strict = call.ansi and not trying
    sql = read_text(call, kind, strict=strict)
    return Typed(sql, kind, not strict or any(operand.nullable for operand in operands), name=name)


@function("to_date")
def to_date(call: FunctionCall) -> Typed:
    """to_date(string | timestamp[, pattern]) → date"""
    return _read(call, DateType(), trying=False)


@function("try_to_date")
def try_to_date(call: FunctionCall) -> Typed:
    """try_to_date(string[, pattern]) → date, NULL if it does not fit"""
    return _read(call, DateType(), trying=True)


@function("to_timestamp", "to_timestamp_ltz")
def to_timestamp_(call: FunctionCall) -> Typed:
    """to_timestamp(string | date[, pattern]) → timestamp"""
    operands = call.take(1, 2)
    if isinstance(operands[0].type, IntegralType | DecimalType | DoubleType | FloatType) and len(operands) == 1:
        return timestamp_seconds(call)
    return _read(call, TimestampType(), trying=False)


@function("to_timestamp_ntz")
def to_timestamp_ntz(call: FunctionCall) -> Typed:
    """to_timestamp_ntz(string | date[, pattern]) → timestamp_ntz"""
    return _read(call, TimestampNTZType(), trying=False)


@function("try_to_timestamp")
def try_to_timestamp(call: FunctionCall) -> Typed:
    """try_to_timestamp(string[, pattern]) → timestamp, NULL if it does not fit"""
    return _read(call, TimestampType(), trying=True)


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────


def written(call: FunctionCall, moment: Typed, pattern: Typed) -> exp.Expression:
    """A timestamp written by a Java pattern in the session time zone."""
    form = strftime(pattern.literal) if isinstance(pattern.literal, str) else None
    local = cast(moment.sql, "TIMESTAMP")
    if form is not None:
        return exp.Anonymous(this="strftime", expressions=[local, exp.Literal.string(form)])
    if isinstance(moment.type, TimestampNTZType):
        return duck("hw_format_time", local, cast(0, "BIGINT"), "UTC", to_text(call, pattern).sql)

    def with_offset(instant: exp.Expression) -> exp.Expression:
        wall = cast(instant, "TIMESTAMP")
        offset = exp.IntDiv(
            this=subtract(duck("epoch_us", wall), duck("epoch_us", instant)), expression=exp.convert(1_000_000)
        )
        return duck("hw_format_time", wall, cast(offset, "BIGINT"), call.time_zone, to_text(call, pattern).sql)

    return let([moment.sql], with_offset)


@function("date_format")
def date_format(call: FunctionCall) -> Typed:
    """date_format(timestamp, pattern) → string"""
    operand, pattern = call.take(2)
    moment = to_timestamp(call, operand)
    return Typed(written(call, moment, pattern), StringType(), moment.nullable or pattern.nullable)


@function("from_unixtime")
def from_unixtime(call: FunctionCall) -> Typed:
    """from_unixtime(seconds[, pattern]) → string in the session time zone"""
    seconds, *rest = call.take(1, 2)
    pattern = rest[0] if rest else text_literal(_DEFAULT)
    moment = Typed(duck("make_timestamptz", multiply(to_long(call, seconds).sql, 1_000_000)), TimestampType(), True)
    return Typed(written(call, moment, pattern), StringType(), True, name=titled(call, seconds.name, pattern.name))


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────


def whole_units(micros: exp.Expression, unit: int) -> exp.Expression:
    """Microseconds in whole units, rounded downwards."""

    def divide(number: exp.Expression) -> exp.Expression:
        rest = binary(exp.Mod, add(binary(exp.Mod, number, unit), unit), unit)
        return binary(exp.IntDiv, subtract(number, rest), unit)

    return let([micros], divide)


@function("unix_timestamp", "to_unix_timestamp")
def unix_timestamp(call: FunctionCall) -> Typed:
    """unix_timestamp([string | timestamp[, pattern]]) → long seconds since the epoch"""
    operands = call.take(0, 2)
    if not operands:
        sql = whole_units(duck("epoch_us", call.now), 1_000_000)
        return Typed(sql, LongType(), False, name="unix_timestamp(current_timestamp(), yyyy-MM-dd HH:mm:ss)")
    pattern = operands[1] if len(operands) == 2 else text_literal(_DEFAULT)
    name = titled(call, operands[0].name, pattern.name)
    if _is_time(operands[0]):
        moment = to_timestamp(call, operands[0])
        instant = cast(moment.sql, "TIMESTAMPTZ")
        return Typed(whole_units(duck("epoch_us", instant), 1_000_000), LongType(), moment.nullable, name=name)
    filled = replace(call, operands=(operands[0], pattern))
    moment_sql = read_text(filled, TimestampType(), strict=call.ansi)
    nullable = not call.ansi or any(operand.nullable for operand in operands)
    return Typed(whole_units(duck("epoch_us", moment_sql), 1_000_000), LongType(), nullable, name=name)


@function("timestamp_seconds")
def timestamp_seconds(call: FunctionCall) -> Typed:
    """timestamp_seconds(number) → timestamp"""
    (seconds,) = call.take(1)
    if isinstance(seconds.type, FloatType | DoubleType):
        micros = duck("hw_whole", multiply(cast(seconds.sql, "DOUBLE"), cast(1_000_000, "DOUBLE")))
        return Typed(duck("make_timestamptz", micros), TimestampType(), True, name=titled(call, seconds.name))
    if isinstance(seconds.type, DecimalType):
        micros = cast(multiply(cast(seconds.sql, "DECIMAL(30,6)"), 1_000_000), "BIGINT")
    else:
        micros = multiply(to_long(call, seconds).sql, 1_000_000)
    return done(duck("make_timestamptz", micros), TimestampType(), call)


def _from_number(name: str, factor: int) -> None:
    def build(call: FunctionCall) -> Typed:
        (number,) = call.take(1)
        micros = multiply(to_long(call, number).sql, factor)
        return done(duck("make_timestamptz", micros), TimestampType(), call)

    build.__doc__ = f"{name}(long) → timestamp"
    build.__qualname__ = f"from_number_{name}"
    function(name)(build)


def _to_number(name: str, unit: int) -> None:
    def build(call: FunctionCall) -> Typed:
        moment = to_timestamp(call, call.take(1)[0])
        micros = duck("epoch_us", cast(moment.sql, "TIMESTAMPTZ"))
        return Typed(micros if unit == 1 else whole_units(micros, unit), LongType(), moment.nullable)

    build.__doc__ = f"{name}(timestamp) → long since the epoch"
    build.__qualname__ = f"to_number_{name}"
    function(name)(build)


_from_number("timestamp_millis", 1000)
_from_number("timestamp_micros", 1)
_to_number("unix_seconds", 1_000_000)
_to_number("unix_millis", 1000)
_to_number("unix_micros", 1)


@function("unix_date")
def unix_date(call: FunctionCall) -> Typed:
    """unix_date(date) → int days since the epoch"""
    day = to_type(call, call.take(1)[0], DateType())
    return Typed(cast(subtract(day.sql, cast("1970-01-01", "DATE")), "INTEGER"), IntegerType(), day.nullable)


@function("date_from_unix_date")
def date_from_unix_date(call: FunctionCall) -> Typed:
    """date_from_unix_date(int days) → date"""
    (days,) = call.take(1)
    sql = exp.Add(this=cast("1970-01-01", "DATE"), expression=to_int(call, days).sql)
    return done(cast(exp.Paren(this=sql), "DATE"), DateType(), call)


# ── time zones ──────────────────────────────────────────────────────────────────────────────────────────────


@function("from_utc_timestamp")
def from_utc_timestamp(call: FunctionCall) -> Typed:
    """from_utc_timestamp(timestamp, zone) → timestamp shifted as if it were UTC shown in the zone"""
    operand, zone = call.take(2)
    moment = to_timestamp(call, operand)
    sql = duck(
        "make_timestamptz", duck("epoch_us", duck("timezone", _zone(call, zone), cast(moment.sql, "TIMESTAMPTZ")))
    )
    return Typed(sql, TimestampType(), moment.nullable or zone.nullable)


@function("to_utc_timestamp")
def to_utc_timestamp(call: FunctionCall) -> Typed:
    """to_utc_timestamp(timestamp, zone) → timestamp shifted as if it were the zone's time shown in UTC"""
    operand, zone = call.take(2)
    moment = to_timestamp(call, operand)
    local = duck("make_timestamp", duck("epoch_us", cast(moment.sql, "TIMESTAMPTZ")))
    return Typed(duck("timezone", _zone(call, zone), local), TimestampType(), moment.nullable or zone.nullable)


@function("convert_timezone")
def convert_timezone(call: FunctionCall) -> Typed:
    """convert_timezone([source,] target, timestamp_ntz) → timestamp_ntz: the same instant in another zone"""
    *zones, moment = call.take(2, 3)
    source = zones[0] if len(zones) == 2 else text_literal(call.time_zone, "current_timezone()")
    target = zones[-1]
    local = cast(to_type(call, moment, TimestampNTZType()).sql, "TIMESTAMP")
    sql = duck("timezone", _zone(call, target), duck("timezone", _zone(call, source), local))
    return done(sql, TimestampNTZType(), call, name=titled(call, source.name, target.name, moment.name))


def _zone(call: FunctionCall, zone: Typed) -> exp.Expression:
    """The zone as ICU names it; ids like `+08:00` become `Etc/GMT` zones or are kept."""
    if isinstance(zone.literal, str):
        return exp.Literal.string(icu_zone(zone.literal))
    return to_text(call, zone).sql


def icu_zone(name: str) -> str:
    """ICU's name of a Java zone id."""
    found = re.fullmatch(r"(?:UTC|GMT|UT)?([+-])0?(\d{1,2})(?::?00)?", name)
    if found:
        return f"Etc/GMT{'-' if found[1] == '+' else '+'}{found[2]}"
    return "UTC" if name == "Z" else name
