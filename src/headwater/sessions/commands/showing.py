"""SHOW …: lists as tables, with Spark's column names.

Invariant: each kind of list is one function in `_KINDS`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pyspark.sql.types import BooleanType, StringType, StructField, StructType

from headwater.catalog import CATALOG, GLOBAL_TEMP, PathTable, Table, View, quoted
from headwater.errors import AnalysisError, unsupported
from headwater.lake.mapping import partition_of
from headwater.lake.zorder import named
from headwater.plan.commands import Show
from headwater.plan.relations import Relation
from headwater.sessions import facts, stored
from headwater.sessions.commands.base import command
from headwater.sessions.commands.describing import columns_of
from headwater.sessions.files import NULL_PARTITION, TEMPORARY
from headwater.sessions.leaves import rows, text_schema
from headwater.sessions.names import functions_named, matching, tables_in
from headwater.types.ddl import to_ddl

if TYPE_CHECKING:
    from headwater.sessions.session import Session


@command(Show)
def show(node: Show, session: Session) -> Relation:
    """The list."""
    build = _KINDS.get(node.kind)
    if build is None:
        raise unsupported(f"SHOW {node.kind.upper()}")
    return build(node, session)


def _listing(second: str) -> StructType:
    return StructType(
        [
            StructField("namespace", StringType(), False),
            StructField(second, StringType(), False),
            StructField("isTemporary", BooleanType(), False),
        ]
    )


def place_of(item: Table | View) -> str:
    """The database a listing shows for a table or view."""
    if isinstance(item, Table):
        return item.database
    return GLOBAL_TEMP if item.is_global else ""


def _tables(node: Show, session: Session) -> Relation:
    found = tables_in(node.name, node.pattern, session)
    return rows(_listing("tableName"), [(place_of(item), item.name, isinstance(item, View)) for item in found])


def _views(node: Show, session: Session) -> Relation:
    found = tables_in(node.name, node.pattern, session)
    views = [item for item in found if isinstance(item, View) or item.is_view]
    return rows(_listing("viewName"), [(place_of(item), item.name, isinstance(item, View)) for item in views])


def _schemas(node: Show, session: Session) -> Relation:
    names = [database.name for database in session.catalog.metastore.databases()]
    return rows(text_schema("namespace"), [(name,) for name in matching(names, node.pattern, str)])


def _catalogs(node: Show, _: Session) -> Relation:
    return rows(text_schema("catalog"), [(name,) for name in matching([CATALOG], node.pattern, str)])


def _columns(node: Show, session: Session) -> Relation:
    found = session.catalog.get(node.name)
    if isinstance(found, PathTable):
        found = stored.existing(node.name, session)
    return rows(text_schema("col_name"), [(name,) for name in columns_of(node.name, found, session).names])


def _properties(node: Show, session: Session) -> Relation:
    table = session.catalog.stored(node.name) or stored.existing(node.name, session)
    properties = stored.shown_properties(table, session)
    if node.pattern is None:
        return rows(text_schema("key", "value"), sorted(properties.items()))
    missing = f"Table {'.'.join(table.full_name)} does not have property: {node.pattern}"
    return rows(text_schema("key", "value"), [(node.pattern, properties.get(node.pattern, missing))])


def _functions(node: Show, _: Session) -> Relation:
    return rows(text_schema("function"), [(name,) for name, _ in functions_named(node.pattern)])


def _no_functions(_: Show, __: Session) -> Relation:
    return rows(text_schema("function"), [])


def _current_schema(_: Show, session: Session) -> Relation:
    return rows(text_schema("catalog", "namespace"), [(CATALOG, session.catalog.current_database)])


def _extended(node: Show, session: Session) -> Relation:
    """Tables and views by a pattern with what is known of each; with PARTITION one table, and one partition of it."""
    listing = StructType([*_listing("tableName").fields, StructField("information", StringType(), False)])
    if node.partition:
        table = facts.partitioned((*node.name, node.pattern or ""), "SHOW TABLE EXTENDED", session)
        text = "".join(f"{key}: {value}\n" for key, value in facts.partition_of(table, node.partition, session).items())
        return rows(listing, [(table.database, table.name, False, text)])
    found = tables_in(node.name, node.pattern, session)
    told = [(place_of(item), item.name, isinstance(item, View), facts.information(item, session)) for item in found]
    return rows(listing, told)


def _partitions(node: Show, session: Session) -> Relation:
    found = session.catalog.find(node.name)
    if isinstance(found, View) or (isinstance(found, Table) and found.is_view):
        facts.partitioned(node.name, "SHOW PARTITIONS", session)
    table = stored.existing(node.name, session)
    names = partitions(table, session)
    if node.partition:
        by = replace(table, partition_by=stored.partitions_of(table, session))
        wanted = {f"{name}={value}" for name, value in facts.checked(by, node.partition).items()}
        names = [name for name in names if wanted <= set(name.split("/"))]
    return rows(text_schema("partition"), [(name,) for name in names])


def partitions(table: Table, session: Session) -> list[str]:
    """The table's partitions as `a=1/b=x`, sorted. Raises PARTITION_SCHEMA_IS_EMPTY if it has no partition columns."""
    columns = stored.partitions_of(table, session)
    if not columns:
        name = quoted(table.full_name)
        raise AnalysisError("INVALID_PARTITION_OPERATION.PARTITION_SCHEMA_IS_EMPTY", name=name)
    if table.provider == "delta":
        snapshot = stored.lake_of(table, session).snapshot()
        values = (dict(zip(columns, partition_of(snapshot.metadata, f), strict=True)) for f in snapshot.files)
        texts = ({name: "null" if value is None else value for name, value in row.items()} for row in values)
        return sorted({"/".join(f"{name}={value}" for name, value in row.items()) for row in texts})
    root = table.location or ""
    folders = {os.path.relpath(os.path.dirname(f.path), root) for f in session.runtime.storage.walk(root)}
    return sorted(
        unquote(folder).replace(NULL_PARTITION, "null")
        for folder in folders
        if "=" in folder and not folder.startswith(TEMPORARY)
    )


def _create_table(node: Show, session: Session) -> Relation:
    found = session.catalog.get(node.name)
    if isinstance(found, View):
        raise AnalysisError(
            "EXPECT_PERMANENT_VIEW_NOT_TEMP", operation="SHOW CREATE TABLE", viewName=quoted((found.name,))
        )
    if isinstance(found, PathTable):
        raise unsupported("SHOW CREATE TABLE of a path", "Describe it: DESCRIBE EXTENDED.")
    return rows(text_schema("createtab_stmt"), [(create_statement(found, session),)])


def create_statement(table: Table, session: Session) -> str:
    """The statement that makes the table or view."""
    name = ".".join(table.full_name)
    if table.is_view:
        return f"CREATE VIEW {name} AS {table.view_text}\n"
    fields = stored.schema_of(table, session).fields
    columns = ",\n  ".join(to_ddl(StructType([field])) for field in fields)
    made = f"CREATE TABLE {name} (\n  {columns})\n" if fields else f"CREATE TABLE {name}\n"
    parts = [made, f"USING {table.provider}\n"]
    by = stored.partitions_of(table, session)
    if by:
        parts.append(f"PARTITIONED BY ({', '.join(by)})\n")
    clustered = facts.clustered_by(table, session)
    if clustered:
        parts.append(f"CLUSTER BY ({', '.join(map(named, clustered))})\n")
    if table.comment:
        parts.append(f"COMMENT {_literal(table.comment)}\n")
    if table.kind == "EXTERNAL":
        parts.append(f"LOCATION {_literal(stored.uri(table, session))}\n")
    properties = stored.properties_of(table, session)
    if properties:
        rows_ = ",\n  ".join(f"{_literal(key)} = {_literal(value)}" for key, value in sorted(properties.items()))
        parts.append(f"TBLPROPERTIES (\n  {rows_})\n")
    return "".join(parts)


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_KINDS = {
    "tables": _tables,
    "views": _views,
    "schemas": _schemas,
    "catalogs": _catalogs,
    "columns": _columns,
    "tblproperties": _properties,
    "functions": _functions,
    "all functions": _functions,
    "system functions": _functions,
    "user functions": _no_functions,
    "current schema": _current_schema,
    "partitions": _partitions,
    "table extended": _extended,
    "create table": _create_table,
}
