"""RESTORE of Delta tables.

Invariant: the result is one row of Delta's six counts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pyspark.sql.types import LongType, StructField, StructType

from headwater.errors import AnalysisError
from headwater.lake.restore import restore as restore_table
from headwater.lake.table import LakeTable
from headwater.plan.commands import Restore
from headwater.plan.relations import Relation
from headwater.sessions import stored
from headwater.sessions.commands.base import command
from headwater.sessions.commands.vacuuming import delta_table
from headwater.sessions.leaves import rows
from headwater.sources.delta import parse_time

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_RESULT = StructType(
    [
        StructField(name, LongType())
        for name in (
            "table_size_after_restore",
            "num_of_files_after_restore",
            "num_removed_files",
            "num_restored_files",
            "removed_files_size",
            "restored_files_size",
        )
    ]
)
_IGNORE_MISSING = "spark.sql.files.ignoreMissingFiles"


@command(Restore)
def restore(node: Restore, session: Session) -> Relation:
    """The counts: table_size_after_restore, num_of_files_after_restore, num_removed_files, …"""
    table = stored.lake_of(delta_table(node.table, "RESTORE", session), session)
    version, asked = node.version, None
    if version is None:
        moment_ms = moment(node.timestamp or "", session.time_zone)
        version, asked = version_at(table, moment_ms, session.time_zone), instant(moment_ms, session.time_zone)
    done = restore_table(table, version, asked, ignore_missing=session.settings.flag(_IGNORE_MISSING))
    found = (done.table_size, done.files, done.removed, done.added, done.removed_size, done.added_size)
    return rows(_RESULT, [found])


def moment(text: str, zone: str) -> int:
    """Milliseconds since the epoch of a date or time in the session's zone. Raises DELTA_TIMESTAMP_INVALID."""
    try:
        return parse_time(text, zone)
    except AnalysisError as cause:
        raise AnalysisError("DELTA_TIMESTAMP_INVALID", expr=f"'{text}'") from cause


def version_at(table: LakeTable, moment_ms: int, zone: str) -> int:
    """The newest version at a time. Raises DELTA_CANNOT_RESTORE_TIMESTAMP_EARLIER and …_GREATER."""
    times = table.log.times()
    asked, first, last = (instant(ms, zone) for ms in (moment_ms, times[0][1], times[-1][1]))
    if moment_ms < times[0][1]:
        raise AnalysisError("DELTA_CANNOT_RESTORE_TIMESTAMP_EARLIER", requestedTimestamp=asked, earliestTimestamp=first)
    if moment_ms > times[-1][1]:
        raise AnalysisError("DELTA_CANNOT_RESTORE_TIMESTAMP_GREATER", requestedTimestamp=asked, latestTimestamp=last)
    return table.version_at(moment_ms)


def instant(moment_ms: int, zone: str) -> str:
    """A time as Java's Timestamp prints it in the session's zone: no zeros at the end, but at least one digit."""
    text = datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S.%f")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}"
