"""Spark's basic aggregates: count, sum, avg, min, max, first, last, collections.

Invariants: NULLs are left out (but `count(*)`, `first`, `last` and `any_value` see them); an empty group gives 0 for
counts, an empty array for collections, NULL for the rest; each DuckDB call here has a state that can be exported.
"""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    DataType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    LongType,
    NullType,
    StringType,
    YearMonthIntervalType,
)
from sqlglot import exp

from headwater.errors import AnalysisError
from headwater.functions.base import MISSING, FunctionCall, Typed, function
from headwater.functions.building import both, duck, is_null, negate, struct_of
from headwater.functions.operators import coerced
from headwater.functions.widening import bounded
from headwater.types.ddl import type_sql
from headwater.types.duck import to_duck


def aggregate_call(name: str, call: FunctionCall, *arguments: exp.Expression) -> exp.Expression:
    """A DuckDB aggregate, DISTINCT if the call is."""
    inner: list[exp.Expression] = list(arguments)
    if call.distinct:
        inner = [exp.Distinct(expressions=inner)]
    return exp.Anonymous(this=name, expressions=inner)


def _cast(tree: exp.Expression, data_type: DataType) -> exp.Expression:
    return exp.Cast(this=tree, to=to_duck(data_type))


@function("count", kind="aggregate")
def count(call: FunctionCall) -> Typed:
    """count(*) | count(expr, …) → bigint: rows where all are not NULL"""
    operands = call.operands
    if not operands or (len(operands) == 1 and operands[0].literal not in (MISSING, None) and not call.distinct):
        return Typed(exp.Anonymous(this="count", expressions=[exp.Star()]), LongType(), False)
    if len(operands) == 1:
        return Typed(aggregate_call("count", call, operands[0].sql), LongType(), False)
    present = both(*(negate(is_null(operand.sql)) for operand in operands))
    row = struct_of([(f"c{i}", operand.sql) for i, operand in enumerate(operands)])
    kept = exp.Case(ifs=[exp.If(this=present, true=row)])
    return Typed(aggregate_call("count", call, kept), LongType(), False)


def _number(call: FunctionCall) -> Typed:
    (operand,) = call.take(1)
    if isinstance(operand.type, StringType | NullType):
        return coerced(call, operand, DoubleType())
    kinds = (IntegralType, DecimalType, DoubleType, FloatType, DayTimeIntervalType, YearMonthIntervalType)
    if not isinstance(operand.type, kinds):
        raise AnalysisError(
            "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
            sqlExpr=f'"{call.name}({operand.name})"',
            paramIndex="first",
            requiredType='"NUMERIC" or "ANSI INTERVAL"',
            inputSql=f'"{operand.name}"',
            inputType=f'"{type_sql(operand.type)}"' if operand.type else "unknown",
        )
    return operand


@function("sum", kind="aggregate")
def sum_(call: FunctionCall) -> Typed:
    """sum(expr): bigint of integers, double of floats, decimal with 10 more digits of decimals"""
    operand = _number(call)
    data_type = operand.type
    if isinstance(data_type, IntegralType):
        total = aggregate_call("sum", call, operand.sql)
        return Typed(_cast(total, LongType()), LongType(), True)
    if isinstance(data_type, DecimalType):
        target = bounded(data_type.precision + 10, data_type.scale)
        return Typed(_cast(aggregate_call("sum", call, operand.sql), target), target, True)
    if isinstance(data_type, DoubleType | FloatType):
        return Typed(aggregate_call("sum", call, _as_double(operand)), DoubleType(), True)
    return Typed(aggregate_call("sum", call, operand.sql), data_type, True)


def _as_double(operand: Typed) -> exp.Expression:
    return operand.sql if isinstance(operand.type, DoubleType) else _cast(operand.sql, DoubleType())


@function("avg", "mean", kind="aggregate")
def avg(call: FunctionCall) -> Typed:
    """avg(expr) → double, or decimal with 4 more digits of decimals"""
    operand = _number(call)
    data_type = operand.type
    if isinstance(data_type, DecimalType):
        target = bounded(data_type.precision + 4, data_type.scale + 4)
        average = aggregate_call("avg", call, operand.sql)
        return Typed(_cast(average, target), target, True)
    if isinstance(data_type, IntegralType | DoubleType | FloatType):
        return Typed(aggregate_call("avg", call, operand.sql), DoubleType(), True)
    micros = aggregate_call("avg", call, duck("epoch_us", operand.sql))
    return Typed(duck("to_microseconds", _cast(micros, LongType())), DayTimeIntervalType(0, 3), True)


def _extreme(call: FunctionCall) -> Typed:
    """the smallest (largest) value"""
    (operand,) = call.take(1)
    name = "min" if call.name.lower() == "min" else "max"
    return Typed(exp.Anonymous(this=name, expressions=[operand.sql]), operand.type, True)


function("min", kind="aggregate")(_extreme)
function("max", kind="aggregate")(_extreme)


def _ignores_nulls(call: FunctionCall) -> bool:
    return call.ignore_nulls or (len(call.operands) > 1 and call.operands[1].literal is True)


def _edge(call: FunctionCall) -> Typed:
    """the first (last) value of the group; with true as second argument, the first that is not NULL"""
    operand = call.take(1, 2)[0]
    ends = "last" if call.name.lower().startswith("last") else "first"
    sql: exp.Expression = exp.Anonymous(this=ends, expressions=[operand.sql])
    if _ignores_nulls(call):
        present = negate(is_null(operand.sql))
        sql = exp.Filter(this=sql, expression=exp.Where(this=present))
    return Typed(sql, operand.type, True, name=f"{call.name.lower()}({operand.name})")


function("first", "first_value", "any_value", kind="aggregate")(_edge)
function("last", "last_value", kind="aggregate")(_edge)


def _collected(call: FunctionCall, name: str) -> tuple[exp.Expression, ArrayType]:
    (operand,) = call.take(1)
    assert operand.type is not None
    inner: exp.Expression = operand.sql
    if call.distinct or name == "collect_set":
        inner = exp.Distinct(expressions=[inner])
    present = negate(is_null(operand.sql))
    listed = exp.Filter(this=exp.Anonymous(this="list", expressions=[inner]), expression=exp.Where(this=present))
    data_type = ArrayType(operand.type, False)
    return duck("coalesce", listed, _cast(exp.Array(expressions=[]), data_type)), data_type


@function("collect_list", "array_agg", kind="aggregate")
def collect_list(call: FunctionCall) -> Typed:
    """collect_list(expr) → array: the values that are not NULL"""
    sql, data_type = _collected(call, "collect_list")
    return Typed(
        sql, data_type, False, name=f"collect_list({'DISTINCT ' if call.distinct else ''}{call.operands[0].name})"
    )


@function("collect_set", kind="aggregate")
def collect_set(call: FunctionCall) -> Typed:
    """collect_set(expr) → array: the different values that are not NULL"""
    sql, data_type = _collected(call, "collect_set")
    return Typed(sql, data_type, False)
