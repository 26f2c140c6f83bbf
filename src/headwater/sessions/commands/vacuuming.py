"""VACUUM of Delta tables.

Invariant: DRY RUN changes nothing, neither files nor history.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from headwater.catalog import Table
from headwater.errors import AnalysisError
from headwater.lake import vacuum as lake
from headwater.lake.table import LakeTable
from headwater.plan.commands import Vacuum
from headwater.plan.relations import Relation
from headwater.sessions import stored
from headwater.sessions.commands.base import command
from headwater.sessions.leaves import rows, text_schema
from headwater.sessions.saving import DELTA

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"
_LOGGING = "spark.databricks.delta.vacuum.logging.enabled"
_PATH = text_schema("path", optional=("path",))


@command(Vacuum)
def vacuum(node: Vacuum, session: Session) -> Relation:
    """The table's path; with DRY RUN the paths that would be deleted."""
    found = delta_table(node.table, "VACUUM", session)
    _check_whole(found.location or "", session)
    table = stored.lake_of(found, session)
    asked = lake.Vacuum(
        None if node.retain_hours is None else round(node.retain_hours * lake.HOUR_MS),
        node.lite,
        (session.settings.lookup(_CHECK) or "true").lower() == "true",
        (session.settings.lookup(_LOGGING) or "true").lower() == "true",
    )
    if node.dry_run:
        return rows(_PATH, [(session.runtime.mounts.uri(path),) for path in lake.find(table, asked).paths])
    lake.vacuum(table, asked, session.runtime.storage)
    return rows(_PATH, [(stored.uri(found, session),)])


def _check_whole(folder: str, session: Session) -> None:
    """Raises DELTA_UNSUPPORTED_VACUUM_SPECIFIC_PARTITION for a folder inside a table."""
    base = folder
    while not LakeTable.exists(base):
        if os.path.dirname(base) == base:
            return
        base = os.path.dirname(base)
    if base != folder:
        raise AnalysisError(
            "DELTA_UNSUPPORTED_VACUUM_SPECIFIC_PARTITION", baseDeltaPath=session.runtime.mounts.uri(base)
        )


def delta_table(name: tuple[str, ...], operation: str, session: Session) -> Table:
    """The Delta table of that name. Raises TABLE_OR_VIEW_NOT_FOUND, DELTA_TABLE_ONLY_OPERATION."""
    found = stored.existing(name, session)
    if found.provider != DELTA:
        raise AnalysisError("DELTA_TABLE_ONLY_OPERATION", tableName=stored.display_name(found), operation=operation)
    return found
