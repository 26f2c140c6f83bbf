"""Values in the type of the column that they go into: what does not fit fails and names the column.

Invariant: a value that comes through is the one that was given.
Source: Spark's `CheckOverflowInTableInsert`, Delta's `CheckOverflowInTableWrite`.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql.types import DataType, DecimalType, IntegralType, NumericType
from sqlglot import exp

from headwater.compile.compiler import Compiler
from headwater.compile.expressions import call_of, compile_node
from headwater.compile.scope import Scope
from headwater.errors import ArithmeticSparkError
from headwater.functions.base import Typed
from headwater.functions.building import both, case, is_null, negate
from headwater.functions.conversion import cast_typed
from headwater.functions.raising import fail
from headwater.plan import expressions as plan
from headwater.types.ddl import type_sql
from headwater.types.duck import to_duck

_POLICY, _ANSI = "spark.sql.storeAssignmentPolicy", "spark.sql.ansi.enabled"
_FOLLOWS = "spark.databricks.delta.updateAndMergeCastingFollowsAnsiEnabledFlag"


@compile_node.register
def _stored(node: plan.StoredValue, scope: Scope, compiler: Compiler) -> Typed:
    child = compiler.expression(node.child, scope)
    call = replace(call_of("cast", (child,), compiler), ansi=True)
    made = cast_typed(child, node.type, call)
    if child.type is None or not _may_overflow(child.type, node.type):
        return made
    tried = cast_typed(replace(child, sql=child.sql.copy()), node.type, call, attempt=True)
    failure = fail(
        ArithmeticSparkError,
        node.overflow,
        sourceType=f'"{type_sql(child.type)}"',
        targetType=f'"{type_sql(node.type)}"',
        columnName=f"`{node.column}`",
        storeAssignmentPolicyFlag=_POLICY,
        updateAndMergeCastingFollowsAnsiEnabledFlag=_FOLLOWS,
        ansiEnabledFlag=_ANSI,
    )
    lost = both(negate(is_null(child.sql.copy())), is_null(tried.sql))
    sql = case((lost, exp.Cast(this=failure, to=to_duck(node.type))), otherwise=made.sql)
    return replace(made, sql=sql)


def _may_overflow(source: DataType, target: DataType) -> bool:
    """Whether a number of one type may be too large for the other."""
    return (
        source != target
        and isinstance(source, NumericType)
        and isinstance(target, IntegralType | DecimalType)
        and not _holds(source, target)
    )


def _holds(source: DataType, target: DataType) -> bool:
    """Whether the target holds every whole number, or decimal, of the source."""
    digits = {"byte": 3, "short": 5, "integer": 10, "long": 19}
    if isinstance(source, IntegralType) and isinstance(target, IntegralType):
        return digits[source.typeName()] <= digits[target.typeName()]
    if isinstance(source, DecimalType) and isinstance(target, DecimalType):
        whole = target.precision - target.scale >= source.precision - source.scale
        return bool(target.scale >= source.scale and whole)
    if isinstance(source, IntegralType) and isinstance(target, DecimalType):
        return bool(target.precision - target.scale >= digits[source.typeName()])
    return False
