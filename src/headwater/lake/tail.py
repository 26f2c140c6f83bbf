"""The files of a Delta table in the order a stream takes them: first the table as it was, then commit by commit.

A position is Delta's own stream offset: `reservoirVersion` and `index` name the last file taken; index -1 lies
before a version's first file, so (v, -1) says that everything before version v is done. A stream that tracks the
table's definition stops at indexes -20 and -19 of a version that changes it (see `lake.schema_tracking`).

With the change data feed the files are those of the changes instead, so nothing is an error that the feed can tell.

Invariants: the same position is followed by the same files, whenever it is asked; commits that only rearrange rows
add nothing; without the feed a commit that takes rows away is an error unless a rule says otherwise, because what
was given cannot be taken back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headwater.errors import AnalysisError, SparkError, UnsupportedError
from headwater.lake.actions import AddFile, Commit
from headwater.lake.change_feed import Change, changes_of, check_recorded
from headwater.lake.features import PROTECTION, named_features
from headwater.lake.mapping import same_file_names
from headwater.lake.schema import merge
from headwater.lake.schema_tracking import Tracking
from headwater.lake.table import LakeTable

BEFORE_FIRST = -100
"""The index before a version's first file; in offsets it is -1, as in Delta."""
CHANGE, AFTER_CHANGE = -20, -19
"""The indexes at and after a change of the table's definition, of streams that track it."""
_FORMAT, _FORMAT_OF_CHANGES = 1, 3
_DOCUMENTATION = "https://docs.delta.io/latest/versioning.html#column-mapping"


@dataclass(frozen=True)
class DeltaOffset:
    """A position: up to and including file `index` of `version`; `snapshot` if that is the table as it was at first.

    `event_time_ms`: of the table as it was, all rows before that time instead (see `lake.event_order`).
    """

    table_id: str
    version: int
    index: int
    snapshot: bool
    event_time_ms: int | None = None

    @property
    def at_change(self) -> bool:
        """Whether it lies at or after a change of the definition, before any row of that version."""
        return self.index in (CHANGE, AFTER_CHANGE)

    def json(self) -> str:
        """Delta's text."""
        body = {
            "sourceVersion": _FORMAT_OF_CHANGES if self.at_change else _FORMAT,
            "reservoirId": self.table_id,
            "reservoirVersion": self.version,
            "index": -1 if self.index == BEFORE_FIRST else self.index,
            "isStartingVersion": self.snapshot,
        }
        if self.event_time_ms is not None:
            body["eventTimeMillis"] = self.event_time_ms
        return json.dumps(body, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> DeltaOffset:
        """The inverse of `json`. Raises DELTA_INVALID_SOURCE_OFFSET_FORMAT."""
        try:
            body = json.loads(text)
            return cls(
                body["reservoirId"],
                body["reservoirVersion"],
                BEFORE_FIRST if body["index"] == -1 else body["index"],
                bool(body.get("isStartingVersion")),
                body.get("eventTimeMillis"),
            )
        except (ValueError, KeyError, TypeError) as cause:
            raise SparkError("DELTA_INVALID_SOURCE_OFFSET_FORMAT", offset=text) from cause


@dataclass(frozen=True)
class Indexed:
    """A file of the stream and its place. `after` is the position once it is taken."""

    version: int
    index: int
    change: Change
    after: DeltaOffset

    @property
    def file(self) -> AddFile:
        """The file."""
        return self.change.file


@dataclass(frozen=True)
class TailRules:
    """What to do about commits that are more than an append; see Delta's stream options of the same names.

    `feed`: give the changes of every commit (`readChangeFeed`) instead of the files it added.
    """

    ignore_deletes: bool = False
    ignore_changes: bool = False
    skip_changes: bool = False
    fail_on_data_loss: bool = True
    exclude: re.Pattern[str] | None = None
    feed: bool = False


class Room:
    """How much a batch may still take. Both limits are soft by one file, or one version that stays whole."""

    def __init__(self, files: int | None, size: int | None) -> None:
        self._files = files
        self._bytes = size
        self._full = False
        self._version = -1

    def take(self, change: Change) -> bool:
        """Whether the file goes into the batch; once one does not, none does."""
        if not change.whole or change.version != self._version or self._full:
            self._check()
        self._version = change.version
        if self._full:
            return False
        self._files = None if self._files is None else self._files - 1
        self._bytes = None if self._bytes is None else self._bytes - change.file.size
        return True

    def _check(self) -> None:
        self._full = self._full or (self._files is not None and self._files <= 0)
        self._full = self._full or (self._bytes is not None and self._bytes <= 0)


class Tail:
    """The files of one table as a stream.

    Args:
        table: its schema when the stream is opened is the schema the stream reads with, unless `tracking` says which.
        uri: the table's path as messages print it.
    """

    def __init__(self, table: LakeTable, rules: TailRules, uri: str, tracking: Tracking | None = None) -> None:
        self._table = table
        self._table_id = table.metadata.id
        self._schema = table.schema
        self._read = (table.version, table.metadata)
        self._rules = rules
        self._uri = uri
        self._tracking = tracking
        self._barriers: set[int] = set()
        self._commits: dict[int, tuple[Change, ...]] = {}
        self._snapshot: tuple[int, tuple[Change, ...]] | None = None
        self._unchecked = rules.feed
        self._named = not _may_rename(table)
        self._last_version: int | None = None
        self._awaited = -1

    def before(self, version: int, *, snapshot: bool = False) -> DeltaOffset:
        """The position before the first file of a version, or of the table as it was at that version."""
        return DeltaOffset(self._table_id, version, BEFORE_FIRST, snapshot)

    def check(self, position: DeltaOffset) -> None:
        """Raise if the position is one of another table."""
        if position.table_id != self._table_id:
            raise SparkError(
                "DELTA_DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE",
                newTableId=self._table_id,
                oldTableId=position.table_id,
            )

    def end_now(self) -> None:
        """Go no further than today's newest version."""
        self._last_version = self._table.refresh()

    def newest(self) -> int:
        """The newest version the stream may see."""
        return self._table.refresh() if self._last_version is None else self._last_version

    def forget(self, done: DeltaOffset) -> None:
        """Let go of what was read ahead and is done."""
        self._commits = {version: files for version, files in self._commits.items() if version >= done.version}
        if not done.snapshot:
            self._snapshot = None

    def after(self, start: DeltaOffset, end: DeltaOffset | None = None) -> Iterator[Indexed | DeltaOffset]:
        """The files after `start`; a bare position says that a version without files of ours is passed.

        A position at a change of the definition is the last.
        """
        version, index = start.version, start.index
        if self._unchecked:
            self._check_feed(version)
        if not self._named and (self._tracking is None or not self._tracking.active):
            self._check_names(version)
        if start.snapshot:
            yield from self._of_version(version, self._first_files(version), index, end, snapshot=True)
            version, index = version + 1, BEFORE_FIRST
        while end is None or (version, BEFORE_FIRST) < (end.version, end.index):
            files = self._files(version)
            if files is None:
                return
            if version in self._barriers and index < CHANGE:
                yield DeltaOffset(self._table_id, version, CHANGE, False)
                return
            yield from self._of_version(version, files, index, end, snapshot=False)
            version, index = version + 1, BEFORE_FIRST

    def _of_version(
        self, version: int, files: tuple[Change, ...], index: int, end: DeltaOffset | None, *, snapshot: bool
    ) -> Iterator[Indexed | DeltaOffset]:
        last = len(files) - 1
        for number in range(max(index, -1) + 1, len(files)):
            if end is not None and (version, number) > (end.version, end.index):
                return
            after = DeltaOffset(self._table_id, version, number, snapshot)
            yield Indexed(version, number, files[number], after if number < last else self.before(version + 1))
        if not files or index >= last:
            yield self.before(version + 1)

    def first_files(self, version: int) -> list[AddFile]:
        """The table as it was at a version, in the stream's order."""
        return [change.file for change in self._first_files(version)]

    def _first_files(self, version: int) -> tuple[Change, ...]:
        if self._snapshot is None or self._snapshot[0] != version:
            files = self._table.snapshot(version).files
            ordered = sorted(files, key=lambda file: (file.modification_time, file.path))
            self._snapshot = (version, self._wanted(Change(version, "insert", file) for file in ordered))
        return self._snapshot[1]

    def _files(self, version: int) -> tuple[Change, ...] | None:
        """The rows that a version added or changed; None if it is not there yet or lies behind today's end."""
        if self._last_version is not None and version > self._last_version:
            return None
        if version not in self._commits:
            commit = self._table.commit_at(version)
            if commit is None:
                return self._missing(version)
            self._commits[version] = self._accepted(commit)
        return self._commits[version]

    def _missing(self, version: int) -> tuple[Change, ...] | None:
        """Nothing yet, or an error if the log has been cleaned up past this version."""
        if version == self._awaited:
            return None
        first, _ = self._table.log_versions()
        if version >= first:
            self._awaited = version
            return None
        if self._rules.fail_on_data_loss:
            raise SparkError(
                "DELTA_LOG_FILE_NOT_FOUND_FOR_STREAMING_SOURCE", path=self._table.path, version=version, earliest=first
            )
        return ()

    def _check_feed(self, version: int) -> None:
        """Raise DELTA_MISSING_CHANGE_DATA if the feed is off where the stream begins; later versions say so."""
        first, newest = self._table.log_versions()
        # What has been cleaned away is for `_missing` to tell.
        if version >= first:
            metadata = self._table.snapshot(min(version, newest)).metadata
            check_recorded(metadata, version, version, max(version, newest))
        self._unchecked = False

    def _check_names(self, version: int) -> None:
        """Raise if files have got other names for their columns since `version`: its own could not be read.

        So it is where column mapping was taken off, or came back with an older version of the table.
        """
        self._named = True
        first, newest = self._table.log_versions()
        until = min(newest, self._read[0])
        if not first <= version < until:
            return
        before = self._table.snapshot(version).metadata
        for commit in self._table.changes(version + 1, until):
            if commit.metadata is None:
                continue
            if not same_file_names(before, commit.metadata, later=False):
                raise UnsupportedError(
                    "DELTA_STREAMING_INCOMPATIBLE_SCHEMA_CHANGE_USE_SCHEMA_LOG",
                    docLink=_DOCUMENTATION,
                    readSchema=self._read[1].schema.json(),
                    incompatibleSchema=before.schema.json(),
                )
            before = commit.metadata

    def _accepted(self, commit: Commit) -> tuple[Change, ...]:
        """The files of a commit that the stream gives. Raises if it took rows away or changed the schema."""
        if self._tracking is not None and self._tracking.active:
            if self._tracking.is_barrier(commit):
                self._barriers.add(commit.version)
        elif commit.metadata is not None:
            self._check_schema(commit)
        if self._rules.feed:
            if commit.metadata is not None:
                check_recorded(commit.metadata, commit.version, commit.version, self._table.version)
            return self._wanted(changes_of(commit))
        adds = tuple(file for file in commit.adds if file.data_change)
        removed = [file for file in commit.removes if file.data_change]
        if removed:
            if self._rules.skip_changes:
                return ()
            self._check_removal(commit, adds, removed[0].path)
        return self._wanted(Change(commit.version, "insert", file) for file in adds)

    def _check_removal(self, commit: Commit, adds: tuple[AddFile, ...], removed: str) -> None:
        path = self._uri
        if adds and not self._rules.ignore_changes:
            raise UnsupportedError(
                "DELTA_SOURCE_TABLE_IGNORE_CHANGES",
                operation=commit.info.get("operation", "unknown"),
                file=removed,
                version=commit.version,
                tablePath=path,
            )
        if not adds and not self._rules.ignore_deletes:
            raise UnsupportedError(
                "DELTA_SOURCE_IGNORE_DELETE", removedFile=removed, version=commit.version, dataPath=path
            )

    def _check_schema(self, commit: Commit) -> None:
        """The stream reads with the schema it began with, so a version must not hold more than that."""
        assert commit.metadata is not None
        found = commit.metadata.schema
        version, metadata = self._read
        if not same_file_names(metadata, commit.metadata, later=commit.version > version):
            raise UnsupportedError(
                "DELTA_STREAMING_INCOMPATIBLE_SCHEMA_CHANGE_USE_SCHEMA_LOG",
                docLink=_DOCUMENTATION,
                readSchema=(found if commit.version < version else metadata.schema).json(),
                incompatibleSchema=(metadata.schema if commit.version < version else found).json(),
            )
        try:
            fits = merge(self._schema, found, grow=True) == self._schema
        except AnalysisError:
            fits = False
        if not fits:
            raise SparkError(
                "DELTA_SCHEMA_CHANGED_WITH_VERSION",
                version=commit.version,
                readSchema=self._schema.simpleString(),
                dataSchema=found.simpleString(),
            )

    def _wanted(self, changes: Iterable[Change]) -> tuple[Change, ...]:
        exclude = self._rules.exclude
        return tuple(change for change in changes if exclude is None or not exclude.search(change.file.path))


def _may_rename(table: LakeTable) -> bool:
    """Whether columns may have had other names in the table's files before: it maps its columns, or once did."""
    protocol = table.newest().protocol
    return protocol is not None and bool(named_features(protocol) & {"columnMapping", PROTECTION})
