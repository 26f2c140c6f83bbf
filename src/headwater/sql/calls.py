"""Function calls of SQL text: arguments, DISTINCT, FILTER, IGNORE NULLS, WITHIN GROUP, OVER, lambdas.

Invariants: a call keeps the name the user wrote, in lower case; `count(*)` is `count(1)`, as in Spark; a named window
is replaced by its definition.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyspark.sql.types import IntegerType
from sqlglot import exp

from headwater.errors import AnalysisError, unsupported
from headwater.plan.expressions import (
    Call,
    Column,
    Expression,
    Frame,
    FrameBound,
    Lambda,
    Literal,
    NamedArgument,
    PythonUDF,
    Star,
    Window,
)
from headwater.sql.expressions import convert, convert_all, converts, sort_order
from headwater.sql.scope import Scope
from headwater.sql.understood import refuse_unread

_UNIT_CALLS = {
    "date_add": "timestampadd",
    "dateadd": "timestampadd",
    "timestampadd": "timestampadd",
    "date_diff": "timestampdiff",
    "datediff": "timestampdiff",
    "timediff": "timestampdiff",
    "timestampdiff": "timestampdiff",
}
"""Calls whose first argument may be a unit's bare name, and the function they are then."""
_NULLS = (exp.IgnoreNulls, exp.RespectNulls)


@converts(exp.Anonymous)
def _call(node: exp.Anonymous, scope: Scope) -> Expression:
    name = node.name.lower()
    written, distinct = node.expressions, False
    if written and isinstance(written[0], exp.Distinct):
        written, distinct = written[0].expressions, True
    ignore_nulls = any(isinstance(argument, exp.IgnoreNulls) for argument in written)
    plain = [argument.this if isinstance(argument, _NULLS) else argument for argument in written]
    if len(plain) == 3 and name in _UNIT_CALLS and _is_unit(plain[0]):
        name, plain = _UNIT_CALLS[name], [exp.Literal.string(plain[0].name), *plain[1:]]
    arguments = convert_all(plain, scope)
    if name == "count" and not distinct and arguments == (Star(),):
        arguments = (Literal(1, IntegerType()),)
    return Call(name, arguments, distinct, ignore_nulls=ignore_nulls)


def _is_unit(node: exp.Expr) -> bool:
    return isinstance(node, exp.Column) and len(node.parts) == 1


@converts(exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentUser, exp.SessionUser)
def _without_parentheses(node: exp.Func, scope: Scope) -> Expression:
    """`current_date`: a column of that name, or else the function, which name resolution decides."""
    del scope
    return Column((node.sql_name().lower(),))


@converts(exp.Kwarg)
def _named_argument(node: exp.Kwarg, scope: Scope) -> Expression:
    return NamedArgument(node.this.name, convert(node.expression, scope))


@converts(exp.Lambda)
def _lambda(node: exp.Lambda, scope: Scope) -> Expression:
    names = tuple(name.name for name in node.expressions)
    return Lambda(convert(node.this, scope.within(names)), names)


# ── what follows a call ─────────────────────────────────────────────────────────────────────────────────────


def _inner(node: exp.Expr, scope: Scope) -> Call:
    inner = convert(node.this, scope)
    if not isinstance(inner, Call):
        raise unsupported(f"the SQL expression `{node.sql('databricks')}`")
    return inner


@converts(exp.Filter)
def _filter(node: exp.Filter, scope: Scope) -> Expression:
    return replace(_inner(node, scope), filter=convert(node.expression.this, scope))


@converts(exp.IgnoreNulls)
def _ignore_nulls(node: exp.IgnoreNulls, scope: Scope) -> Expression:
    return replace(_inner(node, scope), ignore_nulls=True)


@converts(exp.RespectNulls)
def _respect_nulls(node: exp.RespectNulls, scope: Scope) -> Expression:
    return _inner(node, scope)


@converts(exp.WithinGroup)
def _within_group(node: exp.WithinGroup, scope: Scope) -> Expression:
    order = tuple(sort_order(key, scope) for key in node.expression.expressions)
    return replace(_inner(node, scope), order=order)


# ── windows ─────────────────────────────────────────────────────────────────────────────────────────────────


@converts(exp.Window)
def _window(node: exp.Window, scope: Scope) -> Expression:
    function = convert(node.this, scope)
    if not isinstance(function, Call | PythonUDF):
        raise unsupported("OVER after anything but a call")
    definition = _definition(node, scope)
    order = definition.args.get("order")
    return Window(
        function,
        convert_all(definition.args.get("partition_by"), scope),
        tuple(sort_order(key, scope) for key in order.expressions) if order else (),
        _frame(definition.args.get("spec"), scope),
    )


def _definition(node: exp.Expr, scope: Scope) -> exp.Expr:
    name = node.args.get("alias")
    if name is None:
        return node
    if any(node.args.get(part) for part in ("partition_by", "order", "spec")):
        raise unsupported("a window that adds to a named window", "Write the window out.")
    found = scope.windows.get(name.name.lower())
    if found is None:
        raise AnalysisError(
            "MISSING_WINDOW_SPECIFICATION", windowName=name.name, docroot="https://spark.apache.org/docs"
        )
    return _definition(found, scope)


def _frame(spec: exp.WindowSpec | None, scope: Scope) -> Frame | None:
    if spec is None:
        return None
    refuse_unread(spec)
    unit: Any = spec.args["kind"].lower()
    if unit not in ("rows", "range"):
        raise unsupported("window frames by GROUPS", "Use ROWS or RANGE.")
    lower = _bound(spec.args.get("start"), spec.args.get("start_side"), scope)
    upper = _bound(spec.args.get("end") or "CURRENT ROW", spec.args.get("end_side"), scope)
    return Frame(unit, lower, upper)


def _bound(value: Any, side: str | None, scope: Scope) -> FrameBound:
    if value == "CURRENT ROW":
        return FrameBound("current_row")
    preceding = (side or "").upper() == "PRECEDING"
    if value == "UNBOUNDED":
        return FrameBound("unbounded_preceding" if preceding else "unbounded_following")
    return FrameBound("preceding" if preceding else "following", convert(value, scope))
