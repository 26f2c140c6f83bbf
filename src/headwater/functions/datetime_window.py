"""Spark's time windows: `window`, `session_window` and `window_time`, taken apart for the relation they stand in.

A window is a column of its own beneath the relation that names it (`compile/time_windows.py`); these are its rules and
its arithmetic.

Invariants: a window is [start, end) on the grid of its slide from 1970-01-01 00:00 UTC plus the start offset; its
type is struct<start, end> of the time column's type; starts are computed in whole microseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyspark.sql.types import DataType, DateType, StringType, StructField, StructType, TimestampNTZType, TimestampType
from sqlglot import exp

from headwater.errors import AnalysisError, IllegalArgumentError, unsupported
from headwater.functions.base import MISSING, FunctionCall, Typed, function
from headwater.functions.building import add, binary, duck, multiply, struct, subtract, to_timestamp
from headwater.types.ddl import type_sql

_UNITS = {
    "week": 604_800_000_000,
    "day": 86_400_000_000,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
    "microsecond": 1,
}
_MONTHS = {"month": 1, "year": 12}
_PART = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([a-z]+?)s?(?=[\s\d+-]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class TimeWindow:
    """`window(time, size, slide, start)`, lengths in microseconds."""

    time: Typed
    size: int
    slide: int
    offset: int

    @property
    def tumbling(self) -> bool:
        """Whether every time lies in one window."""
        return self.size == self.slide

    @property
    def overlaps(self) -> int:
        """In how many windows a time lies, at most."""
        return -(-self.size // self.slide)

    @property
    def exact(self) -> bool:
        """Whether every time lies in exactly that many windows."""
        return self.size % self.slide == 0

    def struct(self, before: exp.Expression | None = None) -> exp.Expression:
        """The newest window that holds the time, or the one `before` windows earlier."""
        micros = duck("epoch_us", self.time.sql)
        gone = binary(exp.Mod, subtract(micros, self.offset) if self.offset else micros, self.slide)
        start = subtract(micros, binary(exp.Mod, add(gone, self.slide), self.slide))
        if before is not None:
            start = subtract(start, multiply(before, self.slide))
        return struct(start=_moment(start, self.time.type), end=_moment(add(start, self.size), self.time.type))


@dataclass(frozen=True)
class SessionWindow:
    """`session_window(time, gap)`: `end` is when the session ends if nothing follows; NULL or ≤ start: no session."""

    time: Typed
    end: exp.Expression

    def struct(self) -> exp.Expression:
        """The session of one row."""
        return struct(start=self.time.sql, end=self.end)


def window_type(kind: DataType | None) -> StructType:
    """The type of a window over times of a type."""
    kind = kind if isinstance(kind, TimestampNTZType) else TimestampType()
    return StructType([StructField("start", kind, True), StructField("end", kind, True)])


def is_window(kind: DataType | None) -> bool:
    """Whether the type is a window's."""
    return isinstance(kind, StructType) and kind in (window_type(TimestampType()), window_type(TimestampNTZType()))


def _moment(micros: exp.Expression, kind: DataType | None) -> exp.Expression:
    return duck("make_timestamp" if isinstance(kind, TimestampNTZType) else "make_timestamptz", micros)


# ── reading the calls ───────────────────────────────────────────────────────────────────────────────────────


def time_window(call: FunctionCall) -> TimeWindow:
    """The window of a call. Raises as Spark for lengths that make no grid."""
    operand, width, *rest = call.take(2, 4)
    size = _length(width)
    slide = _length(rest[0]) if rest else size
    offset = _length(rest[1]) if len(rest) == 2 else 0
    title = f'"window({operand.name}, {size}, {slide}, {offset})"'
    time = _time(call, operand, title)
    for name, value in (("window_duration", size), ("slide_duration", slide)):
        if value <= 0:
            raise AnalysisError(
                "DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE",
                sqlExpr=title,
                exprName=f"`{name}`",
                valueRange="(0, 9223372036854775807]",
                currentValue=f"{value}L",
            )
    if slide > size:
        raise _constraint(title, ("slide_duration", slide), "<=", ("window_duration", size))
    if abs(offset) >= slide:
        raise _constraint(title, ("abs(start_time)", abs(offset)), "<", ("slide_duration", slide))
    return TimeWindow(time, size, slide, offset)


def _constraint(title: str, left: tuple[str, int], relation: str, right: tuple[str, int]) -> AnalysisError:
    return AnalysisError(
        "DATATYPE_MISMATCH.PARAMETER_CONSTRAINT_VIOLATION",
        sqlExpr=title,
        leftExprName=f"`{left[0]}`",
        leftExprValue=f"{left[1]}L",
        constraint=relation,
        rightExprName=f"`{right[0]}`",
        rightExprValue=f"{right[1]}L",
    )


def session_window(call: FunctionCall) -> SessionWindow:
    """The session of a call; the gap is a constant text, or an expression that gives texts."""
    operand, gap = call.take(2)
    time = _time(call, operand, f'"session_window({operand.name}, {gap.name})"')
    if not isinstance(gap.type, StringType):
        shown = "NullType" if gap.type is None else _class_name(gap.type)
        raise AnalysisError("_LEGACY_ERROR_TEMP_1040", dt=shown)
    if gap.literal is MISSING:
        return SessionWindow(time, _after(time, exp.TryCast(this=gap.sql, to=exp.DataType.build("INTERVAL"))))
    months, micros = _calendar(str(gap.literal)) or (0, 0)
    length = add(duck("to_months", months), duck("to_microseconds", micros)) if months else micros
    return SessionWindow(time, _after(time, length))


def _class_name(kind: DataType) -> str:
    name = type(kind).__name__
    fields = [getattr(kind, f) for f in ("startField", "endField") if hasattr(kind, f)]
    return f"{name}({','.join(map(str, fields))})" if fields else name


def _after(time: Typed, gap: exp.Expression | int) -> exp.Expression:
    """The time plus a gap; months go by the session's calendar."""
    if isinstance(gap, int):
        return _moment(add(duck("epoch_us", time.sql), gap), time.type)
    return add(time.sql, gap)


def _time(call: FunctionCall, operand: Typed, title: str) -> Typed:
    if isinstance(operand.type, TimestampType | TimestampNTZType | DateType | StringType):
        return to_timestamp(call, operand)
    raise AnalysisError(
        "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        sqlExpr=title,
        paramIndex="first",
        requiredType='("(TIMESTAMP OR TIMESTAMP WITHOUT TIME ZONE)" or "STRUCT<start: TIMESTAMP, end: TIMESTAMP>" '
        'or "STRUCT<start: TIMESTAMP_NTZ, end: TIMESTAMP_NTZ>")',
        inputSql=f'"{operand.name}"',
        inputType=f'"{type_sql(operand.type) if operand.type else "VOID"}"',
    )


def _length(operand: Typed) -> int:
    if isinstance(operand.literal, str):
        return duration(operand.literal)
    if isinstance(operand.literal, int) and not isinstance(operand.literal, bool) and not _is_interval(operand):
        return operand.literal
    raise AnalysisError("_LEGACY_ERROR_TEMP_1207")


def _is_interval(operand: Typed) -> bool:
    return "Interval" in type(operand.type).__name__


def duration(text: str) -> int:
    """Microseconds of a text such as `5 minutes`. Raises CANNOT_PARSE_INTERVAL, _LEGACY_ERROR_TEMP_3231."""
    parts = _calendar(text)
    if parts is None:
        raise AnalysisError("CANNOT_PARSE_INTERVAL", intervalString=f"'{text}'")
    if parts[0]:
        raise IllegalArgumentError("_LEGACY_ERROR_TEMP_3231", interval=text)
    return parts[1]


def _calendar(text: str) -> tuple[int, int] | None:
    """Months and microseconds of a text such as `1 month 5 minutes`; None if it is no interval."""
    body = re.sub(r"^\s*interval\s+", "", text, flags=re.IGNORECASE).strip()
    months, micros, end = 0.0, 0.0, 0
    for part in _PART.finditer(body):
        unit = part[2].lower()
        if part.start() != end or unit not in {**_UNITS, **_MONTHS}:
            break
        months += float(part[1]) * _MONTHS.get(unit, 0)
        micros += float(part[1]) * _UNITS.get(unit, 0)
        end = part.end()
    return (int(months), int(micros)) if body and end == len(body) else None


# ── functions ───────────────────────────────────────────────────────────────────────────────────────────────


@function("window")
def window(call: FunctionCall) -> Typed:
    """window(time, duration[, slide[, start]]) → struct<start, end>: the windows that a time lies in"""
    raise _elsewhere(call)


@function("session_window")
def session_window_(call: FunctionCall) -> Typed:
    """session_window(time, gap) → struct<start, end>: times of a group that follow each other within the gap"""
    raise _elsewhere(call)


@function("window_time")
def window_time(call: FunctionCall) -> Typed:
    """window_time(window) → timestamp: the last microsecond of the window"""
    (operand,) = call.take(1)
    if not is_window(operand.type):
        raise AnalysisError(
            "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
            sqlExpr=f'"window_time({operand.name})"',
            paramIndex="first",
            requiredType='("STRUCT<start: TIMESTAMP, end: TIMESTAMP>" or '
            '"STRUCT<start: TIMESTAMP_NTZ, end: TIMESTAMP_NTZ>")',
            inputSql=f'"{operand.name}"',
            inputType=f'"{type_sql(operand.type) if operand.type else "VOID"}"',
        )
    assert isinstance(operand.type, StructType)
    kind = operand.type["end"].dataType
    micros = subtract(duck("epoch_us", duck("struct_extract", operand.sql, "end")), 1)
    return Typed(_moment(micros, kind), kind, True)


def _elsewhere(call: FunctionCall) -> Exception:
    return unsupported(
        f"{call.name}() in a relation with several inputs", "Make it a column first: df.withColumn('w', window(…))."
    )
