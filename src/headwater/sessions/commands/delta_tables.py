"""What `delta.tables.DeltaTable` does beyond SQL's commands: finding a table, asking for one, the builder.

Invariant: a table that is not Delta, or not there, is DELTA_MISSING_DELTA_TABLE, whichever it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql.types import BooleanType, StructField, StructType

from headwater.catalog import PathTable, Table, quoted
from headwater.errors import AnalysisError
from headwater.lake.table import LakeTable
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
        name = f"{node.table[0]}.`{node.table[1]}`" if _is_path(node.table) else quoted(node.table)
        raise AnalysisError("DELTA_MISSING_DELTA_TABLE", tableName=name)
    return ReadTable(node.table)


@command(IsDeltaTable)
def is_delta_table(node: IsDeltaTable, session: Session) -> LocalData:
    """Whether a Delta table is in the folder."""
    found = LakeTable.exists(session.runtime.mounts.local(node.path))
    return rows(StructType([StructField("value", BooleanType(), False)]), [(found,)])


@command(BuildDelta)
def build(node: BuildDelta, session: Session) -> None:
    """Create or replace the table as CREATE and REPLACE TABLE do.

    Raises DELTA_CREATE_TABLE_MISSING_TABLE_NAME_OR_LOCATION, TABLE_OR_VIEW_ALREADY_EXISTS, TABLE_OR_VIEW_NOT_FOUND.
    """
    table = node.table
    if not table.name and not table.location:
        raise AnalysisError("DELTA_CREATE_TABLE_MISSING_TABLE_NAME_OR_LOCATION")
    if not table.name:
        table = replace(table, name=(DELTA, table.location or ""), location=None)
    if node.mode == "replace" and not _is_there(table.name, session):
        raise AnalysisError("DELTA_CANNOT_REPLACE_MISSING_TABLE", tableName=quoted(table.name))
    replaces = node.mode in ("replace", "create_or_replace")
    session.run(replace(table, replace=replaces, if_not_exists=node.mode == "create_if_not_exists"))


def _is_there(name: tuple[str, ...], session: Session) -> bool:
    found = session.catalog.find(name)
    if isinstance(found, PathTable):
        return found.format == DELTA and LakeTable.exists(session.runtime.mounts.local(found.path))
    return isinstance(found, Table) and found.provider == DELTA


def _is_path(name: tuple[str, ...]) -> bool:
    return len(name) == 2 and name[0].lower() == DELTA
