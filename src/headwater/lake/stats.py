"""Delta's per-file statistics, made from what DuckDB reports about the Parquet file it has just written.

Invariants: a bound is written only if it is true for every row (text is cut so that it stays a bound, times are
rounded outwards to milliseconds, a column holding NaN has none); counts are exact.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pyspark.sql.types import (
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

Columns = Mapping[str, Mapping[str, str]]
"""DuckDB's report: quoted dotted column path → `min`, `max`, `null_count`, `num_values`, `has_nan`."""

_TEXT_PREFIX = 32
# `json` cannot write a Decimal with all its digits, so it goes through as marked text.
_NUMBER = "\x00#"
_MARKED_NUMBER = re.compile(r'"\\u0000#([^"]*)"')
_LAST_CODE_POINT = chr(0x10FFFF)


def file_stats(rows: int, columns: Columns, schema: StructType, indexed: int = 32) -> str:
    """The `stats` text of an `add`: bounds and null counts of the first `indexed` leaf columns; -1 means all."""
    leaves = list(_leaves(schema.fields, (), ()))
    lows: dict[str, Any] = {}
    highs: dict[str, Any] = {}
    nulls: dict[str, Any] = {}
    for path, kind, parents in leaves if indexed < 0 else leaves[:indexed]:
        report = columns.get(".".join(_quoted(name) for name in path))
        if report is None:
            continue
        if "null_count" in report and not parents:
            _put(nulls, path, int(report["null_count"]))
        _put(lows, path, _low(report, kind))
        _put(highs, path, _high(report, kind))
    stats = {"numRecords": rows, "minValues": lows, "maxValues": highs, "nullCount": nulls}
    text = json.dumps(stats, separators=(",", ":"), ensure_ascii=False)
    return _MARKED_NUMBER.sub(r"\1", text)


def _leaves(
    fields: list[StructField], path: tuple[str, ...], parents: tuple[StructType, ...]
) -> Iterator[tuple[tuple[str, ...], DataType, tuple[StructType, ...]]]:
    for field in fields:
        here = (*path, field.name)
        if isinstance(field.dataType, StructType):
            yield from _leaves(field.dataType.fields, here, (*parents, field.dataType))
        else:
            yield here, field.dataType, parents


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _put(target: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    if value is None:
        return
    for name in path[:-1]:
        target = target.setdefault(name, {})
    target[path[-1]] = value


def _low(report: Mapping[str, str], kind: DataType) -> Any:
    text = report.get("min")
    if text is None or report.get("has_nan") == "true":
        return None
    if isinstance(kind, StringType):
        return text[:_TEXT_PREFIX]
    if isinstance(kind, TimestampType | TimestampNTZType):
        return _instant(text, kind, up=False)
    return _number_or_date(text, kind)


def _high(report: Mapping[str, str], kind: DataType) -> Any:
    text = report.get("max")
    if text is None or report.get("has_nan") == "true":
        return None
    if isinstance(kind, StringType):
        return text if len(text) <= _TEXT_PREFIX else text[:_TEXT_PREFIX] + _LAST_CODE_POINT
    if isinstance(kind, TimestampType | TimestampNTZType):
        return _instant(text, kind, up=True)
    return _number_or_date(text, kind)


def _number_or_date(text: str, kind: DataType) -> Any:
    if isinstance(kind, ByteType | ShortType | IntegerType | LongType):
        return int(text)
    if isinstance(kind, FloatType | DoubleType):
        value = float(text)
        return value if abs(value) != float("inf") else None
    if isinstance(kind, DecimalType):
        return _NUMBER + str(Decimal(text))
    if isinstance(kind, DateType) and len(text) == len("2024-01-01"):
        return text
    return None


def _instant(text: str, kind: DataType, *, up: bool) -> str | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if isinstance(kind, TimestampType):
        moment = moment.astimezone(UTC)
    cut = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if up and cut != moment:
        cut += timedelta(milliseconds=1)
    written = cut.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return written + "Z" if isinstance(kind, TimestampType) else written
