"""A Delta table: the only face of Delta for the rest of the house.

A `LakeTable` is a handle on one table folder. It holds the newest version it has seen and moves forward commit by
commit; reads go through immutable snapshots. Rows are written by DuckDB, straight from its query to the table's
files, and become visible with one commit.

Invariants: a write is all or nothing; a batch with a `txn` is added once, however many processes try; a snapshot is
untouched by later commits. A handle may be used by several threads.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.clock import Clock, SystemClock
from headwater.crash import crash_point
from headwater.duck import Connection
from headwater.errors import AnalysisError
from headwater.io import paths
from headwater.io.routing import RoutedStorage
from headwater.io.storage import Storage
from headwater.lake import checkpoint, identity, replace
from headwater.lake.actions import AddFile, ChangeFile, Commit, Metadata
from headwater.lake.change_feed import enabled
from headwater.lake.change_files import write as write_changes
from headwater.lake.conflicts import reads
from headwater.lake.create import NewTable
from headwater.lake.create import create as create_table
from headwater.lake.files import FileWriter
from headwater.lake.log import DeltaLog, LogState
from headwater.lake.mapping import user_schema
from headwater.lake.merge import Counts, Merge, Merging
from headwater.lake.merge import check as check_merge
from headwater.lake.partitions import PartitionPredicate
from headwater.lake.plan import Planned, Write, plan
from headwater.lake.rules import NO_RULES, Rules, generating, rules_of
from headwater.lake.snapshot import Snapshot
from headwater.lake.transaction import Draft, Operation, WriteResult, commit, discard, seen

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from headwater.lake.plan import WriteArguments

_locks: dict[tuple[str, str], threading.RLock] = {}
_locks_guard = threading.Lock()


def _lock_of(path: str, what: str = "commit") -> threading.RLock:
    """One per table and process: threads of one server queue up instead of racing for version numbers.

    Those that change rows queue up (`what`: `change`) for all of their work, so that they never conflict.
    """
    with _locks_guard:
        return _locks.setdefault((paths.real(path), what), threading.RLock())


class LakeTable:
    """A handle on the Delta table in the folder `path`.

    Use `open`, `at` or `create`.
    """

    def __init__(self, path: str, storage: Storage, clock: Clock) -> None:
        self.path = path
        self._log = DeltaLog(path, storage)
        self._durable = bool(getattr(storage, "durable", True))
        self._clock = clock
        self._lock = _lock_of(path)
        self._state = LogState()
        self._snapshot: Snapshot | None = None
        self._writer: FileWriter | None = None

    # ── opening ─────────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def at(cls, path: str, storage: Storage | None = None, clock: Clock | None = None) -> LakeTable:
        """A handle on `path` whether or not a table is there (`version` -1: the first write makes it)."""
        table = cls(paths.absolute(path), storage or RoutedStorage(), clock or SystemClock())
        with table._lock:
            table._state = table._log.load()
        return table

    @classmethod
    def open(cls, path: str, storage: Storage | None = None, clock: Clock | None = None) -> LakeTable:
        """A handle on an existing table. Raises DELTA_TABLE_NOT_FOUND."""
        table = cls.at(path, storage, clock)
        if table.version < 0:
            raise AnalysisError("DELTA_TABLE_NOT_FOUND", tableName=f"delta.`{table.path}`")
        return table

    @staticmethod
    def exists(path: str) -> bool:
        """Whether a Delta table is in the folder `path`."""
        return DeltaLog(path, RoutedStorage()).exists()

    @classmethod
    def create(
        cls,
        path: str,
        schema: StructType,
        partition_by: Sequence[str] = (),
        properties: Mapping[str, str] | None = None,
        description: str | None = None,
    ) -> LakeTable:
        """Make an empty table. Raises DELTA_TABLE_ALREADY_EXISTS."""
        table = cls.at(path)
        if table.version >= 0:
            raise AnalysisError("DELTA_TABLE_ALREADY_EXISTS", tableName=f"delta.`{table.path}`")
        create_table(table, NewTable(schema, tuple(partition_by), properties or {}, description))
        return table

    # ── what it is ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def version(self) -> int:
        """The newest version this handle has seen; -1 if there is no table yet."""
        return self._state.version

    @property
    def metadata(self) -> Metadata:
        """Schema, partitioning and properties. Raises DELTA_TABLE_NOT_FOUND if there is no table yet."""
        if self._state.metadata is None:
            raise AnalysisError("DELTA_TABLE_NOT_FOUND", tableName=f"delta.`{self.path}`")
        return self._state.metadata

    @property
    def schema(self) -> StructType:
        """The table's columns, as users see them."""
        return user_schema(self.metadata.schema)

    @property
    def partition_by(self) -> tuple[str, ...]:
        """The partition columns."""
        return self.metadata.partition_columns

    def refresh(self) -> int:
        """Move the handle to the newest version; returns it."""
        with self._lock:
            self._log.advance(self._state)
            return self._state.version

    def transaction_version(self, app_id: str) -> int | None:
        """The last version that `app_id` has written, at this handle's version."""
        return self._state.txns.get(app_id)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────

    def snapshot(self, version: int | None = None, timestamp_ms: int | None = None) -> Snapshot:
        """The table at a version, or at a time (milliseconds since the epoch), or as the handle has it.

        Raises DELTA_VERSION_NOT_FOUND, DELTA_TIMESTAMP_GREATER_THAN_COMMIT and their kin.
        """
        with self._lock:
            if timestamp_ms is not None:
                version = self.version_at(timestamp_ms)
            if version is None or version == self._state.version:
                if self._snapshot is None or self._snapshot.version != self._state.version:
                    self._snapshot = self._as_snapshot(self._state)
                return self._snapshot
            return self._as_snapshot(self._log.load(version))

    def commit_at(self, version: int) -> Commit | None:
        """The commit that made `version`, or None if there is none (yet); the handle does not move."""
        return self._log.commit(version)

    def log_versions(self) -> tuple[int, int]:
        """The first and last version whose commit is still in the log; (-1, -1) without any."""
        return self._log.versions()

    def version_at(self, timestamp_ms: int) -> int:
        """The newest version committed at or before a time. Raises if that is before the first or after the last."""
        times = self._log.times()
        if not times or timestamp_ms < times[0][1]:
            first = _instant(times[0][1]) if times else "none"
            raise AnalysisError(
                "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION",
                userTimestamp=_instant(timestamp_ms),
                commitTs=first,
                timestampString=first,
            )
        if timestamp_ms > times[-1][1]:
            raise AnalysisError(
                "DELTA_TIMESTAMP_GREATER_THAN_COMMIT",
                providedTimestamp=_instant(timestamp_ms),
                tableName=self.path,
                maximumTimestamp=_instant(times[-1][1]),
            )
        return max(version for version, at in times if at <= timestamp_ms)

    def version_after(self, timestamp_ms: int) -> int:
        """The first version committed at or after a time: where a stream with `startingTimestamp` begins.

        Raises DELTA_TIMESTAMP_GREATER_THAN_COMMIT if there is none.
        """
        times = self._log.times()
        for version, at in times:
            if at >= timestamp_ms:
                return version
        raise AnalysisError(
            "DELTA_TIMESTAMP_GREATER_THAN_COMMIT",
            providedTimestamp=_instant(timestamp_ms),
            tableName=self.path,
            maximumTimestamp=_instant(times[-1][1]) if times else "none",
        )

    def history(self, limit: int | None = None) -> list[Commit]:
        """The commits still in the log, newest first, at most `limit`."""
        first, last = self._log.versions()
        if limit is not None:
            first = max(first, last - limit + 1)
        times = dict(self._log.times())
        return [dataclasses.replace(c, timestamp_ms=times[c.version]) for c in self._log.commits(first, last)][::-1]

    def changes(self, first: int, last: int | None = None) -> Iterator[Commit]:
        """The commits from version `first` up to the handle's version (or `last`), oldest first."""
        return self._log.commits(first, self.version if last is None else last)

    def _as_snapshot(self, state: LogState) -> Snapshot:
        if state.metadata is None or state.protocol is None:
            raise AnalysisError("DELTA_TABLE_NOT_FOUND", tableName=f"delta.`{self.path}`")
        files = tuple(state.files.values())
        return Snapshot(self.path, state.version, state.metadata, state.protocol, files, state.timestamp_ms)

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────

    def append(
        self, connection: Connection, query: exp.Query, schema: StructType, **arguments: Unpack[WriteArguments]
    ) -> WriteResult:
        """Add the rows of `query`, whose columns are `schema` by position; makes the table if there is none.

        See `plan.WriteArguments` for the arguments. Raises Delta's schema and conflict errors.
        """
        return self._write(connection, query, Write(schema, "append", **arguments))

    def check(
        self, connection: Connection, query: exp.Query, schema: StructType, **arguments: Unpack[WriteArguments]
    ) -> None:
        """Compute the rows as `append` does, and drop them. Raises as `append` for what is wrong with a row."""
        with self._lock:
            self._log.advance(self._state)
            planned = plan(self._state, Write(schema, "append", **arguments), self._clock.now_ms())
        self._writer_of(planned.metadata, rules_of(planned.metadata, connection)).check(connection, query, schema)

    def overwrite(
        self, connection: Connection, query: exp.Query, schema: StructType, **arguments: Unpack[WriteArguments]
    ) -> WriteResult:
        """Put the rows of `query` in place of the table's, or of the part that the arguments name."""
        with self.changing():
            return self._write(connection, query, Write(schema, "overwrite", **arguments))

    def _write(self, connection: Connection, query: exp.Query, write: Write) -> WriteResult:
        numbered = self._state.metadata is not None and identity.identities(self._state.metadata.schema)
        with _lock_of(self.path, "change") if numbered else nullcontext():
            return self._write_now(connection, query, write)

    def _write_now(self, connection: Connection, query: exp.Query, write: Write) -> WriteResult:
        with self._lock:
            self._log.advance(self._state)
            if seen(self._state, write.txn):
                return WriteResult(self._state.version, False)
            planned = plan(self._state, write, self._clock.now_ms())
        identity.check_given(planned.metadata.schema, write.schema.names)
        rules = rules_of(planned.metadata, connection)
        adds = self._writer_of(planned.metadata, rules).write(connection, query, write.schema, write.sizes)
        planned = planned.numbered(write.schema.names, sum(file.rows or 0 for file in adds))
        if write.replace_where is not None:
            return self._replace(connection, planned, adds)
        crash_point("lake.data_written")
        return self._commit(planned.draft(tuple(adds)))

    def merge(self, connection: Connection, merge: Merge) -> Counts:
        """Change and add rows as `merge` says; its source is in the connection's table `merge.SOURCE`.

        Nothing is committed if no row changes. Raises Delta's cardinality, feature and conflict errors.
        """
        with self.changing():
            return self._merge(connection, merge)

    def clear(self, operation: Operation, txn: tuple[str, int] | None = None) -> int | None:
        """Remove all rows without reading any; how many, or None (and nothing done) if the log does not say."""
        with self.changing(), self._lock:
            self._log.advance(self._state)
            counts = [file.rows for file in self._state.files.values()]
            known = [count for count in counts if count is not None]
            if len(known) < len(counts) or not counts or seen(self._state, txn):
                return None
            planned = plan(self._state, Write(self.schema, "overwrite", txn=txn), self._clock.now_ms())
            self._commit(dataclasses.replace(planned.draft(()), operation=operation))
        return sum(known)

    def _merge(self, connection: Connection, merge: Merge) -> Counts:
        with self._lock:
            self._log.advance(self._state)
            if seen(self._state, merge.txn):
                return Counts()
            planned = plan(self._state, Write(merge.schema, "append", merge_schema=True), self._clock.now_ms())
            live = tuple(self._state.files.values())
        check_merge(planned.metadata, merge)
        rules = rules_of(planned.metadata, connection)
        given = merge.inserted(planned.metadata.schema)
        merge = generating(merge, rules)
        merging = Merging(connection, self.path, planned.metadata, merge)
        merging.find(live)
        if merging.counts.affected == 0:
            return merging.counts
        query = merging.rows()
        writer = self._writer_of(planned.metadata, rules)
        adds = [] if query is None else writer.write(connection, query, merge.schema)
        changes = self._record(connection, planned.metadata, merging.changes(), adds)
        crash_point("lake.data_written")
        planned = planned.numbered(given, merging.counts.inserted)
        draft = dataclasses.replace(
            planned.draft(tuple(adds)),
            operation=merge.operation,
            removes=merging.touched if merge.changes_rows else None,
            reads=merging.reads,
            txn=merge.txn,
            metrics=merging.metrics(adds),
            changes=changes,
        )
        self._commit(draft)
        return merging.counts

    def _replace(self, connection: Connection, planned: Planned, adds: list[AddFile]) -> WriteResult:
        """Commit the new files in place of the live rows that meet the write's condition."""
        condition, metadata = planned.write.replace_where, planned.metadata
        assert condition is not None
        try:
            if not planned.write.replace_strange:
                replace.check(connection, self.path, metadata, adds, condition)
            predicate = PartitionPredicate.within(connection, metadata, condition)
            asked = predicate.matching(planned.live)
            found = replace.find(connection, self.path, metadata, asked, condition)
            record = replace.changes(self.path, metadata, tuple(adds), found) if enabled(metadata) else None
            if found.kept is not None:
                adds += self._writer_of(metadata).write(connection, found.kept, metadata.schema)
        except BaseException:
            discard(self.path, adds)
            raise
        changes = self._record(connection, metadata, record, adds)
        crash_point("lake.data_written")
        read = reads(asked, predicate.first)
        draft = planned.draft(tuple(adds))
        return self._commit(dataclasses.replace(draft, removes=found.removed, reads=read, changes=changes))

    def _record(
        self, connection: Connection, metadata: Metadata, rows: exp.Query | None, adds: Sequence[AddFile]
    ) -> tuple[ChangeFile, ...]:
        """Write changed rows for the change data feed, if there are any; if that fails, the files of the write go."""
        if rows is None:
            return ()
        crash_point("lake.rows_written")
        try:
            return write_changes(connection, self.path, metadata, rows, durable=self._durable)
        except BaseException:
            discard(self.path, adds)
            raise

    def _writer_of(self, metadata: Metadata, rules: Rules = NO_RULES) -> FileWriter:
        kept = self._writer
        if kept is None or kept.metadata != metadata or kept.rules != rules:
            kept = self._writer = FileWriter(self.path, metadata, self._durable, rules)
        return kept

    # ── for operations that have files of their own ─────────────────────────────────────────────────────────

    @property
    def clock(self) -> Clock:
        """What tells the time."""
        return self._clock

    @property
    def log(self) -> DeltaLog:
        """The table's log."""
        return self._log

    def newest(self) -> LogState:
        """A copy of the newest state; the handle moves there."""
        with self._lock:
            self._log.advance(self._state)
            return self._state.copy()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Changes of rows by this process queue up, so that they never conflict with each other."""
        with _lock_of(self.path, "change"):
            yield

    def writer(self, metadata: Metadata) -> FileWriter:
        """Writes data files for the table as `metadata` has it."""
        return self._writer_of(metadata)

    def commit(self, draft: Draft) -> WriteResult:
        """Commit what was prepared. Raises Delta's conflict errors; the files of the draft are gone then."""
        return self._commit(draft)

    def _commit(self, draft: Draft) -> WriteResult:
        with self._lock:
            result = commit(self._log, self._state, draft, self._clock)
            if checkpoint.due(self._state):
                checkpoint.start(self.path, self._state)
        return result


def _instant(timestamp_ms: int) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(sep=" ", timespec="milliseconds")
