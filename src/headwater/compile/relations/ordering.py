"""Sort, limit, offset, tail.

Invariants: Spark's order: NULLs first when ascending, last when descending, unless said otherwise; a limit after a
sort keeps the sorted order.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql.types import LongType, MapType, VariantType
from sqlglot import exp

from headwater.compile.compiler import Compiler, on
from headwater.compile.frame import Frame, Item, substitute, used_names
from headwater.compile.relations.aggregate import rewritten
from headwater.compile.relations.all_keys import ordered_by_all
from headwater.errors import AnalysisError
from headwater.functions.base import Typed
from headwater.plan import expressions as ex
from headwater.plan import relations as plan
from headwater.types.ddl import type_sql


@on(plan.Sort)
def _sort(node: plan.Sort, frame: Frame, compiler: Compiler) -> Frame:
    if frame.limited:
        frame = compiler.closed(frame)
    keys: list[tuple[ex.SortOrder, Typed]] = []
    for order in ordered_by_all(node.order, frame):
        typed, frame = rewritten(_by_position(order.child, frame), frame, compiler)
        keys.append((order, _orderable(typed)))
    if not all(_inline(frame, typed) for _, typed in keys):
        frame = compiler.closed(frame)
    values = frame.values()
    ordered = tuple(ordering(order, substitute(typed.sql, values)) for order, typed in keys)
    return replace(frame, order=ordered)


def _inline(frame: Frame, typed: Typed) -> bool:
    """Whether the key can be computed in this SELECT: it repeats nothing volatile."""
    return not any(frame.by_sql[name].shape.volatile for name in used_names([typed.sql]) if name in frame.by_sql)


def _by_position(expression: ex.Expression, frame: Frame) -> ex.Expression:
    if isinstance(expression, ex.Literal) and type(expression.value) is int:
        if not 1 <= expression.value <= len(frame.attributes):
            raise AnalysisError("ORDER_BY_POS_OUT_OF_RANGE", index=expression.value, size=len(frame.attributes))
        return ex.Column((frame.attributes[expression.value - 1].sql,), metadata=True)
    return expression


def _orderable(typed: Typed) -> Typed:
    if isinstance(typed.type, MapType | VariantType):
        raise AnalysisError(
            "DATATYPE_MISMATCH.INVALID_ORDERING_TYPE",
            sqlExpr=f'"{typed.name}"',
            functionName="`sortorder`",
            dataType=f'"{type_sql(typed.type)}"',
        )
    return typed


def ordering(order: ex.SortOrder, tree: exp.Expression) -> exp.Ordered:
    """`tree ASC|DESC NULLS FIRST|LAST`; a constant key is a value, not a position."""
    if isinstance(tree, exp.Literal | exp.Null | exp.Boolean):
        tree = exp.Cast(this=tree, to=exp.DataType.build("VARCHAR"))
    return exp.Ordered(this=tree, desc=not order.ascending, nulls_first=order.nulls_first)


@on(plan.Limit)
def _limit(node: plan.Limit, frame: Frame, compiler: Compiler) -> Frame:
    del compiler
    count = max(node.count, 0)
    return replace(frame, limit=count if frame.limit is None else min(frame.limit, count), grouped=None)


@on(plan.Offset)
def _offset(node: plan.Offset, frame: Frame, compiler: Compiler) -> Frame:
    del compiler
    if frame.limit is not None:
        limit = max(frame.limit - node.count, 0)
        return replace(frame, limit=limit, offset=frame.offset + node.count, grouped=None)
    return replace(frame, offset=frame.offset + node.count, grouped=None)


@on(plan.Tail)
def _tail(node: plan.Tail, frame: Frame, compiler: Compiler) -> Frame:
    """The last rows: numbered, then those numbered within `count` of the end."""
    number = compiler.attribute("row", LongType(), False)
    whole = compiler.closed(frame)
    window = exp.Window(this=exp.Anonymous(this="row_number"))
    total = exp.Window(this=exp.Anonymous(this="count", expressions=[exp.Star()]))
    left = exp.Paren(this=exp.Sub(this=total, expression=window))
    numbered = compiler.closed(compiler.project(whole, [*(Item(a) for a in whole.attributes), Item(number, left)]))
    test = exp.LT(this=exp.column(number.sql, quoted=True), expression=exp.Literal.number(node.count))
    kept = compiler.filter(numbered, [test])
    return compiler.project(kept, [Item(a) for a in whole.attributes])
