"""Expressions that must be constants: what a table function takes, when a time travel goes to.

Invariants: an expression is computed by DuckDB as any other; one that names a column, or whose value is another one
each time, is no constant.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from pyspark.sql.types import DataType, DateType, NullType, StringType, TimestampNTZType, TimestampType
from sqlglot import exp

from headwater.compile.compiler import Compiler
from headwater.compile.scope import Scope
from headwater.duck import sql_text
from headwater.errors import AnalysisError, unsupported
from headwater.plan.expressions import Call, Cast, Expression, Subquery, SubqueryReference

_RANDOM = frozenset({"rand", "random", "randn", "uuid", "shuffle", "monotonically_increasing_id"})


class Constant(NamedTuple):
    """A value as text (None: null) and its type; an instant is in UTC and says so."""

    text: str | None
    type: DataType


def is_constant(expression: Expression) -> bool:
    """Whether it has one value, by its looks: no subquery, nothing random. Columns show when it is compiled."""
    return not any(
        isinstance(one, Subquery | SubqueryReference) or (isinstance(one, Call) and one.name.lower() in _RANDOM)
        for one in expression.walk()
    )


def constant(expression: Expression, compiler: Compiler) -> Constant:
    """The value of an expression without columns; a date is the instant of its midnight in the session's zone.

    Raises UNRESOLVED_COLUMN and the errors of its functions.
    """
    scope = Scope(fold=compiler.fold)
    typed = compiler.expression(expression, scope)
    if isinstance(typed.type, DateType | TimestampNTZType):
        typed = compiler.expression(Cast(expression, TimestampType()), scope)
    kind = typed.type or NullType()
    value: exp.Expr = typed.sql
    if isinstance(kind, TimestampType):
        value = exp.Anonymous(this="epoch_us", expressions=[value])
    text = exp.Cast(this=value, to=exp.DataType.build("text"))
    row = compiler.context.binder().execute(sql_text(exp.Select(expressions=[text]))).fetchone()
    found = None if row is None else row[0]
    if found is not None and isinstance(kind, TimestampType):
        found = datetime.fromtimestamp(int(found) / 1_000_000, UTC).isoformat(sep=" ", timespec="microseconds")
    return Constant(found, kind)


def instant_text(expression: Expression, compiler: Compiler) -> str:
    """The time a `TIMESTAMP AS OF` means, as the option `timestampAsOf` has it.

    Raises INVALID_TIME_TRAVEL_TIMESTAMP_EXPR for what is no constant, no time or null.
    """
    if any(isinstance(one, Subquery | SubqueryReference) for one in expression.walk()):
        raise unsupported("a subquery as the time of a time travel", "Ask for the time first.")
    typed = compiler.expression(expression, Scope(fold=compiler.fold))
    if not is_constant(expression):
        raise AnalysisError("INVALID_TIME_TRAVEL_TIMESTAMP_EXPR.NON_DETERMINISTIC", expr=f'"{typed.name}"')
    moment = expression if isinstance(typed.type, StringType) else Cast(expression, TimestampType())
    found = constant(moment, compiler)
    if found.text is None:
        raise AnalysisError("INVALID_TIME_TRAVEL_TIMESTAMP_EXPR.INPUT", expr=f'"{typed.name}"')
    return found.text
