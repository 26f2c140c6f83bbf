"""Plan nodes to one DuckDB statement.

`compile_relation` gives the whole statement; `compile_expression` one expression over known columns.
"""

from __future__ import annotations

from typing import Any

from headwater.compile import relations as _relations  # noqa: F401 (enters the handlers)
from headwater.compile import storing as _storing  # noqa: F401
from headwater.compile import structs as _structs  # noqa: F401
from headwater.compile import subqueries as _subqueries  # noqa: F401
from headwater.compile import windows as _windows  # noqa: F401
from headwater.compile.compiler import Compiler
from headwater.compile.context import Context
from headwater.compile.relations.aggregate import AggregatePieces, compile_aggregate
from headwater.compile.relations.joins import JoinKey, JoinPieces, compile_join
from headwater.compile.resolved import Attribute, Resolved
from headwater.compile.scope import Scope
from headwater.functions.base import Typed
from headwater.plan.expressions import Expression
from headwater.plan.relations import Relation

__all__ = [
    "AggregatePieces",
    "Attribute",
    "Compiler",
    "Context",
    "JoinKey",
    "JoinPieces",
    "Resolved",
    "compile_aggregate",
    "compile_cut",
    "compile_expression",
    "compile_join",
    "compile_relation",
]


def compile_relation(relation: Relation, context: Context) -> Resolved:
    """The DuckDB query of a relation and Spark's view of its columns.

    A relation without columns gives a query with one column `nothing`, so that its rows can be counted.

    Raises:
        AnalysisError: a name, type or function cannot be resolved.
        UnsupportedError: Spark has it, Headwater does not.
    """
    return Compiler(context).resolved(relation)


def compile_cut(relation: Relation, context: Context) -> Resolved:
    """As `compile_relation`, for a part of a plan: the attributes remember which DataFrames they are of."""
    return Compiler(context).cut(relation)


def compile_expression(
    expression: Expression, attributes: tuple[Attribute, ...], context: Context, inputs: dict[str, Any] | None = None
) -> Typed:
    """A DuckDB expression over columns named by `attributes[i].sql`. Raises as `compile_relation`.

    The Arrow data that its subqueries name is added to `inputs`.
    """
    compiler = Compiler(context)
    compiler.types.update({a.sql: a.type for a in attributes})
    compiler.remember(attributes)
    typed = compiler.expression(expression, Scope(attributes, fold=compiler.fold))
    if inputs is not None:
        inputs.update(compiler.inputs)
    return typed
