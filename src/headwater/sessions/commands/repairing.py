"""GENERATE, FSCK REPAIR and REPAIR TABLE.

Invariant: what is repaired is the log or the catalog; data files are only read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql.types import BooleanType, StringType, StructField, StructType

from headwater.catalog import Table
from headwater.errors import AnalysisError, IllegalArgumentError
from headwater.lake import fsck as lake
from headwater.lake import manifest
from headwater.lake.snapshot import local_path
from headwater.plan.relations import Relation
from headwater.plan.upkeep import FsckRepair, GenerateManifest, RepairTable
from headwater.sessions import stored
from headwater.sessions.commands.base import command
from headwater.sessions.leaves import rows
from headwater.sessions.saving import DELTA

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_MISSING = StructType(
    [
        StructField("dataFilePath", StringType()),
        StructField("dataFileMissing", BooleanType()),
        StructField("deletionVectorPath", StringType()),
        StructField("deletionVectorFileMissing", BooleanType()),
    ]
)


@command(GenerateManifest)
def generate(node: GenerateManifest, session: Session) -> None:
    """Raises DELTA_MODE_NOT_SUPPORTED, and for tables whose files alone do not say their rows."""
    found = _delta(node.table, "GENERATE", session)
    if node.mode.lower() != manifest.MODE:
        raise IllegalArgumentError("DELTA_MODE_NOT_SUPPORTED", mode=node.mode, supportedModes=manifest.MODE)
    manifest.generate(stored.lake_of(found, session), session.runtime.storage, session.runtime.mounts.uri)


@command(FsckRepair)
def fsck(node: FsckRepair, session: Session) -> Relation:
    """One row for each file that is gone."""
    table = stored.lake_of(_delta(node.table, "FSCK REPAIR TABLE", session), session)
    gone = lake.missing(table) if node.dry_run else lake.repair(table)
    uri = session.runtime.mounts.uri
    return rows(_MISSING, [(uri(local_path(table.path, file)), True, None, False) for file in gone])


@command(RepairTable)
def repair(node: RepairTable, session: Session) -> None:
    """SYNC METADATA: the catalog repeats what the log says. Folders of partitions are found by each query anyway."""
    found = stored.existing(node.table, session)
    if node.what == "metadata":
        table = stored.lake_of(_delta(node.table, "REPAIR TABLE … SYNC METADATA", session), session)
        if found.database:
            session.catalog.add_table(replace(found, comment=table.metadata.description), replace=True)
    elif found.provider == DELTA:
        raise AnalysisError(
            "NOT_A_PARTITIONED_TABLE", operation="MSCK REPAIR TABLE", tableIdentWithDB=stored.display_name(found)
        )


def _delta(name: tuple[str, ...], operation: str, session: Session) -> Table:
    found = stored.existing(name, session)
    if found.provider != DELTA:
        raise AnalysisError("DELTA_TABLE_ONLY_OPERATION", tableName=stored.display_name(found), operation=operation)
    return found
