"""Spark's types in DuckDB's words, both ways."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from pyspark.sql.types import DecimalType, LongType, NullType, StringType, TimestampType

from headwater.duck import Database
from headwater.errors import UnsupportedError
from headwater.types.duck import duck_name, from_duck, to_duck
from support.spark_types import data_types


@cache
def connection():
    return Database(threads=1).connect()


@given(data_types())
@settings(max_examples=60, deadline=None)
def test_duckdb_describes_the_column_as_the_type_it_was_made_of(data_type):
    text = connection().execute(f"DESCRIBE SELECT NULL::{to_duck(data_type).sql('duckdb')} AS a").fetchall()[0][1]
    assert duck_name(from_duck(text)) == duck_name(data_type)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HUGEINT", DecimalType(38, 0)),
        ("UINTEGER", LongType()),
        ("ENUM('a)', 'b')", StringType()),
        ("TIMESTAMP WITH TIME ZONE", TimestampType()),
        ('"NULL"', NullType()),
    ],
)
def test_types_spark_lacks_come_back_as_ones_that_hold_them(text, expected):
    assert from_duck(text) == expected


def test_a_type_without_a_spark_form_is_refused():
    with pytest.raises(UnsupportedError):
        from_duck("UNION(a INTEGER)")
