"""Delta tables as a source: a batch at a version or time, and a stream of what is appended.

The stream gives the table's files as they were when it began, oldest first, then commit after commit (`lake.tail`).

Invariants: see `sources.base`; offsets are Delta's own JSON, so Spark can go on from them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.duck import Connection
from headwater.errors import AnalysisError, IllegalArgumentError, unsupported
from headwater.io.formats.base import FormatOptions
from headwater.io.routing import exists
from headwater.lake import change_feed
from headwater.lake.change_feed import Change
from headwater.lake.event_order import EventOrder, needed
from headwater.lake.handles import shared
from headwater.lake.mapping import read_schema
from headwater.lake.snapshot import Snapshot, read_files
from headwater.lake.table import LakeTable
from headwater.lake.tail import BEFORE_FIRST, DeltaOffset, Indexed, Room, Tail, TailRules
from headwater.sources.base import BatchInput, Offset, ReadLimit, SourceContext, SourceRequest, sources

_DEFAULT_FILES = 1000
_SCHEMA_OPTIONS = (
    "schemaTrackingLocation",
    "schemaLocation",
    "streamingSourceTrackingId",
    "allowSourceColumnDrop",
    "allowSourceColumnRename",
    "allowSourceColumnTypeChange",
    "allowSourceColumnRenameAndDrop",
)
_VERSION_SUFFIX = re.compile(r"^(.*)@v(\d+)$")
_LENIENT = "spark.databricks.delta.changeDataFeed.timestampOutOfRange.enabled"
_BYTES = re.compile(r"^\s*(\d+)\s*([kmgtp]?)(?:i?b)?\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class StreamOptions:
    """The stream's options; `files`/`bytes` None is no limit; `ordered`: the table as it is comes by event time."""

    files: int | None
    bytes: int | None
    rules: TailRules
    ordered: bool = False

    @classmethod
    def parse(cls, options: FormatOptions) -> StreamOptions:
        """From the reader's options. Raises DELTA_ILLEGAL_OPTION, and UNSUPPORTED_FEATURE for what is not here."""
        ordered = options.flag("withEventTimeOrder")
        if ordered and reads_feed(options):
            raise unsupported("the option `withEventTimeOrder` of a stream of changes")
        for name in _SCHEMA_OPTIONS:
            if name.lower() in options:
                raise unsupported(f"the option `{name}` of a Delta stream", "Restart the query after a schema change.")
        size = _bytes(options)
        files = _positive(options, "maxFilesPerTrigger")
        pattern = options.get("excluderegex")
        changes = options.flag("ignoreChanges")
        rules = TailRules(
            changes or options.flag("ignoreDeletes") or options.flag("ignoreFileDeletion"),
            changes or options.flag("ignoreFileDeletion"),
            options.flag("skipChangeCommits"),
            options.flag("failOnDataLoss", True),
            re.compile(pattern) if pattern else None,
            reads_feed(options),
        )
        return cls(files if files is not None or size is not None else _DEFAULT_FILES, size, rules, ordered)


def reads_feed(options: FormatOptions) -> bool:
    """Whether the changes are asked for, by either of the option's names."""
    return options.flag("readChangeFeed") or options.flag("readChangeData")


def _positive(options: FormatOptions, name: str) -> int | None:
    text = options.get(name.lower())
    if text is None:
        return None
    if not text.strip().isdigit() or int(text) <= 0:
        raise IllegalArgumentError("DELTA_ILLEGAL_OPTION", input=text, name=name, explain="must be a positive integer")
    return int(text)


def _bytes(options: FormatOptions) -> int | None:
    text = options.get("maxbytespertrigger")
    if text is None:
        return None
    match = _BYTES.match(text)
    if match is None or int(match[1]) <= 0:
        explain = "must be a size, such as 10g or 500m"
        raise IllegalArgumentError("DELTA_ILLEGAL_OPTION", input=text, name="maxBytesPerTrigger", explain=explain)
    return int(match[1]) << (10 * " kmgtp".index(match[2].lower() or " "))


class DeltaSource:
    """An open stream of a Delta table's appends."""

    def __init__(self, table: LakeTable, request: SourceRequest, context: SourceContext, description: str) -> None:
        self.description = description
        self._table = table
        self._options = StreamOptions.parse(request.options)
        self.schema: StructType = _schema(table, request.options)
        self._times = change_feed.Times(table)
        self._order = EventOrder.of(table.path, table.metadata, request.event_time)
        if self._options.ordered:
            needed(self._order)
        self._metadata = table.metadata
        self._start = _Start(table, request.options, context)
        self._tail = Tail(table, self._options.rules, context.mounts.uri(table.path))
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
        left = Room(None, None) if limit.all else Room(self._options.files, self._options.bytes)
        if self._by_event_time(position):
            return self._next_interval(position, left)
        waiting: list[int] = []
        end, taken = position, 0
        for step in self._tail.after(position):
            if isinstance(step, DeltaOffset):
                end = end if waiting else step
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
        """Forget the commits that are done."""
        self._tail.forget(DeltaOffset.parse(end))

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
        return _schema(table, request.options)

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


def _schema(table: LakeTable, options: FormatOptions) -> StructType:
    schema = read_schema(table.schema)
    return change_feed.schema_of(schema) if reads_feed(options) else schema


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
