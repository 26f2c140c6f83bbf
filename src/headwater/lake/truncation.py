"""DROP FEATURE … TRUNCATE HISTORY: versions that need the feature go from the log, and then the feature itself.

The first time, the newest version is freed of the feature, and an error says to come back when nobody needs the
versions before any more. Then those are cleaned away, and if none is left that needs the feature, it is dropped, as if
it had never been there. `checkpointProtection`, which other ways of dropping features leave, is dropped in this way.

Invariants: what is cleaned away is older than the retention and stands before a checkpoint that stays, oldest first,
so a log that is cut short here can be read at every moment; the feature is dropped only if nobody has committed since
the log was looked through.
Source: Delta 4.3, `AlterTableDropFeatureDeltaCommand`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from headwater.crash import crash_point
from headwater.duck import Connection
from headwater.errors import SparkError
from headwater.lake import alter, checkpoint_reader, downgrade
from headwater.lake.actions import AddFile, Metadata, RemoveFile
from headwater.lake.features import PROTECTION, without_feature
from headwater.lake.log import DeltaLog, LogState
from headwater.lake.transaction import WriteResult
from headwater.lake.vacuum import duration_ms

if TYPE_CHECKING:
    from headwater.lake.table import LakeTable

RETENTION = "delta.dropFeatureTruncateHistory.retentionDuration"
_KEPT, _LOG_RETENTION, _LOG_DEFAULT = "interval 24 hours", "delta.logRetentionDuration", "interval 30 days"
_MINUTE_MS = 60_000
_VERSION = re.compile(r"^\.?(\d{20})\.")


def drop_with_history(table: LakeTable, feature: str, connection: Connection) -> WriteResult:
    """Drop a feature of readers.

    Raises DELTA_FEATURE_DROP_WAIT_FOR_RETENTION_PERIOD the first time, DELTA_FEATURE_DROP_HISTORICAL_VERSIONS_EXIST
    while the log has older versions with the feature, and DELTA_FEATURE_DROP_CONFLICT_REVALIDATION_FAIL.
    """
    had_to = downgrade.PREPARED[feature](table, connection)
    crash_point("lake.truncation_prepared")
    downgrade.barrier(table, feature)
    if had_to:
        raise _later("DELTA_FEATURE_DROP_WAIT_FOR_RETENTION_PERIOD", feature, table)
    state = downgrade.checked(table, feature)
    truncate(table, state)
    if history_needs(feature, table.log, state.version):
        raise _later("DELTA_FEATURE_DROP_HISTORICAL_VERSIONS_EXIST", feature, table)
    made = _dropped(table, feature, state, alter.metadata_of(state, table))
    # Checkpoints of a table with `v2Checkpoint` are of that kind, which Spark reads in no table without the feature.
    downgrade.write_checkpoint(table, feature)
    return made


def drop_protection(table: LakeTable) -> WriteResult:
    """Drop `checkpointProtection`. Raises DELTA_FEATURE_DROP_CHECKPOINT_PROTECTION_WAIT_FOR_RETENTION_PERIOD."""
    state = table.newest()
    metadata = alter.metadata_of(state, table)
    before = int(metadata.configuration.get(downgrade.PROPERTY, "0"))
    if table.log_versions()[0] < before:
        truncate(table, state)
        if table.log_versions()[0] < before:
            raise _later("DELTA_FEATURE_DROP_CHECKPOINT_PROTECTION_WAIT_FOR_RETENTION_PERIOD", PROTECTION, table)
    if downgrade.PROPERTY in metadata.configuration:
        alter.unset_properties(table, [downgrade.PROPERTY])
        state = table.newest()
    return _dropped(table, PROTECTION, state, alter.metadata_of(state, table))


def _dropped(table: LakeTable, feature: str, state: LogState, metadata: Metadata) -> WriteResult:
    assert state.protocol is not None
    protocol = without_feature(state.protocol, feature)
    return downgrade.commit_drop(table, feature, state, metadata, protocol, truncates=True)


def _later(condition: str, feature: str, table: LakeTable) -> SparkError:
    settings = alter.metadata_of(table.newest(), table).configuration
    return SparkError(
        condition,
        feature=feature,
        logRetentionPeriodKey=_LOG_RETENTION,
        logRetentionPeriod=_told(settings.get(_LOG_RETENTION, _LOG_DEFAULT)),
        truncateHistoryLogRetentionPeriod=_told(settings.get(RETENTION, _KEPT)),
    )


def _told(interval: str) -> str:
    return interval.strip().removeprefix("interval").strip()


# ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────


def truncate(table: LakeTable, state: LogState) -> None:
    """Delete what stands in the log before the newest checkpoint that is older than the retention."""
    log, settings = table.log, alter.metadata_of(state, table).configuration
    now = table.clock.now_ms() // _MINUTE_MS * _MINUTE_MS
    cutoff = now - duration_ms(settings.get(RETENTION, _KEPT), RETENTION)
    names = log.storage.list(log.folder)
    old = {version for version, at in log.times() if at <= cutoff and version <= state.version}
    first = next((one.version for one in checkpoint_reader.find(names) if one.version in old), 0)
    for name in _before(first, names):
        crash_point("lake.truncating")
        log.storage.delete(os.path.join(log.folder, name))


def _before(version: int, names: Iterable[str]) -> list[str]:
    """The files of the log of versions before this one, oldest first; of one version, its checkpoints last."""
    found = [name for name in names if (match := _VERSION.match(name)) and int(match[1]) < version]
    return sorted(found, key=lambda name: (name.lstrip(".")[:20], checkpoint_reader.is_checkpoint(name), name))


def history_needs(feature: str, log: DeltaLog, last: int) -> bool:
    """Whether a version up to `last` that the log still has needs the feature."""
    feature = feature.removesuffix("-preview")
    names = log.storage.list(log.folder)
    checkpoints = [one.version for one in checkpoint_reader.find(names, last)]
    earliest = log.load(checkpoints[-1]) if checkpoints else LogState()
    if feature == "v2Checkpoint" and any(map(checkpoint_reader.is_v2, names)):
        return True
    found = [_uses(feature, file) for file in earliest.files.values()]
    if any(found) or (earliest.metadata is not None and _uses(feature, earliest.metadata)):
        return True
    return any(_uses(feature, one) for one in _told_by_commits(log, last))


def _told_by_commits(log: DeltaLog, last: int) -> Iterator[Metadata | AddFile | RemoveFile]:
    for commit in log.commits(log.versions()[0], last):
        yield from (commit.metadata,) if commit.metadata is not None else ()
        yield from commit.adds
        yield from commit.removes


def _uses(feature: str, action: Metadata | AddFile | RemoveFile) -> bool:
    if isinstance(action, Metadata):
        # Columns that might have become wider, but did not, are no trace.
        widening = feature == "typeWidening"
        return downgrade.widened(action) if widening else downgrade.in_use(feature, LogState(metadata=action))
    return feature == "deletionVectors" and action.deletion_vector is not None
