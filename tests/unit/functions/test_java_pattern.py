"""Java date-time patterns: DuckDB's formats where they agree, Python elsewhere, and the same result."""

from __future__ import annotations

from datetime import datetime

import pytest

from headwater.errors import IllegalArgumentError
from headwater.functions.java_pattern import format_time, parse_time, strftime, strptime

MOMENT = datetime(2024, 5, 5, 13, 4, 9, 7_000)


def test_plain_patterns_become_duckdbs() -> None:
    assert strftime("yyyy-MM-dd HH:mm:ss.SSS") == "%Y-%m-%d %H:%M:%S.%g"
    assert strptime("yyyy-MM-dd") == ("%Y-%m-%d", r"\d{4}\-\d{2}\-\d{2}")


@pytest.mark.parametrize("pattern", ["yyyy-MM-dd XXX", "yyyy[-MM]", "QQQ yyyy"])
def test_patterns_duckdb_reads_otherwise_run_on_python(pattern: str) -> None:
    assert strptime(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("d MMM yy", "5 May 24"),
        ("EEEE h:mm a", "Sunday 1:04 PM"),
        ("'Q'q yyyy", "Q2 2024"),
        ("SSSSSS XXX", "007000 +02:00"),
        ("VV O", "Europe/Prague GMT+2"),
    ],
)
def test_a_time_is_written_by_the_pattern(pattern: str, shown: str) -> None:
    assert format_time(MOMENT, 7200, "Europe/Prague", pattern) == shown


def test_a_text_with_a_zone_is_an_instant() -> None:
    assert parse_time("1970-01-01 01:00 +01:00", "yyyy-MM-dd HH:mm XXX", "UTC") == 0


def test_a_text_that_does_not_fit_is_null() -> None:
    assert parse_time("2024-3-5", "yyyy-MM-dd", "UTC") is None
    assert parse_time("2024-02-30", "yyyy-MM-dd", "UTC") is None


def test_an_unknown_letter_is_refused() -> None:
    with pytest.raises(IllegalArgumentError, match="INVALID_DATETIME_PATTERN"):
        strftime("yyyy-bb")
