"""Subquery expressions: scalar, EXISTS, IN; correlated ones name the columns around them.

Invariants: column names are unique in the whole statement, so an inner query names outer columns without doubt; the
values of outer columns are put in when the outer SELECT is finished.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pyspark.sql.types import BooleanType
from sqlglot import exp

from headwater.compile.compiler import Compiler
from headwater.compile.expressions import call_of, column, compile_node
from headwater.compile.frame import Frame, Item
from headwater.compile.scope import Scope
from headwater.errors import AnalysisError, unsupported
from headwater.functions.base import Typed
from headwater.functions.operators import compared
from headwater.plan import expressions as plan
from headwater.plan.relations import Relation


@compile_node.register
def _subquery(node: plan.Subquery, scope: Scope, compiler: Compiler) -> Typed:
    assert isinstance(node.plan, Relation)
    return _compiled(node.kind, node.plan, node.values, scope, compiler)


@compile_node.register
def _reference(node: plan.SubqueryReference, scope: Scope, compiler: Compiler) -> Typed:
    relation = compiler.references.get(node.plan_id)
    if relation is None:
        raise AnalysisError("INTERNAL_ERROR", message=f"No subquery with plan id {node.plan_id} came with the plan.")
    return _compiled(node.kind, relation, node.values, scope, compiler)


def _compiled(
    kind: str, relation: Relation, values: tuple[plan.Expression, ...], scope: Scope, compiler: Compiler
) -> Typed:
    left = [compiler.expression(value, scope) for value in values]
    outer, outward = compiler.outer, compiler.outward
    compiler.outer, compiler.outward = scope, []
    try:
        frame = compiler.relation(relation)
    finally:
        compiler.outer, names, compiler.outward = outer, compiler.outward, outward
    if frame.streaming:
        raise AnalysisError("INVALID_SUBQUERY_EXPRESSION.STREAMING_QUERY")
    compiler.inputs.update(frame.inputs)
    make = _KINDS[kind]
    made = make(frame, left, compiler)
    return replace(made, name=made.name.replace("()", f"({', '.join(dict.fromkeys(names))})", 1))


def _scalar(frame: Frame, left: list[Typed], compiler: Compiler) -> Typed:
    del left, compiler
    if len(frame.attributes) != 1:
        raise AnalysisError(
            "INVALID_SUBQUERY_EXPRESSION.SCALAR_SUBQUERY_RETURN_MORE_THAN_ONE_OUTPUT_COLUMN",
            number=len(frame.attributes),
        )
    attribute = frame.attributes[0]
    return Typed(exp.Subquery(this=frame.select()), attribute.type, True, name="scalarsubquery()")


def _exists(frame: Frame, left: list[Typed], compiler: Compiler) -> Typed:
    del left, compiler
    return Typed(exp.Exists(this=frame.select()), BooleanType(), False, name="exists()")


def _in(frame: Frame, left: list[Typed], compiler: Compiler) -> Typed:
    items: list[Item] = []
    tests: list[exp.Expression] = []
    for value, attribute in zip(left, frame.attributes, strict=True):
        call = call_of("=", (value, column(attribute)), compiler)
        one, other = compared(call, value, column(attribute))
        tests.append(one.sql)
        passes = isinstance(other.sql, exp.Column)
        items.append(Item(attribute) if passes else Item(compiler.again(attribute, type=other.type), other.sql))
    query = compiler.project(frame, items).select()
    wanted = tests[0] if len(tests) == 1 else exp.Tuple(expressions=tests)
    sql = exp.Paren(this=exp.In(this=wanted, query=exp.Subquery(this=query)))
    return Typed(sql, BooleanType(), True, name=f"({', '.join(v.name for v in left)} IN (listquery()))")


def _table(frame: Frame, left: list[Typed], compiler: Compiler) -> Typed:
    del frame, left, compiler
    raise unsupported("a table argument here")


_Make = Callable[[Frame, list[Typed], Compiler], Typed]
_KINDS: dict[str, _Make] = {
    "scalar": _scalar,
    "exists": _exists,
    "in": _in,
    "table": _table,
}
