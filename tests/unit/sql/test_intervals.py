"""Interval constants."""

import pytest
from pyspark.sql.types import DayTimeIntervalType, YearMonthIntervalType

from headwater.errors import ParseError
from headwater.plan.expressions import Literal
from headwater.sql import parse_expression

DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("text", "micros", "first", "last"),
    [
        ("INTERVAL 1 DAY", DAY, 0, 0),
        ("INTERVAL 1 WEEK", 7 * DAY, 0, 0),
        ("INTERVAL 1 DAY 2 HOURS", DAY + 7_200_000_000, 0, 1),
        ("INTERVAL '1 day -2 hours'", DAY - 7_200_000_000, 0, 1),
        ("INTERVAL '1.5' SECOND", 1_500_000, 3, 3),
        ("INTERVAL 3 MILLISECONDS", 3000, 3, 3),
        ("INTERVAL '-1 02:03' DAY TO MINUTE", -(DAY + 7_380_000_000), 0, 2),
        ("INTERVAL '04:05.5' MINUTE TO SECOND", 245_500_000, 2, 3),
    ],
)
def test_day_time(text: str, micros: int, first: int, last: int) -> None:
    assert parse_expression(text) == Literal(micros, DayTimeIntervalType(first, last))


@pytest.mark.parametrize(
    ("text", "months", "first", "last"),
    [
        ("INTERVAL 2 YEARS", 24, 0, 0),
        ("INTERVAL '1-2' YEAR TO MONTH", 14, 0, 1),
        ("INTERVAL '-1-2' YEAR TO MONTH", -14, 0, 1),
        ("INTERVAL '3 months'", 3, 1, 1),
    ],
)
def test_year_month(text: str, months: int, first: int, last: int) -> None:
    assert parse_expression(text) == Literal(months, YearMonthIntervalType(first, last))


@pytest.mark.parametrize(
    "text",
    [
        "INTERVAL 'x' DAY",
        "INTERVAL 1 DAY 1 MONTH",
        "INTERVAL '1.5' DAY",
        "INTERVAL '1' DAY TO YEAR",
        "INTERVAL '1 fox'",
    ],
)
def test_what_is_no_interval(text: str) -> None:
    with pytest.raises(ParseError, match="INVALID_INTERVAL_FORMAT"):
        parse_expression(text)


def test_interval_may_be_a_column() -> None:
    assert parse_expression("interval + 1") == parse_expression("`interval` + 1")
