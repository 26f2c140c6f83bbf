"""Rows that can be counted and compared, whatever their types.

Invariant: two rows that Spark shows as equal are equal here; NaN equals NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def plain_rows(tables: Sequence[Any], schema: Any) -> list[tuple[Any, ...]]:
    """The rows of Arrow tables, as `collect()` would give them."""
    from pyspark.sql.conversion import ArrowTableToRowsConversion

    return [plain(row) for table in tables for row in ArrowTableToRowsConversion.convert(table, schema)]


def plain(row: Any) -> tuple[Any, ...]:
    """A row as a tuple of hashable values; a plain value is a row of one column."""
    if isinstance(row, dict):
        return tuple(_frozen(value) for value in row.values())
    if isinstance(row, tuple | list):
        return tuple(_frozen(value) for value in row)
    return (_frozen(row),)


def _frozen(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_frozen(each) for each in value)
    if isinstance(value, dict):
        return frozenset((_frozen(key), _frozen(each)) for key, each in value.items())
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return value
