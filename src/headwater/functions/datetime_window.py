"""Spark's time windows: `window(time, duration)` and the time a window stands for.

Invariants: a window is [start, end) on the grid of its duration from 1970-01-01 00:00 UTC plus the start offset; its
type is struct<start, end> of the time column's type.
"""

from __future__ import annotations

import re

from pyspark.sql.types import DataType, DayTimeIntervalType, StructField, StructType, TimestampNTZType, TimestampType
from sqlglot import exp

from headwater.errors import AnalysisError, unsupported
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    Value,
    add,
    binary,
    duck,
    let,
    struct,
    subtract,
    titled,
    to_timestamp,
)

_UNITS = {
    "week": 604_800_000_000,
    "day": 86_400_000_000,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
    "microsecond": 1,
}
_PART = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([a-z]+?)s?(?=[\s\d+-]|$)", re.IGNORECASE)


def duration(text: str) -> int:
    """Microseconds of a text such as `5 minutes` or `interval 1 hour 30 minutes`. Raises CANNOT_PARSE_INTERVAL."""
    body = re.sub(r"^\s*interval\s+", "", text, flags=re.IGNORECASE).strip()
    total, end = 0.0, 0
    for part in _PART.finditer(body):
        unit = _UNITS.get(part[2].lower())
        if part.start() != end or unit is None:
            break
        total, end = total + float(part[1]) * unit, part.end()
    if not body or end != len(body):
        raise AnalysisError("CANNOT_PARSE_INTERVAL", intervalString=f"'{text}'")
    return int(total)


def _micros(operand: Typed) -> int:
    if isinstance(operand.type, DayTimeIntervalType) and isinstance(operand.literal, int):
        return operand.literal
    if isinstance(operand.literal, str):
        return duration(operand.literal)
    raise AnalysisError("CANNOT_PARSE_INTERVAL", intervalString=f"'{operand.name}'")


def window_type(kind: DataType) -> StructType:
    """The type of a window over times of a type."""
    return StructType([StructField("start", kind, True), StructField("end", kind, True)])


def tumbling(moment: Typed, size: int, offset: int) -> exp.Expression:
    """The window struct of a time; its ends are NULL for NULL."""
    make = "make_timestamp" if isinstance(moment.type, TimestampNTZType) else "make_timestamptz"

    def build(at: exp.Expression) -> exp.Expression:
        gone = binary(exp.Mod, subtract(at, offset), size)
        past = binary(exp.Mod, add(gone, size), size)
        bounds = lambda start: struct(start=duck(make, start), end=duck(make, add(start, size)))  # noqa: E731
        return let([subtract(at, past)], bounds)

    return let([duck("epoch_us", moment.sql)], build)


@function("window")
def window(call: FunctionCall) -> Typed:
    """window(time, duration[, slide[, start]]) → struct<start, end>: the tumbling window of a time"""
    operand, width, *rest = call.take(2, 4)
    size = _micros(width)
    slide = _micros(rest[0]) if rest else size
    offset = _micros(rest[1]) if len(rest) == 2 else 0
    if slide != size:
        raise unsupported("a sliding window here", "Group by window(…) in an aggregation, or use a tumbling window.")
    if size <= 0 or abs(offset) >= size:
        raise AnalysisError(
            "DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE",
            sqlExpr=f'"{titled(call, operand.name, width.name)}"',
            exprName="window_duration" if size <= 0 else "abs(start_time)",
            valueRange="(0, 9223372036854775807]" if size <= 0 else "(0, slide_duration)",
            currentValue=f"{size}L" if size <= 0 else f"{abs(offset)}L",
        )
    moment = to_timestamp(call, operand)
    kind = moment.type if isinstance(moment.type, TimestampNTZType) else TimestampType()
    return Typed(tumbling(moment, size, offset), window_type(kind), False, name="window")


@function("window_time")
def window_time(call: FunctionCall) -> Typed:
    """window_time(window) → timestamp: the last microsecond of the window"""
    (operand,) = call.take(1)
    if not isinstance(operand.type, StructType) or operand.type.fieldNames() != ["start", "end"]:
        raise AnalysisError(
            "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
            sqlExpr=f'"window_time({operand.name})"',
            paramIndex="first",
            requiredType='"WINDOW"',
            inputSql=f'"{operand.name}"',
            inputType=f'"{operand.type.simpleString().upper() if operand.type else "VOID"}"',
        )
    last: Value = duck("to_microseconds", 1)
    kind = operand.type["end"].dataType
    return Typed(subtract(duck("struct_extract", operand.sql, "end"), last), kind, True)
