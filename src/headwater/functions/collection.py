"""Spark's functions over strings, binaries and arrays alike.

Invariants: `concat` gives NULL if any argument is NULL.
"""

from __future__ import annotations

from pyspark.sql.types import ArrayType, BinaryType, StringType
from sqlglot import exp

from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import case, done, duck, either, is_null, let, to_text
from headwater.functions.conditional import unified


@function("concat", "||")
def concat(call: FunctionCall) -> Typed:
    """concat(value, …) → strings, binaries or arrays joined"""
    operands = call.operands
    if not operands:
        return Typed(exp.Literal.string(""), StringType(), False)
    if any(isinstance(operand.type, ArrayType) for operand in operands):
        return _arrays(call)
    if all(isinstance(operand.type, BinaryType) for operand in operands):
        return done(_joined([operand.sql for operand in operands]), BinaryType(), call)
    return done(_joined([to_text(call, operand).sql for operand in operands]), StringType(), call)


def _joined(parts: list[exp.Expression]) -> exp.Expression:
    tree = parts[0]
    for part in parts[1:]:
        tree = exp.DPipe(this=tree, expression=part)
    return exp.Paren(this=tree)


def _arrays(call: FunctionCall) -> Typed:
    arrays, kind = unified(call, call.operands)

    def join(*all_: exp.Expression) -> exp.Expression:
        return case((either(*(is_null(each) for each in all_)), None), otherwise=duck("list_concat", *all_))

    return done(let([item.sql for item in arrays], join), kind, call)
