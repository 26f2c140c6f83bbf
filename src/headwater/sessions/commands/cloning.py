"""CREATE TABLE … SHALLOW CLONE.

Invariants: the result is one row of Delta's six counts, or none if the table was there; the catalog names the clone
once its log is there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql.types import LongType, StructField, StructType

from headwater.catalog import Table
from headwater.errors import AnalysisError, unsupported
from headwater.lake import clone as lake
from headwater.lake.table import LakeTable
from headwater.plan.commands import CloneTable
from headwater.plan.relations import Relation
from headwater.sessions import stored
from headwater.sessions.claiming import making
from headwater.sessions.commands.base import command
from headwater.sessions.commands.restoring import moment
from headwater.sessions.leaves import rows
from headwater.sessions.saving import DELTA

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_RESULT = StructType(
    [
        StructField(name, LongType())
        for name in (
            "source_table_size",
            "source_num_of_files",
            "num_removed_files",
            "num_copied_files",
            "removed_files_size",
            "copied_files_size",
        )
    ]
)


@command(CloneTable)
def clone(node: CloneTable, session: Session) -> Relation:
    """The counts: source_table_size, source_num_of_files, num_removed_files, …"""
    if not node.shallow:
        raise AnalysisError("DELTA_UNSUPPORTED_DEEP_CLONE")
    source = _source(node, session)
    found = stored.writable(node.table, session)
    there = found is not None and LakeTable.exists(found.location or "")
    if there and node.if_not_exists:
        return rows(_RESULT, [])
    if found is not None and not node.replace and (there or found.database):
        raise AnalysisError("DELTA_TABLE_ALREADY_EXISTS", tableName=stored.display_name(found))
    if found is not None and found.provider != DELTA:
        raise AnalysisError("DELTA_NOT_A_DELTA_TABLE", tableName=stored.display_name(found))
    if found is not None and node.location is not None:
        raise _ambiguous(node)
    target = found or _new(node, session)
    with making(target, session):
        counts = _clone(node, source, target, session)
    return rows(_RESULT, [(counts.source_size, counts.source_files, 0, 0, 0, 0)])


def _clone(node: CloneTable, source: Table, target: Table, session: Session) -> lake.Cloned:
    origin = stored.lake_of(source, session)
    version = node.version
    if node.timestamp is not None:
        version = origin.version_at(moment(node.timestamp, session.time_zone))
    table = LakeTable.at(target.location or "", session.runtime.storage, session.runtime.clock)
    counts = lake.clone(table, origin, version, _name(source, session), dict(node.properties))
    if target.database:
        session.catalog.add_table(target, replace=node.replace)
    return counts


def _source(node: CloneTable, session: Session) -> Table:
    """Raises TABLE_OR_VIEW_NOT_FOUND, DELTA_CLONE_UNSUPPORTED_SOURCE."""
    known = session.catalog.stored(node.source)
    source = known if known is not None and known.is_view else stored.existing(node.source, session)
    if source.provider == DELTA:
        return source
    if source.provider == "parquet":
        raise unsupported(
            "SHALLOW CLONE of a parquet table", "Run CONVERT TO DELTA on it, or CREATE TABLE … AS SELECT."
        )
    kind = "View" if source.is_view else source.provider
    raise AnalysisError("DELTA_CLONE_UNSUPPORTED_SOURCE", name=_name(source, session), format=kind)


def _new(node: CloneTable, session: Session) -> Table:
    """A table that is not there yet. Raises DELTA_TABLE_ALREADY_EXISTS, LOCATION_ALREADY_EXISTS."""
    made = stored.define(node.table, DELTA, session, location=node.location)
    folder = made.location or ""
    if LakeTable.exists(folder) and not node.replace:
        raise AnalysisError("DELTA_TABLE_ALREADY_EXISTS", tableName=f"delta.`{folder}`")
    if made.kind == "MANAGED" and session.runtime.storage.list(folder) and not node.replace:
        raise AnalysisError(
            "LOCATION_ALREADY_EXISTS", identifier=stored.display_name(made), location=stored.uri(made, session)
        )
    session.catalog.database((made.database,))
    return replace(made, created_ms=session.runtime.clock.now_ms())


def _name(table: Table, session: Session) -> str:
    return ".".join(table.full_name) if table.database else f"{table.provider}.`{stored.uri(table, session)}`"


def _ambiguous(node: CloneTable) -> AnalysisError:
    return AnalysisError(
        "DELTA_CLONE_AMBIGUOUS_TARGET", externalLocation=node.location, targetIdentifier=".".join(node.table)
    )
