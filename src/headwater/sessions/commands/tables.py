"""CREATE TABLE, DROP TABLE | VIEW | SCHEMA, CREATE SCHEMA, USE, and the cache commands.

Invariants: IF [NOT] EXISTS makes a command that has nothing to do succeed; a schema that holds objects is dropped
only with CASCADE.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql.types import StructField, StructType

from headwater.catalog import CATALOG, DEFAULT_DATABASE, GLOBAL_TEMP, Database, Table, quoted
from headwater.catalog.catalog import already_exists, not_found, schema_not_found
from headwater.errors import AnalysisError, unsupported
from headwater.io.formats import FormatOptions
from headwater.lake.identity import is_identity
from headwater.lake.rules import GENERATION
from headwater.plan.commands import CacheTable, CreateSchema, CreateTable, DropObject, Use
from headwater.sessions import defaults, stored
from headwater.sessions.commands.base import command
from headwater.sessions.rules import RulesContext, generation
from headwater.sessions.saving import DELTA, check_format

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_DEFAULT_FORMAT = "spark.sql.sources.default"


@command(CreateTable)
def create_table(node: CreateTable, session: Session) -> None:
    """CREATE [OR REPLACE] TABLE [AS]. Raises TABLE_OR_VIEW_ALREADY_EXISTS."""
    before = stored.in_place(node.name, session)
    if before is not None and node.if_not_exists:
        return
    if before is not None and (not node.replace or before.is_view):
        raise already_exists(before.full_name if before.database else node.name)
    if before is None and node.must_exist:
        raise not_found(node.name if stored.names_folder(node.name, session) else session.catalog.split(node.name))
    if node.like:
        node = _like(node, session)
    table = _table(node, before, session)
    verb = "REPLACE TABLE" if node.must_exist else "CREATE OR REPLACE TABLE" if node.replace else "CREATE TABLE"
    if node.query is not None:
        stored.create_from(node.query, table, session, node.options, replacing=node.replace, verb=verb)
    else:
        _check_definition(node, table, session)
        stored.create_empty(table, node.schema, session, replacing=node.replace, verb=verb)


def _like(node: CreateTable, session: Session) -> CreateTable:
    """The columns and partitioning of another table; nothing else of it, and no NOT NULL, as in Spark."""
    source = stored.existing(node.like, session)
    fields = [
        StructField(f.name, f.dataType, True, {k: v for k, v in (f.metadata or {}).items() if k == "comment"})
        for f in stored.schema_of(source, session).fields
    ]
    provider = node.provider or source.provider
    return replace(
        node, schema=StructType(fields), partition_by=stored.partitions_of(source, session), provider=provider
    )


def _check_definition(node: CreateTable, table: Table, session: Session) -> None:
    """Raise if columns are computed by expressions that cannot be, or in a format that has none."""
    fields = node.schema.fields if node.schema is not None else []
    expressions = {f.name: (f.metadata or {}).get(GENERATION) for f in fields}
    for field in fields:
        defaults.check(field, "CREATE TABLE", session)
    if any(map(is_identity, fields)) and table.provider != DELTA:
        name = stored.display_name(table)
        raise AnalysisError("UNSUPPORTED_FEATURE.TABLE_OPERATION", tableName=name, operation="identity columns")
    if not any(expressions.values()):
        return
    if table.provider != DELTA:
        raise unsupported(f"a generated column in a table of format {table.provider}")
    assert node.schema is not None
    with session.connection() as connection:
        for name, text in expressions.items():
            if text is not None:
                generation(name, text, node.schema, RulesContext(connection))


def _table(node: CreateTable, before: Table | None, session: Session) -> Table:
    provider = check_format(node.provider or session.settings[_DEFAULT_FORMAT])
    location = node.location or FormatOptions(node.options).get("path")
    if location is None and before is not None and before.kind == "EXTERNAL":
        location = before.location
    table = stored.define(node.name, provider, session, location=location, options=node.options)
    if node.cluster_by and node.partition_by:
        raise AnalysisError("SPECIFY_CLUSTER_BY_WITH_PARTITIONED_BY_IS_NOT_ALLOWED")
    if node.cluster_by and provider != DELTA:
        raise unsupported(f"clustering columns of a table of format {provider}", "Use a Delta table.")
    return replace(
        table,
        partition_by=node.partition_by,
        cluster_by=node.cluster_by,
        properties=dict(node.properties),
        comment=node.comment,
    )


@command(DropObject)
def drop_object(node: DropObject, session: Session) -> None:
    """DROP. Raises TABLE_OR_VIEW_NOT_FOUND, SCHEMA_NOT_FOUND, WRONG_COMMAND_FOR_OBJECT_TYPE."""
    if node.kind == "schema":
        drop_schema(node.name, session, if_exists=node.if_exists, cascade=node.cascade)
    else:
        drop_table(node, session)


def drop_table(node: DropObject, session: Session) -> None:
    """DROP TABLE and DROP VIEW; a temporary view of that name comes first."""
    if len(node.name) == 1 and session.catalog.drop_view(node.name[0]):
        return
    if len(node.name) == 2 and node.name[0].lower() == GLOBAL_TEMP:
        if not session.catalog.drop_view(node.name[1], is_global=True) and not node.if_exists:
            raise not_found(node.name)
        return
    found = session.catalog.stored(node.name) if node.kind == "view" else stored.in_place(node.name, session)
    if found is None:
        if not node.if_exists:
            raise not_found((CATALOG, *session.catalog.split(node.name)))
        return
    if node.kind == "view" and not found.is_view:
        raise AnalysisError(
            "WRONG_COMMAND_FOR_OBJECT_TYPE",
            operation="DROP VIEW",
            requiredType="VIEW or METRIC_VIEW",
            objectName=".".join(found.full_name),
            foundType=found.kind,
            alternative="DROP TABLE",
        )
    if found.database:
        # What no catalog knows, none can forget: the files stay, as in Delta.
        stored.drop(found, session)


def drop_schema(parts: tuple[str, ...], session: Session, *, if_exists: bool, cascade: bool) -> None:
    """DROP SCHEMA. Raises SCHEMA_NOT_FOUND, SCHEMA_NOT_EMPTY."""
    name = session.catalog.database_name(parts)
    if name == DEFAULT_DATABASE:
        raise AnalysisError("UNSUPPORTED_FEATURE.DROP_DATABASE", database=quoted((CATALOG, name)))
    database = session.catalog.metastore.database(name)
    if database is None:
        if not if_exists:
            raise schema_not_found(name)
        return
    tables = session.catalog.metastore.drop_database(name, cascade=cascade)
    if tables is None:
        raise AnalysisError("SCHEMA_NOT_EMPTY", schemaName=quoted((name,)))
    for table in tables:
        stored.remove_files(table, session)
    if not session.runtime.storage.list(database.location):
        session.runtime.storage.delete(database.location)


@command(CreateSchema)
def create_schema(node: CreateSchema, session: Session) -> None:
    """CREATE SCHEMA. Raises SCHEMA_ALREADY_EXISTS."""
    name = session.catalog.database_name(node.name)
    runtime = session.runtime
    folder = runtime.mounts.local(node.location) if node.location else f"{runtime.warehouse}/{name}.db"
    database = Database(name, folder, node.comment, dict(node.properties))
    if not session.catalog.metastore.add_database(database) and not node.if_not_exists:
        raise AnalysisError("SCHEMA_ALREADY_EXISTS", schemaName=quoted((name,)))


@command(Use)
def use(node: Use, session: Session) -> None:
    """USE. Raises SCHEMA_NOT_FOUND, CATALOG_NOT_FOUND."""
    if node.kind == "catalog":
        session.catalog.check_catalog(node.name[-1])
    elif node.name == (CATALOG,):
        session.catalog.current_database = DEFAULT_DATABASE
    else:
        session.catalog.use(node.name)


@command(CacheTable)
def cache_table(node: CacheTable, session: Session) -> None:
    """CACHE, UNCACHE, REFRESH: only checks the name; DuckDB reads the files each time."""
    if node.kind in {"cache", "uncache", "refresh"} and node.name:
        session.catalog.get(node.name)
