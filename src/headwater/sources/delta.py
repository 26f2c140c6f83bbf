"""Delta tables as a source: a batch at a version or time, and a stream of what is appended.

The stream gives the table's files as they were when it began, oldest first, then commit after commit (`lake.tail`).

Invariants: see `sources.base`; offsets are Delta's own JSON, so Spark can go on from them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.duck import Connection
from headwater.errors import AnalysisError, IllegalArgumentError
from headwater.io.formats.base import FormatOptions
from headwater.io.routing import exists
from headwater.lake import change_feed
from headwater.lake.actions import Metadata
from headwater.lake.change_feed import Change
from headwater.lake.event_order import EventOrder, needed
from headwater.lake.handles import shared
from headwater.lake.mapping import read_schema
from headwater.lake.schema_changes import Leave
from headwater.lake.schema_tracking import Tracking, check_place, log_folder, skim, tracked
from headwater.lake.snapshot import Snapshot, read_files
from headwater.lake.table import LakeTable
from headwater.lake.tail import AFTER_CHANGE, BEFORE_FIRST, CHANGE, DeltaOffset, Indexed, Room, Tail
from headwater.sources.base import BatchInput, Offset, ReadLimit, SourceContext, SourceRequest, sources
from headwater.sources.delta_options import StreamOptions, reads_feed

_VERSION_SUFFIX = re.compile(r"^(.*)@v(\d+)$")
_LENIENT = "spark.databricks.delta.changeDataFeed.timestampOutOfRange.enabled"


class DeltaSource:
    """An open stream of a Delta table's appends."""

    def __init__(self, table: LakeTable, request: SourceRequest, context: SourceContext, description: str) -> None:
        self.description = description
        self._table = table
        self._options = StreamOptions.parse(request.options)
        self._tracking = _tracking(table, request.options, context)
        self._metadata = table.metadata if self._tracking is None else self._tracking.metadata
        self.schema: StructType = _schema(self._metadata, request.options)
        self._times = change_feed.Times(table)
        self._order = EventOrder.of(table.path, self._metadata, request.event_time)
        if self._options.ordered:
            needed(self._order)
        self._start = _Start(table, request.options, context)
        self._tail = Tail(table, self._options.rules, context.mounts.uri(table.path), self._tracking)
        self._outstanding = (0, 0)

    # ── the source's contract ───────────────────────────────────────────────────────────────────────────────

    def initial_offset(self) -> Offset | None:
        """The position that `startingVersion`/`startingTimestamp` mean; None if the stream begins with the table."""
        version = self._start.version()
        return None if version is None else self._tail.before(version).json()

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        """See `StreamSource.latest_offset`."""
        position = DeltaOffset.parse(start) if start is not None else self._first_position()
        self._tail.check(position)
        if self._tracking is not None:
            self._track(self._tracking, position, begins=start is None)
            if position.index == CHANGE:
                return replace(position, index=AFTER_CHANGE).json()
        left = Room(None, None) if limit.all else Room(self._options.files, self._options.bytes)
        if self._by_event_time(position):
            return self._next_interval(position, left)
        waiting: list[int] = []
        end, taken = position, 0
        for step in self._tail.after(position):
            if isinstance(step, DeltaOffset):
                end = end if waiting else step
                taken += step.at_change
            elif left.take(step.change):
                end, taken = step.after, taken + 1
            else:
                waiting.append(step.file.size)
        self._outstanding = (len(waiting), sum(waiting))
        # A table without rows is no beginning: the stream begins with the first version that has some.
        return start if end == position or (start is None and not taken) else end.json()

    def relation(self, _connection: Connection, start: Offset | None, end: Offset) -> BatchInput:
        """The rows of the files after `start` up to `end`."""
        last = DeltaOffset.parse(end)
        first = DeltaOffset.parse(start) if start is not None else self._position_before(last)
        self._tail.check(last)
        if self._tracking is not None:
            self._tracking.check()
            self._tracking.begin(_whole(first), _whole(last))
        if first.event_time_ms is not None or last.event_time_ms is not None:
            files = self._tail.first_files(first.version)
            return BatchInput(needed(self._order).rows(files, first.event_time_ms, last.event_time_ms))
        changes = [step.change for step in self._tail.after(first, last) if isinstance(step, Indexed)]
        if self._options.rules.feed:
            times = {version: self._times.of(version) for version in sorted({one.version for one in changes})}
            return BatchInput(change_feed.query(self._table.path, self._metadata, changes, times))
        files = [change.file for change in changes]
        counts = [file.rows for file in files]
        rows = None if None in counts else sum(count or 0 for count in counts)
        return BatchInput(read_files(self._table.path, self._metadata, files), rows=rows)

    def _track(self, tracking: Tracking, position: DeltaOffset, *, begins: bool) -> None:
        """See to it that what follows a position is read by the definition that the log has."""
        tracking.check()
        tracking.begin(position.version if begins else _whole(position))
        if begins and position.snapshot:
            tracking.snapshot(position.version)
        if position.index == AFTER_CHANGE:
            # Killed after that batch was done and before the log was written.
            tracking.passed(position.version)

    def _by_event_time(self, position: DeltaOffset) -> bool:
        """Whether what follows is the table as it was, by event time. What has begun so ends so."""
        if not position.snapshot or position.index != BEFORE_FIRST:
            return False
        if position.event_time_ms is not None:
            return True
        return self._options.ordered and bool(self._tail.first_files(position.version))

    def _next_interval(self, position: DeltaOffset, room: Room) -> Offset:
        order, files = needed(self._order), self._tail.first_files(position.version)
        end = order.cut(files, position.event_time_ms, lambda file: room.take(Change(position.version, "insert", file)))
        if end is None:
            self._outstanding = (0, 0)
            return self._tail.before(position.version + 1).json()
        waiting = order.waiting(files, end)
        self._outstanding = (len(waiting), sum(file.size for file in waiting))
        return replace(position, event_time_ms=end).json()

    def prepare_available_now(self) -> None:
        """Go no further than today's newest version."""
        self._tail.end_now()

    def commit(self, end: Offset) -> None:
        """Forget the commits that are done. Raises DELTA_STREAMING_METADATA_EVOLUTION after a change of definition."""
        done = DeltaOffset.parse(end)
        self._tail.forget(done)
        if self._tracking is not None and done.at_change:
            self._tracking.passed(done.version)

    def reported_latest(self) -> Offset | None:
        """Delta reports none."""
        return None

    def metrics(self) -> Mapping[str, str]:
        """The backlog left by the last `latest_offset`."""
        files, size = self._outstanding
        return {"numBytesOutstanding": str(size), "numFilesOutstanding": str(files)}

    def stop(self) -> None:
        """Nothing is held but memory."""

    # ── positions ───────────────────────────────────────────────────────────────────────────────────────────

    def _first_position(self) -> DeltaOffset:
        version = self._start.version()
        return self._tail.before(self._tail.newest(), snapshot=True) if version is None else self._tail.before(version)

    def _position_before(self, end: DeltaOffset) -> DeltaOffset:
        """Where a stream began whose first batch ended at `end`: Delta's own rule."""
        version = self._start.version()
        if version is not None:
            return self._tail.before(version)
        return self._tail.before(end.version if end.snapshot else end.version - 1, snapshot=True)


class _Start:
    """Where `startingVersion`/`startingTimestamp` say the stream begins.

    The answer is kept in the source's log, because `latest` and a time mean another version after a restart.
    """

    def __init__(self, table: LakeTable, options: FormatOptions, context: SourceContext) -> None:
        self._table = table
        self._context = context
        self._version_text = options.get("startingversion")
        self._time_text = options.get("startingtimestamp")
        self._found: int | None = None
        if self._version_text is not None and self._time_text is not None:
            raise IllegalArgumentError(
                "DELTA_STARTING_VERSION_AND_TIMESTAMP_BOTH_SET",
                version="startingVersion",
                timestamp="startingTimestamp",
            )

    def version(self) -> int | None:
        """The first version to read, or None to begin with the table as it is."""
        if self._version_text is None and self._time_text is None:
            return None
        if self._found is None:
            self._found = self._logged()
        return self._found

    def _logged(self) -> int:
        if self._context.log_path is None:
            return self._resolve()
        path = os.path.join(self._context.log_path, "0")
        storage = self._context.storage
        if not storage.exists(path):
            storage.create(path, f"v1\n{json.dumps({'startingVersion': self._resolve()})}".encode())
        return int(json.loads(storage.read(path).split(b"\n", 1)[1])["startingVersion"])

    def _resolve(self) -> int:
        if self._time_text is not None:
            return self._table.version_after(parse_time(self._time_text, self._context.time_zone))
        text = (self._version_text or "").strip()
        if text.lower() == "latest":
            return self._table.refresh() + 1
        if not text.isdigit():
            explain = "must be greater than or equal to zero, or latest"
            raise IllegalArgumentError("DELTA_ILLEGAL_OPTION", input=text, name="startingVersion", explain=explain)
        self._table.snapshot(int(text))
        return int(text)


def parse_time(text: str, time_zone: str) -> int:
    """Milliseconds since the epoch of a date or time, in the session's zone unless it names one.

    Raises DELTA_TIME_TRAVEL_INVALID_TIMESTAMP.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as cause:
        raise AnalysisError("DELTA_TIME_TRAVEL_INVALID_TIMESTAMP", input=text) from cause
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(time_zone))
    return int(moment.timestamp() * 1000)


class DeltaProvider:
    """`read.format("delta")` and `readStream.format("delta")`."""

    def schema(self, request: SourceRequest, context: SourceContext) -> StructType:
        """The table's columns. Raises if there is no table, or if the user gives another schema."""
        table = _shared(_path(request), context)
        if request.schema is not None and request.schema not in (table.schema, read_schema(table.schema)):
            raise AnalysisError("DELTA_UNSUPPORTED_SCHEMA_DURING_READ")
        if not table.schema.fields:
            raise AnalysisError("DELTA_SCHEMA_NOT_SET")
        folder = _log_folder(table, request.options, context)
        if folder is None:
            return _schema(table.metadata, request.options)
        if context.checkpoint is not None:
            check_place(folder, context.checkpoint, context.mounts.uri)
        log = tracked(context.storage, folder, table)
        skim(log, table)
        metadata = table.metadata if log.current is None else log.current.metadata(table.metadata)
        return _schema(metadata, request.options)

    def open(self, request: SourceRequest, context: SourceContext) -> DeltaSource:
        """The stream. Raises for options that Delta refuses."""
        path = _path(request)
        return DeltaSource(_open(path, context), request, context, f"DeltaSource[{context.mounts.uri(path)}]")

    def batch(self, request: SourceRequest, context: SourceContext) -> tuple[BatchInput, StructType]:
        """The table at its newest version, or at `versionAsOf`, `timestampAsOf`, `path@v<version>`; or its changes."""
        path, version = _versioned(_path(request), context)
        if reads_feed(request.options):
            return _feed(_shared(path, context), request.options, version, context)
        snapshot = _snapshot(_shared(path, context), request.options, version, context)
        if not snapshot.schema.fields:
            name = f"`delta`.`{context.mounts.uri(path)}`"
            raise AnalysisError("DELTA_READ_TABLE_WITHOUT_COLUMNS", tableName=name)
        return BatchInput(snapshot.where(request.filters, context.time_zone).query()), read_schema(snapshot.schema)

    def follow(self, request: SourceRequest, context: SourceContext) -> FollowedTable | None:
        """The table itself, unless the request is for one version of it."""
        path, version = _versioned(_path(request), context)
        fixed = {"versionasof", "timestampasof"} & {key.lower() for key in request.options}
        if version is not None or fixed or reads_feed(request.options):
            return None
        return FollowedTable(_open(path, context))


class FollowedTable:
    """A table whose newest version is asked for again and again."""

    def __init__(self, table: LakeTable) -> None:
        self._table = table
        self._version = -1
        self._query: exp.Query = exp.Select()

    def current(self) -> exp.Query:
        """The rows of the newest version; the same object until another version is there."""
        version = self._table.refresh()
        if version != self._version:
            self._query, self._version = self._table.snapshot().query(), version
        return self._query


def _path(request: SourceRequest) -> str:
    if len(request.paths) != 1:
        raise AnalysisError("_LEGACY_ERROR_TEMP_2047")
    return request.paths[0]


def _versioned(path: str, context: SourceContext) -> tuple[str, int | None]:
    match = _VERSION_SUFFIX.match(path)
    if match is None or LakeTable.exists(context.mounts.local(path)):
        return path, None
    return match[1], int(match[2])


def _open(path: str, context: SourceContext) -> LakeTable:
    """A handle of its own: what a stream reads moves when the stream does."""
    return _there(LakeTable.at(context.mounts.local(path), context.storage, context.clock), path)


def _shared(path: str, context: SourceContext) -> LakeTable:
    return _there(shared(context.mounts.local(path), context.storage, context.clock), path)


def _there(table: LakeTable, path: str) -> LakeTable:
    if table.version >= 0:
        return table
    if exists(table.path):
        raise AnalysisError("DELTA_MISSING_DELTA_TABLE", tableName=f"`{path}`")
    raise AnalysisError("DELTA_PATH_DOES_NOT_EXIST", path=f"`{path}`")


def _schema(metadata: Metadata, options: FormatOptions) -> StructType:
    columns = read_schema(metadata.schema)
    return change_feed.schema_of(columns) if reads_feed(options) else columns


def _log_folder(table: LakeTable, options: FormatOptions, context: SourceContext) -> str | None:
    """Where the stream's schema log lies, if the reader's options ask for one."""
    location = options.get("schematrackinglocation") or options.get("schemalocation")
    if location is None:
        return None
    return log_folder(context.mounts.local(location), table.metadata.id, options.get("streamingsourcetrackingid"))


def _tracking(table: LakeTable, options: FormatOptions, context: SourceContext) -> Tracking | None:
    folder = _log_folder(table, options, context)
    if folder is None or context.log_path is None:
        return None
    path = context.mounts.uri(context.log_path)
    leave = Leave(lambda name: options.get(name.lower()), lambda key: _setting(context, key), path)
    return Tracking(table, tracked(context.storage, folder, table), path, leave)


def _setting(context: SourceContext, key: str) -> str | None:
    lookup = getattr(context.settings, "lookup", context.settings.get)
    found = lookup(key)
    return None if found is None else str(found)


def _whole(position: DeltaOffset) -> int:
    """The last version of which a position has, or may yet have, rows or has passed a change."""
    before = position.index == BEFORE_FIRST and not position.snapshot
    return max(0, position.version - 1) if before else position.version


def _feed(
    table: LakeTable, options: FormatOptions, version: int | None, context: SourceContext
) -> tuple[BatchInput, StructType]:
    """The changes of the versions that the options name."""
    if version is not None or options.get("versionasof") or options.get("timestampasof"):
        raise AnalysisError("DELTA_UNSUPPORTED_TIME_TRAVEL_VIEWS")
    lenient = context.settings.get(_LENIENT, "false").lower() == "true"
    span = change_feed.Range.parse(options, table, lambda text: parse_time(text, context.time_zone), lenient=lenient)
    query, schema = change_feed.read(table, span)
    return BatchInput(query), schema


def _snapshot(table: LakeTable, options: FormatOptions, version: int | None, context: SourceContext) -> Snapshot:
    asked = options.get("versionasof")
    time = options.get("timestampasof")
    if sum(value is not None for value in (asked, time, version)) > 1:
        raise AnalysisError("DELTA_UNSUPPORTED_TIME_TRAVEL_MULTIPLE_FORMATS")
    if time is not None:
        return table.snapshot(timestamp_ms=parse_time(time, context.time_zone))
    if asked is not None:
        if not asked.strip().isdigit():
            raise AnalysisError("DELTA_ILLEGAL_OPTION", input=asked, name="versionAsOf", explain="must be a version")
        version = int(asked)
    return table.snapshot(version)


sources.register("delta")(DeltaProvider())
