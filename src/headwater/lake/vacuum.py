"""VACUUM: files that no version within the retention needs are deleted from a Delta table's folder.

FULL lists the folder; LITE looks only at the files that the log says were removed. History gets `VACUUM START` before
the first deletion and `VACUUM END` after the last one.

Invariants: a file that a live version, or a version younger than the retention, names is never deleted, nor one that
is itself younger; names that begin with `_` or `.` are passed over, but for `_change_data`, `_delta_index` and
partition folders; nothing outside the table's folder is touched; the folder is listed before the log is read, so a
commit in between can only save files.
"""

from __future__ import annotations

import base64
import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headwater.crash import crash_point
from headwater.errors import ConcurrentWriteError, IllegalArgumentError, SparkError
from headwater.io.paths import is_remote, real
from headwater.io.routing import remove_all
from headwater.io.storage import Storage
from headwater.lake.actions import AddFile, ChangeFile, Metadata, RemoveFile, parse_remove
from headwater.lake.features import check_writable
from headwater.lake.log import DeltaLog, LogState
from headwater.lake.snapshot import local_path
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Draft, Operation

RETENTION = "delta.deletedFileRetentionDuration"
HOUR_MS = 3_600_000
_DEFAULT_MS = 7 * 24 * HOUR_MS
_LAST_VACUUM = "_last_vacuum_info"
_WATERMARK = "latestCommitVersionOutsideOfRetentionWindow"
_AT_ONCE = 1000
_SHOWN = ("_delta_index", "_change_data")
_CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint\.")
_UNITS_MS = {
    "week": 7 * 24 * HOUR_MS, "day": 24 * HOUR_MS, "hour": HOUR_MS, "minute": 60_000, "second": 1000,
    "millisecond": 1, "microsecond": 0.001,
}  # fmt: skip
_Z85_AS_B85 = str.maketrans(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
)
_PART = re.compile(r"\s*(\d+)\s*(week|day|hour|minute|second|millisecond|microsecond)s?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Vacuum:
    """A VACUUM as asked for.

    Attributes:
        retention_ms: how long a removed file is kept; None: as the table's property says.
        lite: delete only what the log names.
        checked: refuse a retention shorter than the table's.
        logged: write `VACUUM START` and `VACUUM END` into the history.
    """

    retention_ms: int | None = None
    lite: bool = False
    checked: bool = True
    logged: bool = True


@dataclass(frozen=True)
class Waste:
    """What a VACUUM will delete.

    Attributes:
        files: sizes in bytes by absolute path. folders: empty ones, absolute paths.
        folder_count: all folders of the table, itself included.
        watermark: the last version older than the retention, or None.
    """

    files: Mapping[str, int] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    folder_count: int = 1
    watermark: int | None = None

    @property
    def paths(self) -> list[str]:
        """Everything to delete, sorted."""
        return sorted([*self.files, *self.folders])


def retention_ms(metadata: Metadata) -> int:
    """Milliseconds that the table keeps removed files: `delta.deletedFileRetentionDuration`, default 7 days.

    Raises INVALID_CONF_VALUE.TYPE_MISMATCH for a value that is not an interval.
    """
    text = metadata.configuration.get(RETENTION)
    return _DEFAULT_MS if text is None else duration_ms(text, RETENTION)


def duration_ms(text: str, key: str) -> int:
    """Milliseconds of an interval as properties have them. Raises INVALID_CONF_VALUE.TYPE_MISMATCH naming `key`."""
    rest = text.strip().lower().removeprefix("interval")
    total = 0.0
    while match := _PART.match(rest):
        total += int(match[1]) * _UNITS_MS[match[2].lower()]
        rest = rest[match.end() :]
    if rest.strip() or rest == text.strip().lower().removeprefix("interval"):
        raise IllegalArgumentError(
            "INVALID_CONF_VALUE.TYPE_MISMATCH", confName=key, confValue=text, confType="interval of days or less"
        )
    return int(total)


def find(table: LakeTable, asked: Vacuum) -> Waste:
    """What `vacuum` would delete now.

    Raises DELTA_VACUUM_RETENTION_PERIOD_NEGATIVE, DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT, DELTA_CANNOT_VACUUM_LITE,
    and errors of features that are not here.
    """
    root = real(table.path)
    listed = None if asked.lite else _listing(root, table)
    state = table.newest()
    if state.metadata is None or state.protocol is None:
        raise SparkError("DELTA_TRUNCATED_TRANSACTION_LOG", path=table.log.folder, version=0)
    check_writable(state.protocol, state.metadata, table.path)
    _check_retention(asked, retention_ms(state.metadata))
    kept_ms = retention_ms(state.metadata) if asked.retention_ms is None else asked.retention_ms
    cutoff = table.clock.now_ms() - kept_ms
    watermark = max((version for version, at in table.log.times() if version >= 0 and at <= cutoff), default=None)
    kept = _kept(table, state, root, cutoff)
    if listed is None:
        return Waste(_logged_waste(table, root, watermark, kept), watermark=watermark)
    files = {path: size for path, size, modified in listed.files if modified < cutoff and path not in kept}
    folders = tuple(path for path, modified in listed.empty if modified < cutoff)
    return Waste(files, folders, listed.folder_count, watermark)


def vacuum(table: LakeTable, asked: Vacuum, storage: Storage) -> Waste:
    """Delete what no version within the retention needs; what was deleted.

    Raises as `find` does, and OSError if a file cannot be deleted (history then says that the VACUUM failed).
    """
    with table.changing():
        waste = find(table, asked)
        if asked.logged:
            _log(table, _start(table, asked, waste))
        crash_point("lake.vacuum_begun")
        try:
            deleted = _delete_all(table.path, waste.paths)
        except OSError:
            if asked.logged:
                _log(table, _end("FAILED"))
            raise
        if asked.logged:
            metrics = {"numDeletedFiles": deleted, "numVacuumedDirectories": waste.folder_count}
            _log(table, _end("COMPLETED", metrics))
        facts = {} if waste.watermark is None else {_WATERMARK: waste.watermark}
        storage.replace(os.path.join(table.log.folder, _LAST_VACUUM), json.dumps(facts).encode() + b"\n")
    return waste


# ── what may go ─────────────────────────────────────────────────────────────────────────────────────────────


def _check_retention(asked: Vacuum, least_ms: int) -> None:
    if asked.retention_ms is None:
        return
    if asked.retention_ms < 0:
        raise IllegalArgumentError("DELTA_VACUUM_RETENTION_PERIOD_NEGATIVE")
    if asked.checked and asked.retention_ms < least_ms:
        hours = -(-least_ms // HOUR_MS)
        raise IllegalArgumentError("DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT", configuredRetentionHours=hours)


def _listing(root: str, table: LakeTable) -> _Listing:
    return (_ObjectListing if is_remote(root) else _Listing)(root, table.partition_by, table.log.storage)


class _Listing:
    """The folder as it is: files with size and time (milliseconds), and empty folders with their time."""

    def __init__(self, root: str, partition_by: Iterable[str], storage: Storage) -> None:
        self._keys = tuple(f"{name}=" for name in partition_by)
        self._storage = storage
        self.files: list[tuple[str, int, int]] = []
        self.empty: list[tuple[str, int]] = []
        self.folder_count = 1
        self._walk(root)

    def _walk(self, folder: str) -> bool:
        """Whether there is anything in it."""
        entries = list(os.scandir(folder))
        for entry in entries:
            if self._hidden(entry.name):
                continue
            try:
                facts = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # a writer that failed has just taken it away
                continue
            modified = facts.st_mtime_ns // 1_000_000
            if not entry.is_dir(follow_symlinks=False):
                self.files.append((entry.path, facts.st_size, modified))
                continue
            self.folder_count += 1
            if not self._walk(entry.path):
                self.empty.append((entry.path, modified))
        return bool(entries)

    def _hidden(self, name: str) -> bool:
        return name.startswith(("_", ".")) and not name.startswith((*_SHOWN, *self._keys))


class _ObjectListing(_Listing):
    """The same of a table in S3, where a folder is what keys have in common and is never empty."""

    def _walk(self, folder: str) -> bool:
        folders: set[str] = set()
        for file in self._storage.walk(folder):
            parts = file.path[len(folder) + 1 :].split("/")
            if not any(map(self._hidden, parts)):
                self.files.append((file.path, file.size, file.modified_ms))
                folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
        self.folder_count += len(folders)
        return True


def _kept(table: LakeTable, state: LogState, root: str, cutoff: int) -> set[str]:
    """Absolute paths of files that a version within the retention names."""
    kept: set[str] = set()
    named: Iterable[AddFile | RemoveFile] = (*state.files.values(), *tombstones(table.log, cutoff))
    for file in named:
        kept.add(_absolute(root, file))
        kept.update(vector_paths(root, file))
    return kept


def _absolute(root: str, file: AddFile | RemoveFile | ChangeFile) -> str:
    path = local_path(root, AddFile(file.path, {}, 0, 0))
    folder, name = os.path.split(path)
    # A link in place of a data file is the file; folders may be reached in several ways.
    return os.path.join(real(folder), name)


def vector_paths(root: str, file: AddFile | RemoveFile) -> Iterator[str]:
    """The absolute path of its deletion vector's file, if it has one; `root` is the table's folder."""
    vector = file.deletion_vector or {}
    text = vector.get("pathOrInlineDv", "")
    if vector.get("storageType") == "u":
        code = base64.b85decode(text[-20:].translate(_Z85_AS_B85))
        name = f"deletion_vector_{uuid.UUID(bytes=code)}.bin"
        yield os.path.join(real(os.path.join(root, text[:-20])), name)
    elif vector.get("storageType") == "p":
        yield _absolute(root, RemoveFile(text, None))


def tombstones(log: DeltaLog, cutoff: int) -> Iterator[RemoveFile]:
    """Files removed at or after `cutoff`, by the commits since then and, if those are gone, by the checkpoint."""
    for version, at in log.times():
        commit = log.commit(version) if at >= cutoff else None
        if commit is not None:
            yield from commit.removes
    for path in _checkpoint_files(log):
        for gone in _removes_of(log.storage.read(path)):
            if (gone.deletion_timestamp or 0) >= cutoff:
                yield gone


def _checkpoint_files(log: DeltaLog) -> list[str]:
    """The Parquet files of the newest checkpoint, of any kind."""
    found: dict[int, list[str]] = {}
    for name in log.storage.list(log.folder):
        match = _CHECKPOINT.match(name)
        if match and name.endswith(".parquet"):
            found.setdefault(int(match[1]), []).append(os.path.join(log.folder, name))
    sidecars = os.path.join(log.folder, "_sidecars")
    more = [os.path.join(sidecars, name) for name in log.storage.list(sidecars)]
    return [*found.get(max(found, default=-1), []), *(path for path in more if path.endswith(".parquet"))]


def _removes_of(data: bytes) -> Iterator[RemoveFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(data))
    if "remove" not in file.schema_arrow.names:
        return
    for batch in file.iter_batches(columns=["remove"]):
        yield from (parse_remove(_plain(row["remove"])) for row in batch.to_pylist() if row["remove"])


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    return {**body, "partitionValues": dict(body.get("partitionValues") or ())}


def _logged_waste(table: LakeTable, root: str, watermark: int | None, kept: set[str]) -> dict[str, int]:
    """Files that the commits since the last VACUUM, up to `watermark`, have removed and that are still there."""
    first, _ = table.log.versions()
    last = _last_watermark(table.log)
    if watermark is None:
        return {}
    if first != 0 and (last is None or last < first):
        raise SparkError("DELTA_CANNOT_VACUUM_LITE")
    found: dict[str, int] = {}
    for commit in table.log.commits(first if last is None else last + 1, watermark):
        removed: Iterable[RemoveFile | ChangeFile] = (*commit.removes, *commit.changes)
        gone = [_absolute(root, file) for file in removed]
        gone += [vector for file in commit.removes for vector in vector_paths(root, file)]
        for path in gone:
            size = None if path in kept or not path.startswith(root + os.sep) else _size(table, path)
            if size is not None:
                found[path] = size
    return found


def _size(table: LakeTable, path: str) -> int | None:
    """Of the file itself, not of what a link leads to; None if it is not there."""
    if is_remote(path):
        found = table.log.storage.status(path)
        return None if found is None else found.size
    return os.lstat(path).st_size if os.path.lexists(path) else None


def _last_watermark(log: DeltaLog) -> int | None:
    try:
        found = json.loads(log.storage.read(os.path.join(log.folder, _LAST_VACUUM))).get(_WATERMARK)
    except (OSError, ValueError, AttributeError):
        return None
    return int(found) if found is not None else None


# ── deleting ────────────────────────────────────────────────────────────────────────────────────────────────


def _delete_all(root: str, paths: list[str]) -> int:
    """How many were deleted."""
    if not is_remote(root):
        return sum(map(_delete, paths))
    for start in range(0, len(paths), _AT_ONCE):
        remove_all(paths[start : start + _AT_ONCE])
        crash_point("lake.file_deleted")
    return len(paths)


def _delete(path: str) -> bool:
    """Whether the file or empty folder is gone by our doing; a folder that is in use again stays."""
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError:
        if os.path.isdir(path):
            return False
        raise
    crash_point("lake.file_deleted")
    return True


def _start(table: LakeTable, asked: Vacuum, waste: Waste) -> Draft:
    parameters: dict[str, Any] = {"retentionCheckEnabled": asked.checked}
    if asked.retention_ms is not None:
        parameters["specifiedRetentionMillis"] = asked.retention_ms
    parameters["defaultRetentionMillis"] = retention_ms(table.metadata)
    metrics = {"numFilesToDelete": len(waste.paths), "sizeOfDataToDelete": sum(waste.files.values())}
    return Draft(Operation("VACUUM START", parameters, None, "SnapshotIsolation", bare=True), -1, metrics=metrics)


def _end(status: str, metrics: Mapping[str, int] | None = None) -> Draft:
    operation = Operation("VACUUM END", {"status": status}, None, "SnapshotIsolation", bare=True)
    return Draft(operation, -1, metrics=metrics or {})


def _log(table: LakeTable, draft: Draft) -> None:
    """Commit a version that changes nothing: whatever others have committed is no conflict."""
    while True:
        try:
            table.commit(replace(draft, read_version=table.newest().version))
        except ConcurrentWriteError:
            continue
        return
