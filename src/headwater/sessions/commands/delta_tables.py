"""What `delta.tables.DeltaTable` does beyond SQL's commands: finding a table, asking for one, the builder.

Invariant: a table that is not Delta, or not there, is DELTA_MISSING_DELTA_TABLE, whichever it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql.types import BooleanType, StructField, StructType

from headwater.catalog import PathTable, Table, quoted
from headwater.catalog.catalog import already_exists, not_found
from headwater.errors import AnalysisError, unsupported
from headwater.lake import create as lake
from headwater.lake.rules import GENERATION
from headwater.lake.table import LakeTable
from headwater.lake.zorder import column_path
from headwater.plan.delta_tables import BuildDelta, FindDelta, IsDeltaTable
from headwater.plan.relations import LocalData, ReadTable
from headwater.sessions.commands.base import command
from headwater.sessions.leaves import rows
from headwater.sessions.saving import DELTA

if TYPE_CHECKING:
    from headwater.sessions.session import Session


@command(FindDelta)
def find(node: FindDelta, session: Session) -> ReadTable:
    """The table as a relation. Raises DELTA_MISSING_DELTA_TABLE."""
    if not _is_there(node.table, session):
        name = node.table[1:] if _is_path(node.table) else node.table
        raise AnalysisError("DELTA_MISSING_DELTA_TABLE", tableName=quoted(name))
    return ReadTable(node.table)


@command(IsDeltaTable)
def is_delta_table(node: IsDeltaTable, session: Session) -> LocalData:
    """Whether a Delta table is in the folder."""
    found = LakeTable.exists(session.runtime.mounts.local(node.path))
    return rows(StructType([StructField("value", BooleanType(), False)]), [(found,)])


@command(BuildDelta)
def build(node: BuildDelta, session: Session) -> None:
    """Create or replace the table as CREATE and REPLACE TABLE do.

    Raises DELTA_CREATE_TABLE_MISSING_TABLE_NAME_OR_LOCATION, TABLE_OR_VIEW_NOT_FOUND if there is nothing to replace,
    TABLE_OR_VIEW_ALREADY_EXISTS.
    """
    name, location = node.table.name, node.table.location
    if not name and not location:
        raise AnalysisError("DELTA_CREATE_TABLE_MISSING_TABLE_NAME_OR_LOCATION")
    if not name or _is_path(name):
        _build_at(_path(name, location), node, session)
        return
    replaces, must_exist = node.mode in ("replace", "create_or_replace"), node.mode == "replace"
    if_not_exists = node.mode == "create_if_not_exists"
    session.run(replace(node.table, replace=replaces, must_exist=must_exist, if_not_exists=if_not_exists))


def _path(name: tuple[str, ...], location: str | None) -> str:
    if name and location is not None and name[1] != location:
        raise AnalysisError(
            "DELTA_CREATE_TABLE_IDENTIFIER_LOCATION_MISMATCH", identifier=f"delta.`{name[1]}`", location=location
        )
    return name[1] if name else location or ""


def _build_at(path: str, node: BuildDelta, session: Session) -> None:
    """A table that no catalog knows."""
    asked, runtime = node.table, session.runtime
    table = LakeTable.at(runtime.mounts.local(path), runtime.storage, runtime.clock)
    there = table.version >= 0
    if there and node.mode == "create_if_not_exists":
        return
    if there and node.mode == "create":
        raise already_exists((DELTA, path))
    if not there and node.mode == "replace":
        raise not_found((DELTA, path))
    schema = asked.schema or StructType()
    if any(GENERATION in (field.metadata or {}) for field in schema.fields):
        raise unsupported("a generated column of a table without a name", "Give the table a name.")
    clustering = tuple(map(column_path, asked.cluster_by))
    made = lake.NewTable(schema, asked.partition_by, dict(asked.properties), asked.comment, cluster_by=clustering)
    if there:
        lake.replace(table, made, "REPLACE TABLE" if node.mode == "replace" else "CREATE OR REPLACE TABLE")
    else:
        lake.create(table, made)


def _is_there(name: tuple[str, ...], session: Session) -> bool:
    found = session.catalog.find(name)
    if isinstance(found, PathTable):
        return found.format == DELTA and LakeTable.exists(session.runtime.mounts.local(found.path))
    return isinstance(found, Table) and found.provider == DELTA


def _is_path(name: tuple[str, ...]) -> bool:
    return len(name) == 2 and name[0].lower() == DELTA
