"""INSERT … REPLACE USING and REPLACE ON: new rows in the place of those that match one of them, in one commit.

Invariants: a row goes if the condition holds for it and at least one new row (null counts as not); no new rows replace
nothing; the condition sees the values of the new rows as the table stores them; the query is computed once.
Source: Databricks' documentation of INSERT.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.catalog import Table
from headwater.compile import Attribute, Resolved, compile_expression
from headwater.errors import AnalysisError
from headwater.lake.merge import SOURCE, keep_source
from headwater.lake.transaction import Operation
from headwater.plan.commands import Insert
from headwater.plan.expressions import Subquery, SubqueryReference
from headwater.plan.relations import Relation
from headwater.sessions import once, stored
from headwater.sessions.files import named
from headwater.sessions.inputs import reads_table
from headwater.sessions.saving import resolve_batch

if TYPE_CHECKING:
    from headwater.sessions.session import Session


def replace_matches(node: Insert, plan: Relation, found: Table, session: Session, *, evolves: bool) -> None:
    """Put the plan's rows, which have the table's columns, in the place of what they match."""
    table = stored.lake_of(found, session)
    since = table.version if reads_table(plan, table.path, session) else None
    resolved = resolve_batch(plan, session)
    inputs: dict[str, Any] = dict(resolved.inputs)
    if node.replace_using:
        same, facts = _equal(node, resolved, found, session)
    else:
        same, facts = _condition(node, resolved, found, session, inputs)
    names = _names(resolved)
    txn = once.asked(session)
    with session.connection(resolved) as connection:
        keep_source(connection, named(resolved), names)
        table.overwrite(
            connection,
            exp.select(*names).from_(SOURCE),
            resolved.schema,
            merge_schema=evolves,
            replace_where=exp.Exists(this=exp.select("1").from_(SOURCE).where(same)),
            replace_strange=True,
            operation=Operation("WRITE", {"mode": "Overwrite", **facts}),
            txn=txn,
            reads_since=since,
        )
        once.forget(txn, session)


def chosen(schema: StructType, columns: tuple[str, ...]) -> StructType:
    """The fields of a column list, in its order. Raises UNRESOLVED_COLUMN."""
    fields = {field.name.lower(): field for field in schema.fields}
    for name in columns:
        if name.lower() not in fields:
            known = ", ".join(f"`{field.name}`" for field in schema.fields)
            raise AnalysisError("UNRESOLVED_COLUMN.WITH_SUGGESTION", objectName=f"`{name}`", proposal=known)
    return StructType([fields[name.lower()] for name in columns])


def _names(resolved: Resolved) -> list[str]:
    """The columns of `SOURCE`; none of a table's own has such a name."""
    return [f"replacing_{index}" for index in range(len(resolved.schema.fields))]


def _places(resolved: Resolved) -> dict[str, str]:
    """Each column of `SOURCE` by the name, in lower case, of the table's column that it fills."""
    return {field.name.lower(): place for field, place in zip(resolved.schema.fields, _names(resolved), strict=True)}


def _equal(node: Insert, resolved: Resolved, found: Table, session: Session) -> tuple[exp.Expr, dict[str, str]]:
    """Equal in all the columns; null equals nothing, so rows with one stay."""
    keys = chosen(stored.schema_of(found, session), node.replace_using)
    places = _places(resolved)
    same = [
        exp.EQ(this=exp.column(key.name, quoted=True), expression=exp.column(places[key.name.lower()]))
        for key in keys.fields
    ]
    return exp.and_(*same), {"replaceUsing": json.dumps(keys.names, separators=(",", ":"))}


def _condition(
    node: Insert, resolved: Resolved, found: Table, session: Session, inputs: dict[str, Any]
) -> tuple[exp.Expr, dict[str, str]]:
    """What REPLACE ON says of a row of the table and a new row."""
    assert node.replace_on is not None
    if any(isinstance(one, Subquery | SubqueryReference) for one in node.replace_on.walk()):
        raise AnalysisError("DELTA_UNSUPPORTED_SUBQUERY", operation="INSERT INTO … REPLACE ON", cond="a subquery")
    qualifier = (node.alias,) if node.alias else found.full_name if found.database else (found.provider, found.name)
    schema = stored.schema_of(found, session)
    target = [Attribute(f.name, f.dataType, f.nullable, f.name, (qualifier,)) for f in schema.fields]
    scope = (*target, *_given(node, resolved, session))
    typed = compile_expression(node.replace_on, scope, session, inputs)
    return typed.sql, {"replaceOn": typed.name}


def _given(node: Insert, resolved: Resolved, session: Session) -> list[Attribute]:
    """The query's columns by its own names, as the table's columns that they fill."""
    places, types = _places(resolved), {field.name.lower(): field.dataType for field in resolved.schema.fields}
    given = session.resolve(node.query).attributes
    filled = [column.name for column in given] if node.by_name else node.columns or resolved.schema.names
    return [
        Attribute(column.name, types[name.lower()], True, places[name.lower()], column.qualifiers)
        for column, name in zip(given, filled, strict=True)
    ]
