"""Calls that need more than their compiled operands: they see the scope or the plan.

Invariants: an entry returns None to leave the call to the function registry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pyspark.sql.types import ByteType, LongType, StringType
from sqlglot import exp

from headwater.compile.compiler import Compiler
from headwater.compile.file_columns import input_file_name
from headwater.compile.scope import Scope
from headwater.functions.base import Typed
from headwater.plan import expressions as plan

Special = Callable[[plan.Call, Scope, Compiler], "Typed | None"]


def _grouping(node: plan.Call, scope: Scope, compiler: Compiler) -> Typed | None:
    (argument,) = node.arguments
    typed = compiler.expression(argument, scope)
    sql = exp.Cast(this=exp.Anonymous(this="grouping", expressions=[typed.sql]), to=exp.DataType.build("TINYINT"))
    return Typed(sql, ByteType(), False, name=f"grouping({typed.name})")


def _grouping_id(node: plan.Call, scope: Scope, compiler: Compiler) -> Typed | None:
    typed = [compiler.expression(argument, scope) for argument in node.arguments]
    call = exp.Anonymous(this="grouping_id", expressions=[t.sql for t in typed])
    name = f"grouping_id({', '.join(t.name for t in typed)})"
    sql = exp.Cast(this=call, to=exp.DataType.build("BIGINT"))
    return Typed(sql, LongType(), False, name=name)


def _case_fold(node: plan.Call, scope: Scope, compiler: Compiler) -> Typed | None:
    """Spark names these by another name than they are called."""
    return replace(compiler.expression(plan.Call("count", node.arguments, True, node.filter), scope))


def _current(node: plan.Call, scope: Scope, compiler: Compiler) -> Typed | None:
    """Where unqualified names are looked up."""
    del scope
    catalog = getattr(compiler.context, "catalog", None)
    where = (getattr(catalog, "current_catalog", "spark_catalog"), getattr(catalog, "current_database", "default"))
    name = {"current_database": "current_schema"}.get(node.name.lower(), node.name.lower())
    paths = f"system.builtin,system.session,{'.'.join(where)}"
    text = {"current_catalog": where[0], "current_schema": where[1], "current_path": paths}[name]
    return Typed(exp.Literal.string(text), StringType(), False, text, f"{name}()")


SPECIAL: dict[str, Special] = {
    **dict.fromkeys(("current_catalog", "current_database", "current_schema", "current_path"), _current),
    "grouping": _grouping,
    "input_file_name": input_file_name,
    "grouping_id": _grouping_id,
    "count_distinct": _case_fold,
}
