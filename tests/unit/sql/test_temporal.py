"""Typed constants of dates and times."""

import pytest
from pyspark.sql.types import DateType, StringType, TimestampNTZType, TimestampType, TimeType

from headwater.errors import ParseError
from headwater.plan.expressions import Call, Cast, Literal
from headwater.sql.temporal import typed_literal

HOUR = 3_600_000_000


@pytest.mark.parametrize(
    ("text", "days"), [("1970-01-02", 1), ("1970", 0), ("1970-2", 31), ("1970-01-02T11", 1), ("epoch", 0)]
)
def test_dates(text: str, days: int) -> None:
    assert typed_literal("date", text) == Literal(days, DateType())


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01 01:00:00Z", HOUR),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01 00:00:00.000001 UTC", 1),
        ("1970-01-01 00:00:00-01:30", HOUR * 3 // 2),
    ],
)
def test_a_timestamp_with_a_zone_is_a_constant(text: str, micros: int) -> None:
    assert typed_literal("TIMESTAMP", text) == Literal(micros, TimestampType())


@pytest.mark.parametrize("text", ["2020-01-01 00:00:00", "2020-01-01 00:00:00 America/New_York", "2020-01-01"])
def test_a_timestamp_without_one_is_left_to_the_session(text: str) -> None:
    assert typed_literal("TIMESTAMP", text) == Cast(Literal(text, StringType()), TimestampType(), "ansi")


def test_others() -> None:
    assert typed_literal("TIMESTAMP_NTZ", "1970-01-01 01:00:00") == Literal(HOUR, TimestampNTZType())
    assert typed_literal("TIME", "01:00:00") == Literal(HOUR * 1000, TimeType(6))
    assert typed_literal("DATE", "today") == Call("current_date")
    assert typed_literal("TIMESTAMP", "now") == Call("current_timestamp")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("DATE", "x"),
        ("DATE", "2020-13-01"),
        ("TIMESTAMP", "2020-01-01 25:00"),
        ("TIMESTAMP", "2020-01-01 1:1 nowhere"),
        ("TIME", "x"),
    ],
)
def test_what_is_no_date_is_an_error(kind: str, text: str) -> None:
    with pytest.raises(ParseError, match="INVALID_TYPED_LITERAL"):
        typed_literal(kind, text)
