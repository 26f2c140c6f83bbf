"""Spark's window functions: ranks and neighbours.

Invariants: each is one DuckDB window function, which the compiler gives its OVER; ranks are ints.
"""

from __future__ import annotations

from pyspark.sql.types import DataType, DoubleType, IntegerType, LongType
from sqlglot import exp

from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import cast, titled, to_int


def _rank(name: str, shown: str, kind: DataType, about: str) -> None:
    def build(call: FunctionCall) -> Typed:
        call.take(0, 1_000)  # Spark lets `rank(b)` name the order's columns again
        sql: exp.Expression = exp.Anonymous(this=name, expressions=[])
        target = "INTEGER" if isinstance(kind, IntegerType) else "DOUBLE"
        return Typed(cast(sql, target), kind, False, name=f"{shown}()")

    build.__doc__ = f"{name}() → {kind.simpleString()}: {about}"
    build.__qualname__ = f"rank_{name}"
    function(name, kind="window")(build)


for _name, _shown, _kind, _about in (
    ("row_number", "row_number", IntegerType(), "number of the row, from 1"),
    ("rank", "RANK", IntegerType(), "rank, with gaps after ties"),
    ("dense_rank", "DENSE_RANK", IntegerType(), "rank without gaps"),
    ("percent_rank", "PERCENT_RANK", DoubleType(), "(rank - 1) / (rows - 1)"),
    ("cume_dist", "cume_dist", DoubleType(), "share of rows up to this one"),
):
    _rank(_name, _shown, _kind, _about)


@function("ntile", kind="window")
def ntile(call: FunctionCall) -> Typed:
    """ntile(n) → int: number of the row's bucket of n"""
    operands = call.take(0, 1)
    count = operands[0].sql if operands else exp.convert(1)
    name = titled(call, operands[0].name if operands else "1")
    return Typed(cast(exp.Anonymous(this="ntile", expressions=[count]), "INTEGER"), IntegerType(), False, name=name)


def _neighbour(call: FunctionCall) -> Typed:
    """the value some rows before (after) in the window's order, else the default"""
    value, *rest = call.take(1, 4)
    ignore = call.ignore_nulls or (len(rest) == 3 and rest[2].literal is True)
    offset = rest[0] if rest else None
    default = rest[1] if len(rest) > 1 else None
    arguments = [value.sql, to_int(call, offset).sql if offset else exp.convert(1)]
    arguments.append(default.sql if default else exp.Null())
    if ignore:
        arguments[-1] = exp.IgnoreNulls(this=arguments[-1])
    name = titled(call, value.name, offset.name if offset else "1", default.name if default else "NULL")
    nullable = default is None or default.nullable or value.nullable
    return Typed(exp.Anonymous(this=call.name.lower(), expressions=arguments), value.type, nullable, name=name)


function("lag", kind="window")(_neighbour)
function("lead", kind="window")(_neighbour)


@function("nth_value", kind="window")
def nth_value(call: FunctionCall) -> Typed:
    """nth_value(value, n[, ignore nulls]) → the value of the frame's n-th row"""
    value, number, *rest = call.take(2, 3)
    arguments = [value.sql, number.sql]
    if call.ignore_nulls or (rest and rest[0].literal is True):
        arguments[-1] = exp.IgnoreNulls(this=arguments[-1])
    sql = exp.Anonymous(this="nth_value", expressions=arguments)
    return Typed(sql, value.type, True, name=titled(call, value.name, number.name))


@function("distributed_sequence_id")
def distributed_sequence_id(call: FunctionCall) -> Typed:
    """distributed_sequence_id() → bigint: number of the row, from 0, as `zipWithIndex` asks for it"""
    call.take(0)
    number = exp.Window(this=exp.Anonymous(this="row_number"))
    return Typed(exp.Sub(this=number, expression=exp.convert(1)), LongType(), False, name="distributed_sequence_id()")
