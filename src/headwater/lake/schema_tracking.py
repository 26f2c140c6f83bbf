"""How a stream follows its table's definition through changes that it cannot just go on with.

The stream reads by the newest entry of its schema log (`schemaTrackingLocation`). A commit that changes the definition
is a barrier: a batch ends at it, before the rows of the commit. Once that batch is done for good, the new definition
is written into the log and the stream stops (DELTA_STREAMING_METADATA_EVOLUTION). Started again, it reads by the new
one, if the user allows what has changed.

Invariants: rows before the barrier are read by the old definition, rows after it by the new; the log is written after
the last batch of the old definition is done and before any of the new; both may be repeated.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyspark.sql.types import StructType

from headwater.crash import crash_point
from headwater.errors import AnalysisError, RequirementError, RuntimeSparkError, SparkError
from headwater.io.storage import Storage
from headwater.lake.actions import Commit, Metadata, Protocol
from headwater.lake.mapping import same_file_names
from headwater.lake.schema_changes import Leave, between, other_types
from headwater.lake.schema_log import Entry, SchemaLog

if TYPE_CHECKING:
    from headwater.lake.table import LakeTable

Definition = tuple[Metadata, Protocol]


def log_folder(location: str, table_id: str, tracking_id: str | None) -> str:
    """Where a stream's log lies below its `schemaTrackingLocation`."""
    return os.path.join(location, f"_schema_log_{table_id}" + (f"_{tracking_id}" if tracking_id else ""))


def check_place(folder: str, checkpoint: str, uri: Callable[[str], str]) -> None:
    """Raise DELTA_STREAMING_SCHEMA_LOCATION_NOT_UNDER_CHECKPOINT."""
    inside = os.path.commonpath([os.path.realpath(folder), os.path.realpath(checkpoint)])
    if inside != os.path.realpath(checkpoint):
        raise AnalysisError(
            "DELTA_STREAMING_SCHEMA_LOCATION_NOT_UNDER_CHECKPOINT",
            schemaTrackingLocation=folder,
            checkpointLocation=uri(checkpoint),
        )


def tracked(storage: Storage, folder: str, table: LakeTable) -> SchemaLog:
    """The log, which is this table's. Raises DELTA_STREAMING_SCHEMA_LOG_INCOMPATIBLE_DELTA_TABLE_ID."""
    log = SchemaLog(storage, folder, table.path)
    if log.current is not None and log.current.table_id != table.metadata.id:
        raise AnalysisError(
            "DELTA_STREAMING_SCHEMA_LOG_INCOMPATIBLE_DELTA_TABLE_ID",
            persistedId=log.current.table_id,
            tableId=table.metadata.id,
        )
    return log


def skim(log: SchemaLog, table: LakeTable) -> None:
    """If more changes without rows follow the log's last entry, make one entry of all of them."""
    entry = log.current
    if entry is None:
        return
    found = None
    for commit in table.changes(entry.version):
        if commit.adds or commit.removes or commit.changes or not (commit.metadata or commit.protocol):
            break
        metadata = commit.metadata or (found or entry).metadata(table.metadata)
        protocol = commit.protocol or (found or entry).protocol
        assert protocol is not None
        found = Entry.of(metadata, protocol, commit.version, entry.source_path)
    if found is not None and found.version != entry.version:
        log.write(found, replaces=True)


class Tracking:
    """One running stream's tracking.

    Args:
        source_path: the source's folder in the checkpoint as Spark prints it.
        leave: what the user allows.
    """

    def __init__(self, table: LakeTable, log: SchemaLog, source_path: str, leave: Leave) -> None:
        self._table = table
        self._log = log
        self._source_path = source_path
        self._leave = leave
        state = table.newest()
        assert state.metadata is not None
        assert state.protocol is not None
        self._read: Definition = (state.metadata, state.protocol)
        self._checked = False
        self._entry = log.current
        if self._entry is not None:
            self._read = (self._entry.metadata(state.metadata), self._entry.protocol or state.protocol)

    @property
    def metadata(self) -> Metadata:
        """The definition that the stream reads by."""
        return self._read[0]

    @property
    def active(self) -> bool:
        """Whether the log has an entry that the stream reads by."""
        return self._entry is not None

    def check(self) -> None:
        """Raise unless this log is this source's and what changed since its entry before is allowed."""
        entry = self._entry
        if entry is None or self._checked:
            return
        before = self._log.previous
        if entry.source_path != self._source_path:
            raise RequirementError(
                f"The Delta source metadata path used for execution '{self._source_path}' is different from the one "
                f"persisted for previous processing '{entry.source_path}'. Please check if the schema location has "
                "been reused across different streaming sources. Pick a new `schemaTrackingLocation` or use "
                "`streamingSourceTrackingId` to distinguish between streaming sources."
            )
        if before is None:
            return
        if other_types(before.schema, entry.schema):
            raise SparkError(
                "DELTA_SCHEMA_CHANGED_WITH_VERSION",
                version=entry.version,
                readSchema=before.schema.simpleString(),
                dataSchema=entry.schema.simpleString(),
            )
        changes = between(before.schema, entry.schema)
        if changes:
            self._leave.check(changes, before.version, entry.version)
        self._checked = True

    # ── the first entry ─────────────────────────────────────────────────────────────────────────────────────

    def begin(self, version: int, end: int | None = None) -> None:
        """Write the first entry, if there is none: the definition by which rows from `version` (up to `end`) are read.

        Raises DELTA_STREAMING_METADATA_EVOLUTION if the stream was to read by another one, and
        DELTA_STREAMING_SCHEMA_LOG_INIT_FAILED_INCOMPATIBLE_METADATA if no one definition will do for all of a batch.
        """
        if self.active:
            return
        first = self._table.snapshot(min(version, self._table.refresh()))
        metadata, protocol, known = first.metadata, first.protocol, first.version
        for commit in self._table.changes(version + 1, end) if end is not None and end > version else ():
            known = commit.version
            protocol = commit.protocol or protocol
            if commit.metadata is not None:
                if not _goes_on(metadata, commit.metadata):
                    raise SparkError("DELTA_STREAMING_SCHEMA_LOG_INIT_FAILED_INCOMPATIBLE_METADATA", a=version, b=end)
                metadata = commit.metadata
        entry = self._log.write(Entry.of(metadata, protocol, known, self._source_path))
        if _differs(self._read, metadata, protocol):
            raise _evolved(entry)
        self._entry = entry

    def snapshot(self, version: int) -> None:
        """The stream is about to read the table as it is: by that definition, whatever an earlier start has noted."""
        if self._entry is None or version < self._entry.version:
            return
        now = self._table.snapshot(version)
        if _differs(self._read, now.metadata, now.protocol):
            entry = Entry.of(now.metadata, now.protocol, version, self._source_path)
            raise _evolved(self._log.write(entry, replaces=True))

    # ── a change ────────────────────────────────────────────────────────────────────────────────────────────

    def is_barrier(self, commit: Commit) -> bool:
        """Whether the stream must stop before the rows of a commit, because it changes the definition."""
        if self._entry is None or self._entry.version >= commit.version:
            return False
        return _differs(self._read, commit.metadata, commit.protocol)

    def passed(self, version: int) -> None:
        """The batch that ends at the barrier in `version` is done for good.

        Raises DELTA_STREAMING_METADATA_EVOLUTION once the log has the new definition.
        """
        commit = self._table.commit_at(version)
        if commit is None or not self.is_barrier(commit):
            return
        metadata, protocol = commit.metadata or self._read[0], commit.protocol or self._read[1]
        crash_point("schema_log.before")
        entry = self._log.write(Entry.of(metadata, protocol, version, self._source_path))
        crash_point("schema_log.written")
        raise _evolved(entry)


def _goes_on(old: Metadata, new: Metadata) -> bool:
    """Whether rows of the old definition can be read by the new one."""
    return same_file_names(old, new, later=True) and not other_types(old.schema, new.schema)


def _differs(read: Definition, metadata: Metadata | None, protocol: Protocol | None) -> bool:
    if protocol is not None and _as_sets(protocol) != _as_sets(read[1]):
        return True
    return metadata is not None and _facts(metadata) != _facts(read[0])


def _as_sets(protocol: Protocol) -> tuple[object, ...]:
    features = frozenset(protocol.reader_features), frozenset(protocol.writer_features)
    return protocol.reader_version, protocol.writer_version, *features


def _facts(metadata: Metadata) -> tuple[StructType, tuple[str, ...], dict[str, str]]:
    settings = {key: value for key, value in metadata.configuration.items() if key.startswith("delta.")}
    return metadata.schema, metadata.partition_columns, settings


def _evolved(entry: Entry) -> RuntimeSparkError:
    protocol = entry.protocol or Protocol(1, 2)
    readers, writers = sorted(protocol.reader_features), sorted(protocol.writer_features)
    if protocol.reader_version < 3 and protocol.writer_version < 7:
        shown = f"{protocol.reader_version},{protocol.writer_version}"
    else:
        shown = f"{protocol.reader_version},{protocol.writer_version},[{','.join(readers)}],[{','.join(writers)}]"
    return RuntimeSparkError(
        "DELTA_STREAMING_METADATA_EVOLUTION",
        schema=entry.schema.treeString(),
        config=", ".join(f"{key}:{value}" for key, value in (entry.configuration or {}).items()),
        protocol=shown,
    )
