"""Casts to dates, timestamps, times and intervals.

Invariants: text is read by Spark's forms (`2024`, `2024-3`, `2024-3-5 …`), in the session zone where it names none.
"""

from __future__ import annotations

from pyspark.sql.types import (
    DateType,
    DayTimeIntervalType,
    LongType,
    NumericType,
    TimestampNTZType,
    TimestampType,
    TimeType,
)
from sqlglot import exp

from headwater.functions.building import case, duck, is_null, let, multiply
from headwater.functions.cast_base import INTERVALS, TEXT, Cast, trimmed
from headwater.types.duck import to_duck


def to_date(cast: Cast) -> exp.Expression | None:
    """A DATE; None if the source type cannot be one."""
    if isinstance(cast.source, TEXT):
        return let([trimmed(cast.sql)], lambda text: _text_to_date(cast, text))
    if isinstance(cast.source, TimestampType | TimestampNTZType):
        return cast.to(cast.sql)
    return None


def _text_to_date(cast: Cast, text: exp.Expression) -> exp.Expression:
    def matches(pattern: str) -> exp.Expression:
        return duck("regexp_full_match", text, pattern)

    day = duck("regexp_extract", text, r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")
    return case(
        (is_null(text), exp.Null()),
        (matches(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ T].*)?"), cast.to(day)),
        (matches(r"[0-9]{4}-[0-9]{1,2}"), cast.to(duck("concat", text, "-01"))),
        (matches(r"[0-9]{4}"), cast.to(duck("concat", text, "-01-01"))),
        otherwise=cast.malformed(text),
    )


def to_timestamp(cast: Cast) -> exp.Expression | None:
    """A TIMESTAMP or TIMESTAMP_NTZ; None if the source type cannot be one."""
    source = cast.source
    if isinstance(source, TEXT):
        return let([trimmed(cast.sql)], lambda text: _text_to_timestamp(cast, text))
    if isinstance(source, DateType):
        return cast.to(cast.to(cast.sql, TimestampNTZType()))
    if isinstance(source, TimestampNTZType | TimestampType):
        return cast.to(cast.sql)
    if isinstance(source, NumericType) and isinstance(cast.target, TimestampType):
        return duck("to_timestamp", cast.sql)
    return None


def _text_to_timestamp(cast: Cast, text: exp.Expression) -> exp.Expression:
    short = duck("regexp_full_match", text, r"[0-9]{4}(-[0-9]{1,2})?")
    padded = case((duck("contains", text, "-"), duck("concat", text, "-01")), otherwise=duck("concat", text, "-01-01"))
    minutes = duck("regexp_full_match", text, r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}[ T].*")
    day = duck("regexp_full_match", text, r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")
    return case(
        (is_null(text), exp.Null()),
        (minutes, cast.to(text)),
        (day, cast.to(cast.to(text, TimestampNTZType()))),
        (short, cast.to(cast.to(padded, TimestampNTZType()))),
        otherwise=cast.malformed(text),
    )


def to_time(cast: Cast) -> exp.Expression | None:
    """A TIME; None if the source type cannot be one."""
    if isinstance(cast.source, TEXT):
        return cast.to(trimmed(cast.sql))
    return cast.to(cast.sql) if isinstance(cast.source, TimestampNTZType | TimestampType | TimeType) else None


def to_interval(cast: Cast) -> exp.Expression | None:
    """A interval; None if the source type cannot be one."""
    if isinstance(cast.source, INTERVALS):
        return cast.sql
    if isinstance(cast.source, TEXT):
        bare = duck("regexp_replace", trimmed(cast.sql), "(?i)^interval +'?([^']*)'?.*$", r"\1")
        return cast.to(bare)
    if isinstance(cast.source, NumericType) and isinstance(cast.target, DayTimeIntervalType):
        seconds = (86400, 3600, 60, 1)[cast.target.endField]
        return duck("to_microseconds", exp.Cast(this=multiply(cast.sql, seconds * 1_000_000), to=to_duck(LongType())))
    return None
