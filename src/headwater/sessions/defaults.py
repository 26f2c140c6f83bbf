"""Column defaults: what a column holds where a write says DEFAULT or leaves it out.

A default is SQL text in the column's metadata, computed anew by each statement (`current_date()`).

Invariants: a default names no column and has no subquery; DEFAULT stands alone, as a whole value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql.types import DataType, NullType, StructField

from headwater.compile import compile_expression
from headwater.errors import AnalysisError, SparkError
from headwater.lake.identity import EXPLICIT, START, STEP, is_identity
from headwater.lake.rules import GENERATION
from headwater.plan.expressions import Call, Cast, Column, Expression, Literal, Subquery, SubqueryReference
from headwater.plan.relations import CommonTables, Project, Relation, Values
from headwater.sql import parse_expression

if TYPE_CHECKING:
    from headwater.sessions.session import Session

KEY = "CURRENT_DEFAULT"
_CHANGING = frozenset({"rand", "randn", "random", "randstr", "uniform", "uuid", "shuffle"})


def default_of(field: StructField) -> Expression:
    """The column's default in its type; null if it has none."""
    text = (field.metadata or {}).get(KEY)
    if text is None:
        return Cast(Literal(None, NullType()), field.dataType, "ansi")
    return Cast(parse_expression(text), field.dataType, "ansi")


def check(field: StructField, statement: str, session: Session) -> None:
    """Raise INVALID_DEFAULT_VALUE if the column's default cannot be one; `statement` is for the message.

    Raises IDENTITY_COLUMN_WITH_DEFAULT_VALUE, GENERATED_COLUMN_WITH_DEFAULT_VALUE for one that is computed anyway.
    """
    text = (field.metadata or {}).get(KEY)
    if text is None:
        return
    _check_alone(field, text)
    facts = {"statement": statement, "colName": f"`{field.name}`", "defaultValue": text}
    try:
        expression = parse_expression(text)
        kind = _type(expression, session) if not _reads(expression) else None
    except SparkError as error:
        raise AnalysisError("INVALID_DEFAULT_VALUE.UNRESOLVED_EXPRESSION", **facts) from error
    if _reads(expression):
        raise AnalysisError("INVALID_DEFAULT_VALUE.SUBQUERY_EXPRESSION", **facts)
    if any(isinstance(node, Call) and node.name.lower() in _CHANGING for node in expression.walk()):
        raise AnalysisError("INVALID_DEFAULT_VALUE.NON_DETERMINISTIC", **facts)
    from headwater.sessions.assigning import storable

    if not storable(kind or NullType(), field.dataType):
        raise AnalysisError(
            "INVALID_DEFAULT_VALUE.DATA_TYPE", **facts, expectedType=_shown(field.dataType), actualType=_shown(kind)
        )


def _check_alone(field: StructField, text: str) -> None:
    facts = {"colName": field.name, "defaultValue": text}
    if is_identity(field):
        kept = field.metadata
        explicit = str(kept[EXPLICIT]).lower()
        spec = f"IdentityColumnSpec{{start={kept[START]}, step={kept[STEP]}, allowExplicitInsert={explicit}}}"
        raise AnalysisError("IDENTITY_COLUMN_WITH_DEFAULT_VALUE", **facts, identityColumnSpec=spec)
    if GENERATION in field.metadata:
        raise AnalysisError("GENERATED_COLUMN_WITH_DEFAULT_VALUE", **facts, genExpr=field.metadata[GENERATION])


def _reads(expression: Expression) -> bool:
    return any(isinstance(node, Subquery | SubqueryReference) for node in expression.walk())


def _type(expression: Expression, session: Session) -> DataType | None:
    return compile_expression(expression, (), session).type


def _shown(kind: DataType | None) -> str:
    return '"' + ("VOID" if kind is None else kind.simpleString().upper()) + '"'


def is_default(value: Expression) -> bool:
    """Whether the value is the word DEFAULT."""
    return isinstance(value, Column) and len(value.parts) == 1 and value.parts[0].upper() == "DEFAULT"


def filled(plan: Relation, fields: Sequence[StructField]) -> Relation:
    """The query of an INSERT with the defaults of `fields`, by position, where its values are DEFAULT.

    Raises DEFAULT_PLACEMENT_INVALID for a DEFAULT inside an expression.
    """
    if isinstance(plan, Values):
        return replace(plan, rows=tuple(_values(row, fields) for row in plan.rows))
    if isinstance(plan, Project):
        return replace(plan, expressions=_values(plan.expressions, fields))
    if isinstance(plan, CommonTables):
        return replace(plan, body=filled(plan.body, fields))
    return plan


def _values(values: tuple[Expression, ...], fields: Sequence[StructField]) -> tuple[Expression, ...]:
    inner = (node for value in values if not is_default(value) for node in value.walk())
    if any(isinstance(node, Expression) and is_default(node) for node in inner):
        raise AnalysisError("DEFAULT_PLACEMENT_INVALID")
    if not any(map(is_default, values)) or len(values) > len(fields):
        return values
    return tuple(
        default_of(field) if is_default(value) else value for value, field in zip(values, fields, strict=False)
    )
