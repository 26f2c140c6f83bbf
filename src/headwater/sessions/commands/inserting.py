"""INSERT: a query's rows into a table, beside its rows or in place of some of them.

Invariants: columns go by position unless BY NAME or a column list says otherwise; what the statement names is checked
before any row is computed; what is replaced goes in the commit that brings the new rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql.types import StructField, StructType

from headwater.catalog import Table
from headwater.errors import AnalysisError, unsupported
from headwater.lake import widening
from headwater.plan.commands import Insert
from headwater.plan.expressions import Alias, Call, Cast, Column, Expression
from headwater.plan.relations import Project, Relation
from headwater.sessions import stored
from headwater.sessions.assigning import by_name, by_position
from headwater.sessions.commands.base import command
from headwater.sessions.commands.replacing import chosen, replace_matches
from headwater.sessions.defaults import filled
from headwater.sessions.evolving import with_brought
from headwater.sessions.saving import AUTO_MERGE, DELTA, Target, is_dynamic, save

if TYPE_CHECKING:
    from headwater.sessions.session import Session

Static = Mapping[str, Expression]
"""The values of partition columns that the statement gives, by the columns' names in lower case."""


@command(Insert)
def insert(node: Insert, session: Session) -> None:
    """INSERT INTO and OVERWRITE. Raises INSERT_COLUMN_ARITY_MISMATCH, NON_PARTITION_COLUMN, and Delta's errors."""
    found = stored.existing(node.table, session)
    static = _static(node, found, session)
    evolves = _evolves(node, found, session)
    plan = _rows(node, found, static, session, evolves=evolves)
    if node.replace_using or node.replace_on is not None:
        _check_delta(found, "INSERT INTO … REPLACE USING and REPLACE ON")
        return replace_matches(node, plan, found, session, evolves=evolves)
    options = {"mergeSchema": "true"} if evolves else {}
    target = stored.target_of(found, session, options, overwrite=node.overwrite)
    if node.replace_where is not None:
        _check_delta(found, "INSERT INTO … REPLACE WHERE")
        target = replace(target, overwrite=True, condition=node.replace_where)
    elif node.overwrite and static:
        target = _overwriting(target, found, static, session)
    return save(plan, target, session)


def _static(node: Insert, found: Table, session: Session) -> Static:
    known = {name.lower() for name in stored.partitions_of(found, session)}
    for name, _ in node.partition:
        if name.lower() not in known:
            raise AnalysisError("NON_PARTITION_COLUMN", columnName=f"`{name}`")
    return {name.lower(): value for name, value in node.partition if value is not None}


def _overwriting(target: Target, found: Table, static: Static, session: Session) -> Target:
    """A partition is named: its rows go, or, where the session says dynamic, those of partitions with new rows."""
    by = stored.partitions_of(found, session)
    if len(static) < len(by) and is_dynamic(target.options, session):
        return target
    _check_delta(found, "INSERT OVERWRITE … PARTITION with values")
    schema = stored.schema_of(found, session)
    same = [
        Call("<=>", (Column((field.name,)), Cast(static[field.name.lower()], field.dataType, "ansi")))
        for field in schema.fields
        if field.name.lower() in static
    ]
    return replace(target, condition=reduce(lambda one, other: Call("and", (one, other)), same))


def _check_delta(found: Table, what: str) -> None:
    if found.provider != DELTA:
        raise unsupported(f"{what} of a table of format {found.provider}", "Use a Delta table.")


# ── columns ─────────────────────────────────────────────────────────────────────────────────────────────────


def _evolves(node: Insert, found: Table, session: Session) -> bool:
    """Whether the query may bring new columns: the statement or the session says so."""
    if node.evolve:
        _check_delta(found, "INSERT WITH SCHEMA EVOLUTION")
    return node.evolve or (found.provider == DELTA and session.settings.flag(AUTO_MERGE))


def _rows(node: Insert, found: Table, static: Static, session: Session, *, evolves: bool) -> Relation:
    """The query's rows in the table's columns, with the partition's values."""
    schema, name = stored.schema_of(found, session), stored.display_name(found)
    if not schema.fields and not evolves:
        return node.query  # which Delta refuses by the names of its columns
    if evolves and not node.columns:
        data = session.resolve(node.query).schema
        widen = widening.enabled(stored.lake_of(found, session).metadata)
        schema = with_brought(schema, data, by_name=node.by_name, skipped=set(static), widen=widen)
    free = StructType([field for field in schema.fields if field.name.lower() not in static])
    wanted = chosen(free, node.columns) if node.columns else free
    plan = filled(node.query, wanted.fields)
    if node.columns:
        plan = by_position(plan, wanted, name, session)
    if node.columns or node.by_name:
        free = stored.written(free, node.columns or session.resolve(plan).schema.names)
        plan = by_name(plan, free, name, session, fill=True)
    else:
        plan = by_position(plan, free, name, session)
    return _with_values(plan, schema, free, static) if static else plan


def _with_values(plan: Relation, schema: StructType, free: StructType, static: Static) -> Relation:
    given = set(free.names)
    return Project(
        plan,
        tuple(_value(field, static) for field in schema.fields if field.name in given or field.name.lower() in static),
    )


def _value(field: StructField, static: Static) -> Expression:
    value = static.get(field.name.lower())
    return Column((field.name,)) if value is None else Alias(Cast(value, field.dataType, "ansi"), (field.name,))
