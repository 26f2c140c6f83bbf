"""Unique names for columns that repeat."""

from __future__ import annotations

from pyspark.sql.types import LongType, StructField, StructType

from headwater.streaming.naming import unique_names


def test_names_are_kept_where_they_differ_and_numbered_where_not() -> None:
    schema = StructType([StructField(name, LongType()) for name in ("a", "A", "b", "", "a_1")])

    assert unique_names(schema) == ("a", "A_1", "b", "_1", "a_1_1")
