"""Spark's `sequence`: numbers, dates and timestamps from start to stop, both included.

Invariants: the step must lead from start to stop, otherwise it is an error; months clamp to the month's last day
counted from the start.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from pyspark.sql.types import (
    ArrayType,
    DateType,
    IntegralType,
    TimestampNTZType,
    TimestampType,
)
from sqlglot import exp

from headwater.errors import AnalysisError, IllegalArgumentError
from headwater.functions.base import FunctionCall, Typed
from headwater.functions.building import add, case, cast, duck, is_null, let, multiply, names, titled
from headwater.functions.conditional import unified
from headwater.functions.kernels import kernel
from headwater.types.ddl import type_sql
from headwater.types.duck import duck_name


def _boundaries(start: object, stop: object, step: object) -> IllegalArgumentError:
    return IllegalArgumentError("_LEGACY_ERROR_TEMP_3243", start=start, stop=stop, step=step)


@kernel(["BIGINT", "BIGINT", "BIGINT"], "BIGINT[]", nulls=True)
def number_sequence(start: int | None, stop: int | None, step: int | None) -> list[int] | None:
    """The numbers. A NULL step counts towards stop by 1."""
    if start is None or stop is None:
        return None
    if step is None:
        step = 1 if start <= stop else -1
    if (step == 0 and start != stop) or (step > 0 and start > stop) or (step < 0 and start < stop):
        raise _boundaries(start, stop, step)
    return [start] if step == 0 else list(range(start, stop + (1 if step > 0 else -1), step))


@kernel(["TIMESTAMP", "TIMESTAMP", "INTEGER", "INTEGER", "BIGINT"], "TIMESTAMP[]")
def time_sequence(start: dt.datetime, stop: dt.datetime, months: int, days: int, micros: int) -> list[dt.datetime]:
    """The local times from start to stop by months, days and microseconds."""
    second = _later(start, months, days, micros, 1)
    if second == start and start != stop:
        raise _boundaries(start, stop, 0)
    forward = second >= start
    if start != stop and forward != (stop > start):
        raise _boundaries(start, stop, "the step")
    return list(_between(start, stop, (months, days, micros), forward))


def _between(start: dt.datetime, stop: dt.datetime, step: tuple[int, int, int], forward: bool) -> Iterator[dt.datetime]:
    turn = 0
    while True:
        at = _later(start, *step, turn)
        if (at > stop) if forward else (at < stop):
            return
        yield at
        if at == stop:
            return
        turn += 1


def _later(start: dt.datetime, months: int, days: int, micros: int, times: int) -> dt.datetime:
    total = start.year * 12 + start.month - 1 + months * times
    year, month = divmod(total, 12)
    first_next = dt.date(year + month // 11, (month + 1) % 12 + 1, 1)
    day = min(start.day, (first_next - dt.timedelta(days=1)).day)
    return start.replace(year=year, month=month + 1, day=day) + dt.timedelta(
        days=days * times, microseconds=micros * times
    )


def build_sequence(call: FunctionCall) -> Typed:
    """Compile `sequence(start, stop[, step])`."""
    start, stop, *rest = call.take(2, 3)
    (first, last), kind = unified(call, [start, stop])
    nullable = any(operand.nullable for operand in call.operands)
    name = titled(call, *names(call.operands))
    if isinstance(kind, IntegralType):
        bounds = [cast(item.sql, "BIGINT") for item in (first, last)]
        numbers = duck("hw_number_sequence", *bounds, cast(rest[0].sql if rest else None, "BIGINT"))
        if rest:
            numbers = case((is_null(rest[0].sql), None), otherwise=numbers)
        return Typed(cast(numbers, f"{duck_name(kind)}[]"), ArrayType(kind, False), nullable, name=name)
    if isinstance(kind, DateType | TimestampType | TimestampNTZType):
        sql = cast(_times(first.sql, last.sql, rest), f"{duck_name(kind)}[]")
        return Typed(sql, ArrayType(kind, False), nullable, name=name)
    raise AnalysisError(
        "DATATYPE_MISMATCH.SEQUENCE_WRONG_INPUT_TYPES",
        sqlExpr=f'"{name}"',
        functionName="`sequence`",
        startType='("TIMESTAMP" or "TIMESTAMP_NTZ" or "DATE")',
        stepType='("INTERVAL" or "INTERVAL YEAR TO MONTH" or "INTERVAL DAY TO SECOND")',
        otherStartType=f'"{type_sql(kind)}"' if kind else "unknown",
    )


def _times(first: exp.Expression, last: exp.Expression, rest: list[Typed]) -> exp.Expression:
    local = [cast(item, "TIMESTAMP") for item in (first, last)]
    if not rest:
        sign = case((exp.LTE(this=local[0].copy(), expression=local[1].copy()), 1), otherwise=-1)
        return duck("hw_time_sequence", *local, 0, cast(sign, "INTEGER"), cast(0, "BIGINT"))

    def walk(step: exp.Expression) -> exp.Expression:
        def part(name: str) -> exp.Expression:
            return cast(duck("date_part", name, step), "BIGINT")

        months = add(multiply(part("year"), 12), part("month"))
        clock = add(
            add(multiply(part("hour"), 3_600_000_000), multiply(part("minute"), 60_000_000)), part("microsecond")
        )
        return duck("hw_time_sequence", *local, cast(months, "INTEGER"), cast(part("day"), "INTEGER"), clock)

    return let([rest[0].sql], walk)
