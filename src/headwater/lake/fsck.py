"""FSCK REPAIR: data files that the log names but that are gone leave the log (Databricks).

Invariants: no file is touched; a table that lacks nothing gets no commit; rows of files that are there stay.
"""

from __future__ import annotations

from headwater.crash import crash_point
from headwater.io.routing import exists
from headwater.lake.actions import AddFile
from headwater.lake.snapshot import local_path
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Draft, Operation


def missing(table: LakeTable) -> list[AddFile]:
    """The live files that are not where the log says, by path."""
    found = [file for file in table.newest().files.values() if not exists(local_path(table.path, file))]
    return sorted(found, key=lambda file: file.path)


def repair(table: LakeTable) -> list[AddFile]:
    """Take them out of the table, in one commit; which they were. Raises DELTA_CONCURRENT_WRITE."""
    with table.changing():
        version, gone = table.newest().version, missing(table)
        if gone:
            crash_point("lake.fsck_ready")
            operation = Operation("FSCK", {"dryRun": "false"}, None, "Serializable", bare=True)
            table.commit(
                Draft(operation, version, removes=tuple(gone), alone=True, metrics={"numRemovedFiles": len(gone)})
            )
    return gone
