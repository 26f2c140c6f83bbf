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
    if location is not None and _is_path(name) and name[1] != location:
        raise AnalysisError(
            "DELTA_CREATE_TABLE_IDENTIFIER_LOCATION_MISMATCH", identifier=f"delta.`{name[1]}`", location=location
        )
    made = node.table if name else replace(node.table, name=(DELTA, _absolute(location or "", session)), location=None)
    replaces, must_exist = node.mode in ("replace", "create_or_replace"), node.mode == "replace"
    if_not_exists = node.mode == "create_if_not_exists"
    session.run(replace(made, replace=replaces, must_exist=must_exist, if_not_exists=if_not_exists))


def _absolute(location: str, session: Session) -> str:
    """A folder as a name says it, which cannot be relative."""
    return location if location.startswith("/") or ":/" in location else session.runtime.mounts.local(location)


def _is_there(name: tuple[str, ...], session: Session) -> bool:
    found = session.catalog.find(name)
    if isinstance(found, PathTable):
        return found.format == DELTA and LakeTable.exists(session.runtime.mounts.local(found.path))
    return isinstance(found, Table) and found.provider == DELTA


def _is_path(name: tuple[str, ...]) -> bool:
    return len(name) == 2 and name[0].lower() == DELTA
