"""The hidden column `_metadata` of file reads, and `input_file_name()`, which is taken from it.

Sources give the column only when a plan names it, so that other queries do not pay for it.

Invariant: `*` never includes it; a column of that name in the data hides it.
"""

from __future__ import annotations

from pyspark.sql.types import StringType
from sqlglot import exp

from headwater.compile.compiler import Compiler
from headwater.compile.scope import Scope
from headwater.functions.base import Typed
from headwater.plan import expressions as plan
from headwater.plan.relations import FILE_COLUMN


def input_file_name(node: plan.Call, scope: Scope, compiler: Compiler) -> Typed:
    """The URI of the row's file, an empty text where there is none, as in Spark."""
    del node
    name = "input_file_name()"
    if scope.find((FILE_COLUMN,)) is None:
        return Typed(exp.Literal.string(""), StringType(), False, "", name)
    path = compiler.expression(plan.Column((FILE_COLUMN, "file_path")), scope).sql
    plain = exp.Anonymous(this="starts_with", expressions=[path, exp.Literal.string("file:/")])
    rest = exp.Anonymous(this="substring", expressions=[path.copy(), exp.Literal.number(6)])
    spelled = exp.Anonymous(this="concat", expressions=[exp.Literal.string("file://"), rest])
    return Typed(exp.Case(ifs=[exp.If(this=plain, true=spelled)], default=path.copy()), StringType(), False, name=name)
