"""Window expressions: `f(…) OVER (PARTITION BY … ORDER BY … frame)`.

Invariants: Spark's default frame is kept (whole partition without order, up to the current peers with it); ranking
functions take no frame.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql.types import (
    CalendarIntervalType,
    DateType,
    DayTimeIntervalType,
    NumericType,
    TimestampNTZType,
    TimestampType,
    YearMonthIntervalType,
)
from sqlglot import exp

from headwater.compile.aggregates import is_aggregate, rewrite
from headwater.compile.compiler import Compiler
from headwater.compile.expressions import compile_node, refuse_lateral
from headwater.compile.scope import Scope
from headwater.errors import AnalysisError
from headwater.functions.base import Typed, functions
from headwater.plan import expressions as plan

_FRAMELESS = {"row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead"}
WINDOW_CALLS = _FRAMELESS | {"nth_value", "first_value", "last_value"}
_SIDES = {
    "unbounded_preceding": "PRECEDING",
    "preceding": "PRECEDING",
    "following": "FOLLOWING",
    "unbounded_following": "FOLLOWING",
}


@compile_node.register
def _window(node: plan.Window, scope: Scope, compiler: Compiler) -> Typed:
    function = compiler.expression(node.function, scope)
    partition = [compiler.expression(key, scope) for key in node.partition]
    order = [compiler.expression(key, scope) for key in node.order]
    name = f"{function.name} OVER ({_shown(node, partition, order)})"
    refuse_lateral((function, *partition, *order), "WINDOW", "windowExpr", name)
    ordered = [_ordered(key, typed) for key, typed in zip(node.order, order, strict=True)]
    spec = _spec(node, order, scope, compiler)

    def over(call: exp.Expression) -> exp.Expression:
        frameless = _call_name(call) in _FRAMELESS
        window = exp.Window(this=call, partition_by=[p.sql.copy() for p in partition])
        if ordered:
            window.set("order", exp.Order(expressions=[o.copy() for o in ordered]))
        if spec is not None and not frameless:
            window.set("spec", spec.copy())
        return window

    sql = _over_each(function.sql, over)
    return replace(function, sql=sql, name=name)


def _ordered(node: plan.SortOrder, typed: Typed) -> exp.Ordered:
    return exp.Ordered(this=typed.sql, desc=not node.ascending, nulls_first=node.nulls_first)


def _call_name(call: exp.Expression) -> str:
    while isinstance(call, exp.Filter | exp.IgnoreNulls | exp.RespectNulls):
        call = call.this
    return str(call.this).lower() if isinstance(call, exp.Anonymous) else call.key


def is_window_call(node: exp.Expression) -> bool:
    """Whether the node is a DuckDB function that needs OVER."""
    if isinstance(node, exp.IgnoreNulls | exp.RespectNulls):
        return is_window_call(node.this)
    return isinstance(node, exp.Anonymous) and str(node.this).lower() in WINDOW_CALLS


def _over_each(tree: exp.Expression, over: object) -> exp.Expression:
    found = 0

    def change(node: exp.Expression) -> exp.Expression | None:
        nonlocal found
        if isinstance(node, exp.Window):
            return node.copy()
        if is_window_call(node) or is_aggregate(node):
            found += 1
            return over(node.copy())  # type: ignore[operator,no-any-return]
        return None

    made = rewrite(tree, change)
    if not found:
        raise AnalysisError("UNSUPPORTED_EXPR_FOR_WINDOW", sqlExpr=f'"{tree.sql()}"')
    return made


def _spec(node: plan.Window, order: list[Typed], scope: Scope, compiler: Compiler) -> exp.WindowSpec | None:
    frame = node.frame
    if frame is None:
        return None
    start, start_side = _bound(frame.lower, frame.unit, order, scope, compiler)
    end, end_side = _bound(frame.upper, frame.unit, order, scope, compiler)
    return exp.WindowSpec(kind=frame.unit.upper(), start=start, start_side=start_side, end=end, end_side=end_side)


def _bound(
    bound: plan.FrameBound, unit: str, order: list[Typed], scope: Scope, compiler: Compiler
) -> tuple[str | exp.Expression, str | None]:
    if bound.kind == "current_row":
        return "CURRENT ROW", None
    if bound.offset is None:
        return "UNBOUNDED", _SIDES[bound.kind]
    offset = compiler.expression(bound.offset, scope)
    side = _SIDES[bound.kind]
    if isinstance(offset.literal, int | float) and offset.literal < 0:
        offset = replace(offset, sql=exp.Literal.number(-offset.literal))
        side = "FOLLOWING" if side == "PRECEDING" else "PRECEDING"
    if isinstance(offset.literal, int) and offset.literal == 0 and unit == "rows":
        return "CURRENT ROW", None
    return _offset(offset, unit, order), side


def _offset(offset: Typed, unit: str, order: list[Typed]) -> exp.Expression:
    """A range over dates counts days; over timestamps, numbers count seconds."""
    key = order[0].type if order and unit == "range" else None
    if isinstance(offset.type, DayTimeIntervalType | YearMonthIntervalType | CalendarIntervalType):
        return offset.sql
    if isinstance(key, DateType) and isinstance(offset.type, NumericType):
        return exp.Anonymous(this="to_days", expressions=[_plain(offset)])
    if isinstance(key, TimestampType | TimestampNTZType) and isinstance(offset.type, NumericType):
        return exp.Anonymous(this="to_seconds", expressions=[_plain(offset)])
    return _plain(offset)


def _plain(offset: Typed) -> exp.Expression:
    return exp.Literal.number(abs(offset.literal)) if isinstance(offset.literal, int) else offset.sql


def _shown(node: plan.Window, partition: list[Typed], order: list[Typed]) -> str:
    parts = []
    if partition:
        parts.append("PARTITION BY " + ", ".join(p.name for p in partition))
    if order:
        parts.append("ORDER BY " + ", ".join(o.name for o in order))
    frame = node.frame
    if frame is None:
        whole = (
            "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
            if order
            else "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
        )
        name = node.function.name.lower() if isinstance(node.function, plan.Call) else ""
        known = functions.get(name)
        if known is not None and known.kind == "window":
            whole = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
        if name in {"lag", "lead"}:
            whole = f"ROWS BETWEEN {_lag_offset(node)} AND {_lag_offset(node)}"
        parts.append(whole)
    else:
        parts.append(f"{frame.unit.upper()} BETWEEN {_bound_text(frame.lower)} AND {_bound_text(frame.upper)}")
    return " ".join(parts)


def _lag_offset(node: plan.Window) -> str:
    assert isinstance(node.function, plan.Call)
    arguments = node.function.arguments
    offset = arguments[1].value if len(arguments) > 1 and isinstance(arguments[1], plan.Literal) else 1
    signed = -offset if node.function.name.lower() == "lag" else offset
    return f"{signed} FOLLOWING"


def _bound_text(bound: plan.FrameBound) -> str:
    if bound.offset is None:
        return bound.kind.replace("_", " ").upper()
    value = bound.offset.value if isinstance(bound.offset, plan.Literal) else "?"
    if bound.kind == "preceding":
        return f"{value} PRECEDING"
    return f"{value} FOLLOWING"
