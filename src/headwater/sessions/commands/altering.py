"""ALTER TABLE and COMMENT ON TABLE: changes of a table's definition, in its log and in the catalog.

Invariants: the log of a Delta table is changed first; the catalog only repeats its comment.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import StructField

from headwater.catalog import Table
from headwater.catalog.catalog import already_exists
from headwater.crash import crash_point
from headwater.errors import AnalysisError, unsupported
from headwater.io.paths import is_remote
from headwater.lake import alter, columns, renaming, unmapping
from headwater.lake.drop_feature import drop_feature
from headwater.lake.identity import is_identity
from headwater.lake.mapping import MODE
from headwater.lake.table import LakeTable
from headwater.lake.widening import type_at
from headwater.lake.zorder import column_path
from headwater.plan.commands import AlterTable, CommentOn
from headwater.sessions import defaults, stored
from headwater.sessions.commands.base import command
from headwater.sessions.dependents import check_unused
from headwater.sessions.rules import RulesContext, check
from headwater.sessions.saving import DELTA

if TYPE_CHECKING:
    from headwater.sessions.session import Session


@command(AlterTable)
def alter_table(node: AlterTable, session: Session) -> None:
    """ALTER TABLE. Raises TABLE_OR_VIEW_NOT_FOUND and the errors of the change."""
    table = stored.existing(node.table, session)
    if node.change in _CATALOG:
        return _CATALOG[node.change](table, dict(node.arguments), session)
    if table.provider != DELTA:
        name = stored.display_name(table)
        raise AnalysisError("DELTA_TABLE_ONLY_OPERATION", tableName=name, operation="ALTER TABLE")
    return _DELTA[node.change](table, dict(node.arguments), session)


# ── columns ─────────────────────────────────────────────────────────────────────────────────────────────────


def _add_columns(table: Table, given: dict[str, Any], session: Session) -> None:
    added = [alter.NewColumn(path, field, position) for path, field, position in given["columns"]]
    if any("CURRENT_DEFAULT" in column.field.metadata for column in added):
        raise AnalysisError("WRONG_COLUMN_DEFAULTS_FOR_DELTA_ALTER_TABLE_ADD_COLUMN_NOT_SUPPORTED")
    if any("delta.generationExpression" in column.field.metadata for column in added):
        raise unsupported("adding a generated column", "Create the table with it.")
    if any(is_identity(column.field) for column in added):
        raise unsupported("adding an identity column", "Create the table with it.")
    alter.add_columns(stored.lake_of(table, session), added)


def _alter_column(table: Table, given: dict[str, Any], session: Session) -> None:
    path = given["column"]
    if len(path) > 1 and given.get("nullable") is False:
        raise unsupported("SET NOT NULL of a struct's field")
    if "type" in given and is_identity(columns.field_of(stored.lake_of(table, session).metadata.schema, path[:1])):
        raise AnalysisError("DELTA_IDENTITY_COLUMNS_ALTER_COLUMN_NOT_SUPPORTED")
    changes = alter.Changes(given.get("comment"), given.get("nullable"), given.get("position"), given.get("type"))
    with session.connection() as connection:
        alter.change_column(stored.lake_of(table, session), path, changes, connection, check_unused)


def _set_default(table: Table, given: dict[str, Any], session: Session) -> None:
    lake = stored.lake_of(table, session)
    text = given["expression"]
    if text is not None:
        field = columns.field_of(lake.metadata.schema, given["column"])
        made = StructField(field.name, field.dataType, field.nullable, {defaults.KEY: text})
        defaults.check(made, "ALTER TABLE ALTER COLUMN", session)
    columns.set_default(lake, given["column"], text)


def _sync_identity(table: Table, given: dict[str, Any], session: Session) -> None:
    with session.connection() as connection:
        columns.sync_identity(stored.lake_of(table, session), given["column"], connection)


def _cluster_by(table: Table, given: dict[str, Any], session: Session) -> None:
    columns.cluster_by(stored.lake_of(table, session), tuple(map(column_path, given["columns"])))


def _drop_feature(table: Table, given: dict[str, Any], session: Session) -> None:
    lake = stored.lake_of(table, session)
    with session.connection() as connection:
        drop_feature(lake, given["feature"], connection, truncate_history=given["truncate"])


def _rename_column(table: Table, given: dict[str, Any], session: Session) -> None:
    renaming.rename_column(stored.lake_of(table, session), given["column"], given["name"], check_unused)


def _drop_columns(table: Table, given: dict[str, Any], session: Session) -> None:
    lake = stored.lake_of(table, session)
    columns = given["columns"]
    if given["if_exists"]:
        columns = [path for path in columns if type_at(lake.schema, path) is not None]
    if columns:
        renaming.drop_columns(lake, columns, check_unused)


# ── constraints ─────────────────────────────────────────────────────────────────────────────────────────────


def _add_constraint(table: Table, given: dict[str, Any], session: Session) -> None:
    lake = stored.lake_of(table, session)
    with session.connection() as connection:
        made = check(given["name"], given["expression"], lake.schema, RulesContext(connection))
        alter.add_constraint(lake, made, given["expression"], connection)


def _drop_constraint(table: Table, given: dict[str, Any], session: Session) -> None:
    alter.drop_constraint(stored.lake_of(table, session), given["name"], if_exists=given["if_exists"])


# ── properties ──────────────────────────────────────────────────────────────────────────────────────────────


def _set_properties(table: Table, given: dict[str, Any], session: Session) -> None:
    properties = dict(given["properties"])
    lake = stored.lake_of(table, session)
    modes = [key for key, value in properties.items() if key.lower() == MODE.lower() and value.lower() == "none"]
    if modes and unmapping.is_mapped(lake):
        with session.connection() as connection:
            unmapping.remove_mapping(lake, connection)
        properties = {key: value for key, value in properties.items() if key not in modes}
        if not properties:
            return
    alter.set_properties(lake, properties)
    if "comment" in properties and table.database:
        session.catalog.add_table(replace(table, comment=properties["comment"]), replace=True)


@command(CommentOn)
def comment_on(node: CommentOn, session: Session) -> None:
    """COMMENT ON TABLE. Raises TABLE_OR_VIEW_NOT_FOUND."""
    if node.kind != "table":
        raise unsupported("COMMENT ON SCHEMA", "Give the COMMENT when the schema is created.")
    table = stored.existing(node.name, session)
    text = node.comment or ""
    if table.provider == DELTA:
        return _set_properties(table, {"properties": (("comment", text),)}, session)
    session.catalog.add_table(replace(table, comment=text), replace=True)
    return None


def _unset_properties(table: Table, given: dict[str, Any], session: Session) -> None:
    lake, keys = stored.lake_of(table, session), list(given["keys"])
    if MODE.lower() in map(str.lower, keys) and unmapping.is_mapped(lake):
        with session.connection() as connection:
            unmapping.remove_mapping(lake, connection, unset=True)
        keys = [key for key in keys if key.lower() != MODE.lower()]
    if keys or not given["keys"]:
        alter.unset_properties(lake, keys)
    if "comment" in given["keys"] and table.database:
        session.catalog.add_table(replace(table, comment=None), replace=True)


# ── name and place ──────────────────────────────────────────────────────────────────────────────────────────


def _rename(table: Table, given: dict[str, Any], session: Session) -> None:
    """The table under another name; the folder of a managed one goes with it.

    Killed half-way, it is still to be found under one of the two names: both stand until the folder has moved.
    """
    if not table.database:
        raise AnalysisError("DELTA_CANNOT_RENAME_PATH", currentPath=table.location, newPath=".".join(given["name"]))
    parts = given["name"] if len(given["name"]) > 1 else (table.database, *given["name"])
    database, name = session.catalog.split(parts)
    if session.catalog.stored(parts) is not None:
        raise already_exists((*table.full_name[:1], database, name))
    moved = replace(table, database=database, name=name)
    if table.kind == "MANAGED":
        _check_movable(table, parts, session)
        moved = replace(moved, location=_free_folder(parts, session))
    session.catalog.add_table(moved)
    try:
        if table.location and moved.location and moved.location != table.location:
            crash_point("catalog.table_named")
            os.rename(table.location, moved.location)
            crash_point("catalog.table_moved")
    except OSError:
        session.catalog.metastore.drop_table(database, name)
        raise
    session.catalog.metastore.drop_table(table.database, table.name)


def _check_movable(table: Table, parts: tuple[str, ...], session: Session) -> None:
    if is_remote(table.location or "") or is_remote(session.catalog.managed_location(parts)):
        raise unsupported(
            "renaming a managed table whose files lie in S3: no folder there can be renamed at once",
            "Give the table a LOCATION when it is made: then its name alone changes.",
        )


def _free_folder(parts: tuple[str, ...], session: Session) -> str:
    """Where a managed table of that name goes. Raises LOCATION_ALREADY_EXISTS."""
    folder = session.catalog.managed_location(parts)
    if session.runtime.storage.list(folder):
        uri = session.runtime.mounts.uri(folder)
        raise AnalysisError("LOCATION_ALREADY_EXISTS", identifier=".".join(parts), location=uri)
    if os.path.isdir(folder):
        os.rmdir(folder)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    return folder


def _set_location(table: Table, given: dict[str, Any], session: Session) -> None:
    """Another folder with a table of the same columns."""
    if not table.database:
        raise AnalysisError("DELTA_CANNOT_SET_LOCATION_ON_PATH_IDENTIFIER")
    folder = session.runtime.mounts.local(given["location"])
    if table.provider == DELTA:
        if not LakeTable.exists(folder):
            raise AnalysisError("DELTA_MISSING_DELTA_TABLE", tableName=f"`{given['location']}`")
        here, there = stored.lake_of(table, session).schema, LakeTable.open(folder).schema
        if here != there:
            raise AnalysisError(
                "DELTA_SET_LOCATION_SCHEMA_MISMATCH",
                original=here.treeString(),
                destination=there.treeString(),
                config="spark.databricks.delta.alterLocation.bypassSchemaCheck",
            )
    session.catalog.add_table(replace(table, location=folder, kind="EXTERNAL"), replace=True)


_Runner = Callable[[Table, "dict[str, Any]", "Session"], None]
_CATALOG: dict[str, _Runner] = {"rename": _rename, "set location": _set_location}
_DELTA: dict[str, _Runner] = {
    "add columns": _add_columns,
    "alter column": _alter_column,
    "set default": _set_default,
    "cluster by": _cluster_by,
    "drop feature": _drop_feature,
    "sync identity": _sync_identity,
    "rename column": _rename_column,
    "drop columns": _drop_columns,
    "add constraint": _add_constraint,
    "drop constraint": _drop_constraint,
    "set properties": _set_properties,
    "unset properties": _unset_properties,
}
