"""Pivot: the values of a column become columns.

Invariants: without values given, the column's different values are looked up now, sorted, at most 10,000; a group
without rows for a value has NULL there, counts too, as in Spark.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from pyspark.sql.types import StringType
from sqlglot import exp

from headwater.compile.aggregates import map_aggregates
from headwater.compile.compiler import Compiler
from headwater.compile.expressions import call_of
from headwater.compile.frame import Frame, Item, used_names
from headwater.compile.literals import literal_sql
from headwater.compile.outputs import Output, outputs_of
from headwater.compile.relations.aggregate import grouped_by, shown_keys
from headwater.compile.relations.groups import Grouped, lifted
from headwater.compile.sampling import rows_of
from headwater.errors import AnalysisError
from headwater.functions.base import Typed
from headwater.functions.conversion import cast_typed
from headwater.plan import expressions as ex
from headwater.plan import relations as plan

_MOST = 10_000


def pivoted(node: plan.Aggregate, frame: Frame, compiler: Compiler) -> tuple[Grouped, list[Item]]:
    """A pivoted aggregation and its outputs. Raises PIVOT_VALUE… errors as Spark."""
    assert node.pivot_column is not None
    scope = compiler.scope(frame)
    column = compiler.expression(node.pivot_column, scope)
    values = _given(node, column, compiler) if node.pivot_values else _found(column, frame, compiler)
    aggregates = outputs_of(node.aggregates, scope, compiler)
    named = outputs_of(node.grouping, scope, compiler)
    if node.implicit_grouping:
        used = used_names([column.sql, *(output.typed.sql for output in aggregates)])
        named = [o for o in outputs_of((ex.Star(),), scope, compiler) if o.same is None or o.same.sql not in used]
    grouped = grouped_by(named, frame, compiler)
    cells = [
        _cell(name, value, output, column, len(aggregates) == 1) for name, value in values for output in aggregates
    ]
    return grouped, lifted(grouped, [*shown_keys(named, grouped), *cells], compiler)


def _given(node: plan.Aggregate, column: Typed, compiler: Compiler) -> list[tuple[str, exp.Expression]]:
    call = call_of("cast", (), compiler)
    made = []
    for literal, name in zip_longest(node.pivot_values, node.pivot_names):
        typed = Typed(literal_sql(literal.value, literal.type), literal.type, literal.value is None, literal.value)
        assert column.type is not None
        made.append((name or _text(literal.value), cast_typed(typed, column.type, call).sql))
    return made


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _found(column: Typed, frame: Frame, compiler: Compiler) -> list[tuple[str, exp.Expression]]:
    if frame.streaming:
        raise AnalysisError("_LEGACY_ERROR_TEMP_3063")
    assert column.type is not None
    call = call_of("cast", (), compiler)
    text = cast_typed(column, StringType(), call).sql
    value = compiler.attribute("value", column.type, True)
    shown = compiler.attribute("shown", StringType(), True)
    base = compiler.project(frame, [Item(value, column.sql), Item(shown, text)])
    query = base.select()
    query.set("distinct", exp.Distinct())
    ordered = compiler.closed(base.over(query, compiler.fresh("t"), [value, shown]))
    rows = rows_of(ordered, compiler, _MOST + 1, order=value)
    if len(rows) > _MOST:
        raise AnalysisError(
            "_LEGACY_ERROR_TEMP_1324", pivotColumn=column.name, maxValues=_MOST, config="spark.sql.pivotMaxValues"
        )
    made: list[tuple[str, exp.Expression]] = []
    for _, name in rows:
        if name is None:
            made.append(("null", exp.Null()))
            continue
        literal = Typed(exp.Literal.string(str(name)), StringType(), False, str(name))
        made.append((str(name), cast_typed(literal, column.type, call).sql))
    return made


def _cell(name: str, value: exp.Expression, output: Output, column: Typed, alone: bool) -> Output:
    """One aggregate over the rows of one value."""
    test = exp.NullSafeEQ(this=column.sql.copy(), expression=value.copy())

    def only(call: exp.Expression) -> exp.Expression:
        if isinstance(call, exp.Filter):
            both = exp.And(this=exp.Paren(this=call.expression.this.copy()), expression=exp.Paren(this=test.copy()))
            return exp.Filter(this=call.this.copy(), expression=exp.Where(this=both))
        return exp.Filter(this=call.copy(), expression=exp.Where(this=test.copy()))

    sql = map_aggregates(output.typed.sql, only)
    if not output.typed.nullable:
        rows = only(exp.Anonymous(this="count", expressions=[exp.Star()]))
        some = exp.GT(this=rows, expression=exp.Literal.number(0))
        sql = exp.Case(ifs=[exp.If(this=some, true=sql)])
    title = name if alone else f"{name}_{output.name}"
    return Output(title, Typed(sql, output.typed.type, True), {})
