"""The change data feed of a Delta table: which rows each version inserted, updated and deleted.

A version that recorded its changes (`_change_data/`) is read from those files alone; of any other version the added
files are inserts and the removed ones deletes.

Invariants: a range is read as a whole or refused, above all if the feed was off in a part of it; the rows of a
range do not depend on what is committed after it, save for the columns they are read under.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType
from sqlglot import exp

from headwater.errors import AnalysisError, IllegalArgumentError, SparkError, UnsupportedError
from headwater.io.formats.base import FormatOptions
from headwater.lake.actions import AddFile, Commit, Metadata, RemoveFile
from headwater.lake.mapping import MODE, mode_of, same_file_names
from headwater.lake.schema import merge
from headwater.lake.snapshot import Snapshot, local_path, read_files
from headwater.types.duck import to_duck

if TYPE_CHECKING:
    from headwater.lake.table import LakeTable

TYPE, VERSION, TIMESTAMP = "_change_type", "_commit_version", "_commit_timestamp"
COLUMNS = (StructField(TYPE, StringType()), StructField(VERSION, LongType()), StructField(TIMESTAMP, TimestampType()))
FOLDER = "_change_data"
"""Where the files of recorded changes lie, below the table."""
SETTING = "delta.enableChangeDataFeed"
_FILE, _ROW = "change_file_", "change_row_"
_MOST_BRANCHES = 16
_UNCHANGED = ("numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted")

Kind = Literal["insert", "delete", "recorded"]


@dataclass(frozen=True, slots=True)
class Change:
    """A file whose rows a version changed.

    Attributes:
        kind: what became of them; `recorded`: each row says so in its column `_change_type`.
        whole: the version's changes are read together or not at all.
    """

    version: int
    kind: Kind
    file: AddFile
    whole: bool = False


def enabled(metadata: Metadata) -> bool:
    """Whether the table records its changes."""
    return metadata.configuration.get(SETTING, "false").lower() == "true"


def schema_of(table: StructType) -> StructType:
    """The columns of the feed: the table's, then `_change_type`, `_commit_version`, `_commit_timestamp`."""
    return StructType([*table.fields, *COLUMNS])


def changes_of(commit: Commit) -> tuple[Change, ...]:
    """The files that hold what a version changed, in Delta's order."""
    version = commit.version
    if commit.changes:
        files = (AddFile(file.path, file.partition_values, file.size, 0) for file in commit.changes)
        return tuple(Change(version, "recorded", file, True) for file in files)
    if _changed_nothing(commit):
        return ()
    adds = [file for file in commit.adds if file.data_change]
    removes = [_as_added(file) for file in commit.removes if file.data_change]
    # Rows that only a deletion vector took away are found by comparing both sides.
    whole = any(file.deletion_vector is not None for file in (*adds, *removes))
    inserts = [Change(version, "insert", file, whole) for file in adds]
    deletes = [Change(version, "delete", file, whole) for file in removes]
    return (*deletes, *inserts) if commit.removes_first else (*inserts, *deletes)


def _changed_nothing(commit: Commit) -> bool:
    """A MERGE that wrote files again without changing a row."""
    metrics = commit.info.get("operationMetrics") or {}
    return commit.info.get("operation") == "MERGE" and all(metrics.get(name) == "0" for name in _UNCHANGED)


def _as_added(file: RemoveFile) -> AddFile:
    if file.partition_values is None or file.size is None:
        raise SparkError("DELTA_REMOVE_FILE_CDC_MISSING_EXTENDED_METADATA", file=file.path)
    return AddFile(file.path, file.partition_values, file.size, 0, deletion_vector=file.deletion_vector)


class Times:
    """When each version of a table was committed, in milliseconds since the epoch."""

    def __init__(self, table: LakeTable) -> None:
        self._table = table
        self._known: dict[int, int] = {}

    def of(self, version: int) -> int:
        """As time travel and the table's history have it."""
        if version not in self._known:
            commit = self._table.commit_at(version) if version - 1 in self._known else None
            if commit is None:
                self._known = dict(self._table.log.times())
            else:
                self._known[version] = max(commit.timestamp_ms, self._known[version - 1] + 1)
        return self._known.get(version, 0)


# ── a range ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Boundary:
    """An end of a range: a version, found by its number or (`time_ms`, milliseconds since the epoch) by its time."""

    version: int
    time_ms: int | None = None


@dataclass(frozen=True)
class Range:
    """From one version to another, both included; without an end to the newest. `lenient`: times may lie outside."""

    start: Boundary
    end: Boundary | None
    lenient: bool = False

    @classmethod
    def parse(
        cls, options: FormatOptions, table: LakeTable, time: Callable[[str], int], *, lenient: bool = False
    ) -> Range:
        """From `startingVersion`/`startingTimestamp` and `endingVersion`/`endingTimestamp`.

        As in Delta a version wins over a time. Raises DELTA_NO_START_FOR_CDC_READ, DELTA_VERSION_INVALID and the
        errors of time travel.
        """
        start = _boundary(options, "starting", lambda ms: _first_after(table, ms, lenient), time)
        if start is None:
            raise AnalysisError("DELTA_NO_START_FOR_CDC_READ")
        end = _boundary(options, "ending", lambda ms: _last_before(table, ms, lenient), time)
        return cls(start, end, lenient)

    def versions(self, newest: int) -> range:
        """The versions to read. Raises DELTA_CDC_START_VERSION_AFTER_LATEST, DELTA_INVALID_CDC_RANGE."""
        start, end = self.start, self.end
        if start.version > newest:
            if self.lenient:
                return range(0)
            raise IllegalArgumentError("DELTA_CDC_START_VERSION_AFTER_LATEST", start=start.version, latest=newest)
        if end is None:
            return range(start.version, newest + 1)
        if start.time_ms is not None and end.time_ms is not None and start.time_ms <= end.time_ms:
            return range(start.version, end.version + 1)
        if end.version < start.version or (start.time_ms or 0) > (end.time_ms or 1 << 62):
            raise IllegalArgumentError("DELTA_INVALID_CDC_RANGE", start=start.version, end=end.version)
        return range(start.version, min(end.version, newest) + 1)


def _boundary(
    options: FormatOptions, which: str, at: Callable[[int], int], time: Callable[[str], int]
) -> Boundary | None:
    version, moment = options.get(f"{which}version"), options.get(f"{which}timestamp")
    if version is not None:
        if not version.strip().isdigit():
            raise AnalysisError("DELTA_VERSION_INVALID", version=version)
        return Boundary(int(version))
    if moment is None:
        return None
    found = time(moment)
    return Boundary(at(found), found)


def _first_after(table: LakeTable, time_ms: int, lenient: bool) -> int:
    times = table.log.times()
    if lenient and times and time_ms > times[-1][1]:
        return times[-1][0] + 1
    return table.version_after(time_ms)


def _last_before(table: LakeTable, time_ms: int, lenient: bool) -> int:
    times = table.log.times()
    if lenient and times and time_ms > times[-1][1]:
        return times[-1][0]
    return table.version_at(time_ms)


def read(table: LakeTable, span: Range) -> tuple[exp.Query, StructType]:
    """The changes of a range, and their columns.

    Raises DELTA_MISSING_CHANGE_DATA if the feed was off in a part of it, and DELTA_CHANGE_DATA_FEED_INCOMPATIBLE_…
    if the columns of a part of it cannot be read as the table's.
    """
    newest = table.snapshot()
    versions = span.versions(newest.version)
    changes: list[Change] = []
    if len(versions):
        first, last = versions[0], versions[-1]
        check = _Check(newest, first, last)
        start = table.snapshot(first).metadata
        check.recorded(start, first)
        for commit in table.changes(first, last):
            if commit.metadata is not None:
                check.recorded(commit.metadata, commit.version)
                if commit.version > first:
                    check.schema(commit.metadata, commit.version, change=True)
            changes += changes_of(commit)
        check.schema(start, first, change=False)
    times = dict(table.log.times()) if changes else {}
    return query(table.path, newest.metadata, changes, times), schema_of(newest.schema)


@dataclass(frozen=True)
class _Check:
    """What each version of a range must meet to be read under the newest version's columns."""

    newest: Snapshot
    first: int
    last: int

    def recorded(self, metadata: Metadata, version: int) -> None:
        """Raise DELTA_MISSING_CHANGE_DATA if the feed is off."""
        check_recorded(metadata, version, self.first, self.last)

    def schema(self, metadata: Metadata, version: int, *, change: bool) -> None:
        """Raise if a column is gone, of another type, or may no longer be null."""
        if _readable(metadata, self.newest.metadata):
            return
        what = "SCHEMA_CHANGE" if change else "DATA_SCHEMA"
        found = {"start": self.first, "end": self.last, "readSchema": self.newest.schema.json()}
        found |= {"readVersion": self.newest.version, "incompatibleVersion": version}
        if not change:
            found["config"] = "spark.databricks.delta.changeDataFeed.defaultSchemaModeForColumnMappingTable"
        raise UnsupportedError(f"DELTA_CHANGE_DATA_FEED_INCOMPATIBLE_{what}", **found)


def check_recorded(metadata: Metadata, version: int, first: int, last: int) -> None:
    """Raise DELTA_MISSING_CHANGE_DATA if the table did not record its changes at a version of a range."""
    if not enabled(metadata):
        raise AnalysisError(
            "DELTA_MISSING_CHANGE_DATA", startVersion=first, endVersion=last, version=version, key=SETTING
        )


def _readable(old: Metadata, new: Metadata) -> bool:
    """Whether rows of the old schema can be read under the new one."""
    if not same_file_names(new, old, later=False):
        return False
    try:
        if merge(new.schema, old.schema, grow=True) != new.schema:
            return False
    except AnalysisError:
        return False
    named = {field.name.lower(): field for field in new.schema.fields}
    return all(named[field.name.lower()].nullable or not field.nullable for field in old.schema.fields)


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────


def query(path: str, metadata: Metadata, changes: Sequence[Change], times: Mapping[int, int]) -> exp.Query:
    """The rows of changes under the feed's columns; `times` has each version's, in milliseconds since the epoch."""
    groups: dict[tuple[int, Kind], list[AddFile]] = {}
    for change in changes:
        groups.setdefault((change.version, change.kind), []).append(change.file)
    if not groups:
        return read_files(path, replace(metadata, schema_text=schema_of(metadata.schema).json()), ())
    vectors = any(change.file.deletion_vector is not None for change in changes)
    if len(groups) > _MOST_BRANCHES and not vectors:
        return _union(list(_joined(path, metadata, changes, times)))
    parts = []
    for (version, kind), files in groups.items():
        other = groups.get((version, "insert" if kind == "delete" else "delete"), ()) if kind != "recorded" else ()
        parts += list(_branch(path, metadata, _Group(version, kind, files, times.get(version, 0)), other))
    return _union(parts)


@dataclass(frozen=True)
class _Group:
    """Files of one version and kind."""

    version: int
    kind: Kind
    files: Sequence[AddFile]
    time_ms: int


def _branch(path: str, metadata: Metadata, group: _Group, other: Sequence[AddFile]) -> Iterator[exp.Select]:
    """The rows of a group; of a file that the version took away and gave back, those that differ."""
    opposite = {file.path: file for file in other}
    plain = [file for file in group.files if file.path not in opposite]
    if plain:
        rows = read_files(path, _stored(metadata, group.kind), plain)
        yield _select(metadata, rows, group)
    for file in group.files:
        if file.path in opposite:
            here = read_files(path, metadata, [file], row_column=_ROW)
            there = read_files(path, metadata, [opposite[file.path]], row_column=_ROW)
            same = exp.EQ(this=exp.column(_ROW, "rows_"), expression=exp.column(_ROW, "there_"))
            join = exp.Join(this=_as(there, "there_"), kind="ANTI", on=same)
            yield _select(metadata, here, group, join)


def _select(metadata: Metadata, rows: exp.Query, group: _Group, *joins: exp.Join) -> exp.Select:
    kind: exp.Expr = exp.column(TYPE, "rows_") if group.kind == "recorded" else exp.Literal.string(group.kind)
    added = [kind, exp.Literal.number(group.version), instant(group.time_ms)]
    return exp.Select(expressions=_columns(metadata, added), from_=exp.From(this=_as(rows, "rows_")), joins=list(joins))


def _joined(path: str, metadata: Metadata, changes: Sequence[Change], times: Mapping[int, int]) -> Iterator[exp.Select]:
    """As many statements as there are ways to read a file; version and kind come from a list by file name."""
    for recorded in (True, False):
        some = [change for change in changes if (change.kind == "recorded") is recorded]
        if not some:
            continue
        files = list({change.file.path: change.file for change in some}.values())
        rows = read_files(path, _stored(metadata, some[0].kind), files, _FILE)
        listed = [
            exp.Tuple(
                expressions=[
                    exp.Literal.string(local_path(path, change.file)),
                    exp.Literal.string(change.kind),
                    exp.Literal.number(change.version),
                    instant(times.get(change.version, 0)),
                ]
            )
            for change in some
        ]
        names = [exp.to_identifier(name) for name in (_FILE, "kind_", "version_", "time_")]
        values = exp.Values(expressions=listed, alias=exp.TableAlias(this=exp.to_identifier("list_"), columns=names))
        same = exp.EQ(this=exp.column(_FILE, "rows_"), expression=exp.column(_FILE, "list_"))
        kind = exp.column(TYPE, "rows_") if recorded else exp.column("kind_", "list_")
        added = [kind, exp.column("version_", "list_"), exp.column("time_", "list_")]
        joins = [exp.Join(this=values, on=same)]
        yield exp.Select(expressions=_columns(metadata, added), from_=exp.From(this=_as(rows, "rows_")), joins=joins)


def _columns(metadata: Metadata, added: Sequence[exp.Expr]) -> list[exp.Expr]:
    columns: list[exp.Expr] = [exp.column(field.name, "rows_", quoted=True) for field in metadata.schema.fields]
    typed = (exp.Cast(this=value, to=to_duck(f.dataType)) for value, f in zip(added, COLUMNS, strict=True))
    named = zip(typed, COLUMNS, strict=True)
    return [*columns, *(exp.Alias(this=v, alias=exp.to_identifier(f.name, quoted=True)) for v, f in named)]


def instant(time_ms: int) -> exp.Expr:
    """A time as a DuckDB constant, whatever the session's zone."""
    text = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(sep=" ", timespec="milliseconds")
    return exp.Cast(this=exp.Literal.string(text), to=to_duck(TimestampType()))


def _as(rows: exp.Query, name: str) -> exp.Subquery:
    return exp.Subquery(this=rows, alias=exp.TableAlias(this=exp.to_identifier(name)))


def _union(parts: Sequence[exp.Select]) -> exp.Query:
    union: exp.Query = parts[0]
    for part in parts[1:]:
        union = exp.Union(this=union, expression=part, distinct=False)
    return union


def _stored(metadata: Metadata, kind: Kind) -> Metadata:
    """The columns of a file of that kind."""
    return recorded_metadata(metadata) if kind == "recorded" else metadata


def recorded_metadata(metadata: Metadata) -> Metadata:
    """The table as its files of recorded changes have it: with `_change_type`.

    That column has no id, so a table that is read by ids is read by physical names here, which the files have too.
    """
    made = replace(metadata, schema_text=StructType([*metadata.schema.fields, COLUMNS[0]]).json())
    if mode_of(metadata) != "id":
        return made
    return replace(made, configuration={**metadata.configuration, MODE: "name"})
