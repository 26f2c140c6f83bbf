"""Spark's conditional functions: the first value that fits.

Invariants: branches are brought to one type; a branch not taken is not evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql.types import BooleanType, DataType, DoubleType, FloatType, NullType
from sqlglot import exp

from headwater.errors import AnalysisError
from headwater.functions.base import FunctionCall, Typed, function, functions
from headwater.functions.building import (
    Value,
    binary,
    case,
    cast,
    duck,
    equal,
    is_null,
    let,
    names,
    titled,
    to_type,
    value,
)
from headwater.functions.widening import common_type
from headwater.types.ddl import type_sql


def unified(call: FunctionCall, operands: Sequence[Typed]) -> tuple[list[Typed], DataType | None]:
    """The operands in one type; None if DuckDB's binder must say. Raises DATATYPE_MISMATCH.DATA_DIFF_TYPES."""
    types = [operand.type for operand in operands]
    if any(kind is None for kind in types):
        return list(operands), None
    kinds = [kind for kind in types if kind is not None]
    common = common_type(kinds)
    if common is None:
        shown = ", ".join(f'"{type_sql(kind)}"' for kind in kinds)
        raise AnalysisError(
            "DATATYPE_MISMATCH.DATA_DIFF_TYPES",
            sqlExpr=f'"{titled(call, *names(operands))}"',
            functionName=f"`{call.name}`",
            dataType=f"({' or '.join(shown.split(', '))})",
        )
    return [_to(call, operand, common) for operand in operands], common


def _to(call: FunctionCall, operand: Typed, common: DataType) -> Typed:
    if operand.type == common or isinstance(common, NullType):
        return operand
    if isinstance(operand.type, NullType):
        from headwater.types.duck import duck_name

        return replace(operand, sql=cast(None, duck_name(common)), type=common)
    from headwater.functions.conversion import cast_typed

    return replace(cast_typed(operand, common, call), name=operand.name)


@function("coalesce")
def coalesce(call: FunctionCall) -> Typed:
    """coalesce(value, …) → the first that is not NULL"""
    values, kind = unified(call, call.take(1, 10_000))
    nullable = all(operand.nullable for operand in call.operands)
    return Typed(duck("coalesce", *(item.sql for item in values)), kind, nullable)


@function("nvl", "ifnull")
def nvl(call: FunctionCall) -> Typed:
    """nvl(a, b) → a, or b where a is NULL"""
    call.take(2)
    return coalesce(call)


@function("nvl2")
def nvl2(call: FunctionCall) -> Typed:
    """nvl2(a, b, c) → b where a is not NULL, else c"""
    test, *branches = call.take(3)
    values, kind = unified(call, branches)
    sql = case((is_null(test.sql), values[1].sql), otherwise=values[0].sql)
    return Typed(sql, kind, any(branch.nullable for branch in branches))


@function("if", "iff")
def if_(call: FunctionCall) -> Typed:
    """if(condition, a, b) → a where the condition is true, else b"""
    condition, *branches = call.take(3)
    values, kind = unified(call, branches)
    test = to_type(call, condition, BooleanType()).sql
    name = f"(IF({', '.join(names(call.operands))}))"
    sql = case((test, values[0].sql), otherwise=values[1].sql)
    return Typed(sql, kind, any(branch.nullable for branch in branches), name=name)


@function("nullif")
def nullif(call: FunctionCall) -> Typed:
    """nullif(a, b) → NULL where they are equal, else a"""
    first, _ = call.take(2)
    (left, right), _ = unified(call, call.operands)
    if first.type is None or isinstance(first.type, NullType):
        return Typed(cast(None, "INTEGER"), NullType(), True)
    sql = let(
        [first.sql], lambda one: case((equal(one if left is first else left.sql, right.sql), None), otherwise=one)
    )
    return Typed(sql, first.type, True)


@function("nullifzero")
def nullifzero(call: FunctionCall) -> Typed:
    """nullifzero(number) → NULL for 0"""
    (number,) = call.take(1)
    return Typed(duck("nullif", number.sql, 0), number.type, True)


@function("zeroifnull")
def zeroifnull(call: FunctionCall) -> Typed:
    """zeroifnull(number) → 0 for NULL"""
    (number,) = call.take(1)
    if isinstance(number.type, NullType):
        from pyspark.sql.types import IntegerType

        return Typed(value(0), IntegerType(), False)
    return Typed(duck("coalesce", number.sql, 0), number.type, False)


def _extreme(call: FunctionCall, duck_name: str) -> Typed:
    values, kind = unified(call, call.take(2, 10_000))
    sqls = [item.sql for item in values]
    nullable = all(operand.nullable for operand in call.operands)
    if duck_name == "least" and isinstance(kind, DoubleType | FloatType):
        return Typed(duck("list_min", exp.Array(expressions=[sql.copy() for sql in sqls])), kind, nullable)
    return Typed(duck(duck_name, *sqls), kind, nullable)


@function("greatest")
def greatest(call: FunctionCall) -> Typed:
    """greatest(value, …) → the largest, NULLs skipped"""
    return _extreme(call, "greatest")


@function("least")
def least(call: FunctionCall) -> Typed:
    """least(value, …) → the smallest, NULLs skipped"""
    return _extreme(call, "least")


def matched(call: FunctionCall) -> Typed:
    """decode(value, search, result, …[, default]): NULL finds NULL."""
    subject, *rest = call.take(3, 10_000)
    pairs = [(rest[i], rest[i + 1]) for i in range(0, len(rest) - 1, 2)]
    default = rest[-1] if len(rest) % 2 else None
    results = [result for _, result in pairs] + ([default] if default else [])
    values, kind = unified(call, results)

    def choose(found: exp.Expression) -> exp.Expression:
        tests: list[tuple[Value, Value]] = []
        for (search, _), result in zip(pairs, values, strict=False):
            (left, right), _ = unified(call, [replace(subject, sql=found), search])
            tests.append((binary(exp.NullSafeEQ, left.sql, right.sql), result.sql))
        return case(*tests, otherwise=values[-1].sql if default else None)

    return Typed(let([subject.sql], choose), kind, True)


@function("equal_null")
def equal_null(call: FunctionCall) -> Typed:
    """equal_null(a, b) → boolean: equal, or both NULL"""
    call.take(2)
    entry = functions.get("<=>")
    assert entry is not None
    return replace(entry.build(replace(call, name="<=>")), name=titled(call, *names(call.operands)))
