"""Looks at a checkpoint from outside: what it says, whether its files are whole, and what may be thrown away.

Invariants: looking changes nothing; `repair` only deletes what no reader would use, or what readers promise to do again
(the newest entry of a log, if it is damaged); a query that writes the checkpoint meanwhile must be stopped first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from headwater.errors import RuntimeSparkError
from headwater.io.checksum import matches, side_file
from headwater.io.storage import Storage
from headwater.state.metadata import read_operators, state_folder
from headwater.state.schema import NAME as SCHEMA_NAME
from headwater.state.store import StateFiles
from headwater.streaming.logs import BatchLog, CommitEntry, OffsetEntry, commit_log, offset_log

State = Literal["good", "unchecked", "damaged", "orphan"]
_SIDE = re.compile(r"^\.(.+)\.crc$")
_TEMPORARY = re.compile(r"^\..+\.tmp$")
_STATE_FILE = re.compile(r"^(\d+)\..+\.parquet$")


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one file; the path is relative to the checkpoint."""

    path: str
    state: State
    reason: str = ""


@dataclass(frozen=True)
class StoreSize:
    """One state of one operator, as far as it is committed."""

    operator: int
    name: str
    store: str
    version: int | None
    snapshot: int | None
    files: int
    bytes: int
    rows_written: int


@dataclass(frozen=True)
class Summary:
    """A checkpoint in figures; times in milliseconds since 1970."""

    query_id: str | None
    planned: int | None
    committed: int | None
    offsets: tuple[str | None, ...] = ()
    committed_offsets: tuple[str | None, ...] = ()
    timestamp_ms: int | None = None
    watermark_ms: int | None = None
    stores: tuple[StoreSize, ...] = field(default_factory=tuple)

    @property
    def lag(self) -> int:
        """How many batches are planned and not committed."""
        return (-1 if self.planned is None else self.planned) - (-1 if self.committed is None else self.committed)


class Inspection:
    """One checkpoint.

    Args:
        storage: where it lies.
        path: its folder.
    """

    def __init__(self, storage: Storage, path: str) -> None:
        self._storage = storage
        self._path = path
        self._offsets = offset_log(storage, path)
        self._commits = commit_log(storage, path)

    def exists(self) -> bool:
        """Whether it is a checkpoint at all."""
        return any(self._storage.exists(f"{self._path}/{name}") for name in ("metadata", "offsets", "commits"))

    # ── inspect ─────────────────────────────────────────────────────────────────────────────────────────────

    def summary(self) -> Summary:
        """What the checkpoint says. Raises INCOMPLETE_STREAM_LOG for a damaged log."""
        planned, committed = (_newest(log) for log in (self._offsets, self._commits))
        plan = None if planned is None else self._offsets.get(planned)
        done = None if committed is None else self._offsets.get(committed)
        commit = None if committed is None else self._commits.get(committed)
        return Summary(
            self._query_id(),
            planned,
            committed,
            plan.offsets if plan else (),
            done.offsets if done else (),
            plan.timestamp_ms if plan else None,
            commit.next_watermark_ms if commit else None,
            tuple(self._sizes(commit, committed)),
        )

    def _query_id(self) -> str | None:
        try:
            return str(json.loads(self._storage.read(f"{self._path}/metadata"))["id"])
        except (FileNotFoundError, ValueError, KeyError):
            return None

    def _sizes(self, commit: CommitEntry | None, committed: int | None) -> Iterator[StoreSize]:
        for operator in read_operators(self._storage, self._path).values():
            for store in self._stores(operator.number):
                folder = state_folder(self._path, operator.number, store)
                found = [file for file in self._storage.walk(folder) if _in(file.path, folder)]
                line = self._line(folder, operator.number, commit, committed)
                files = StateFiles(self._storage.list(folder))
                yield StoreSize(
                    operator.number,
                    operator.name,
                    store,
                    max(line, default=None),
                    files.base(line, max(line)) or None if line else None,
                    len(found),
                    sum(file.size for file in found),
                    sum(_footer_rows(self._storage.read(file.path)) or 0 for file in found),
                )

    def _stores(self, number: int) -> list[str]:
        folder = state_folder(self._path, number)
        found = [name for name in self._storage.list(folder) if self._storage.exists(f"{folder}/{name}/{SCHEMA_NAME}")]
        return [*([""] if self._storage.exists(f"{folder}/{SCHEMA_NAME}") else []), *sorted(found)]

    def _line(self, folder: str, number: int, commit: CommitEntry | None, committed: int | None) -> dict[int, str]:
        """The ids of the committed versions of a state, as far back as its files go."""
        if commit is None or committed is None:
            return {}
        files = StateFiles(self._storage.list(folder))
        known = {*files.changelogs, *files.snapshots}
        for version_id in commit.state_ids.get(number, ()):
            if (committed + 1, version_id) in known:
                return files.line((committed + 1, version_id))
        return {}

    # ── verify ──────────────────────────────────────────────────────────────────────────────────────────────

    def verdicts(self) -> list[Verdict]:
        """One for every file, sorted, and one for every file that is missing."""
        found = [self._file(file.path) for file in self._storage.walk(self._path)]
        verdicts = {verdict.path: verdict for verdict in found if verdict is not None}
        for verdict in (*self._gaps(), *self._entries(), *self._states()):
            known = verdicts.get(verdict.path)
            if known is None or known.state != "damaged":
                verdicts[verdict.path] = verdict
        return [verdicts[path] for path in sorted(verdicts)]

    def _file(self, path: str) -> Verdict | None:
        """By its name and its checksum; side files are part of their files."""
        shown, name = path.removeprefix(f"{self._path}/"), path.rpartition("/")[2]
        if _TEMPORARY.match(name):
            return Verdict(shown, "orphan", "it was being written when the process ended")
        side = _SIDE.match(name)
        if side:
            owner = f"{path.rpartition('/')[0]}/{side[1]}"
            return None if self._storage.exists(owner) else Verdict(shown, "orphan", "its file is gone")
        data = self._storage.read(path)
        if not matches(self._storage, path, data):
            return Verdict(shown, "damaged", "its checksum does not match")
        if name.endswith(".parquet") and _footer_rows(data) is None:
            return Verdict(shown, "damaged", "it is not a whole Parquet file")
        return Verdict(shown, "good" if self._storage.exists(side_file(path)) else "unchecked")

    def _entries(self) -> Iterator[Verdict]:
        """Log entries that cannot be read."""
        for log in (self._offsets, self._commits):
            for batch in log.ids(gaps=True):
                try:
                    log.get(batch)
                except RuntimeSparkError as error:
                    yield Verdict(f"{_short(log)}/{batch}", "damaged", error.parameters.get("reason", str(error)))

    def _gaps(self) -> Iterator[Verdict]:
        """Entries that are missing between others."""
        if self._storage.exists(f"{self._path}/async_progress"):
            return
        for log in (self._offsets, self._commits):
            found = log.ids(gaps=True)
            for batch in sorted(set(range(found[0], found[-1])) - set(found)) if found else ():
                yield Verdict(f"{_short(log)}/{batch}", "damaged", "the file is missing")

    def _states(self) -> Iterator[Verdict]:
        """State files that nothing leads to, and those that are missing."""
        committed = _newest(self._commits)
        try:
            commit = None if committed is None else self._commits.get(committed)
        except RuntimeSparkError:
            return  # which files are needed is not known
        for operator in read_operators(self._storage, self._path):
            for store in self._stores(operator):
                folder = state_folder(self._path, operator, store)
                yield from self._store(folder, self._line(folder, operator, commit, committed), committed)

    def _store(self, folder: str, line: dict[int, str], committed: int | None) -> Iterator[Verdict]:
        shown = folder.removeprefix(f"{self._path}/")
        newest = 0 if committed is None else committed + 1
        files = StateFiles(self._storage.list(folder))
        if newest and not line:
            yield Verdict(f"{shown}/{newest}.*.parquet", "damaged", "the committed version is missing")
            return
        base = files.base(line, newest)
        if newest and base < min(line):
            missing = min(line)
            yield Verdict(f"{shown}/{missing}.{line[missing]}.*.parquet", "damaged", "the file is missing")
        for name in self._storage.list(folder):
            found = StateFiles([name])
            for number, version_id in (*found.changelogs, *found.snapshots):
                if number > newest or line.get(number, version_id) != version_id:
                    yield Verdict(f"{shown}/{name}", "orphan", "an interrupted run wrote it, no batch needs it")

    # ── repair ──────────────────────────────────────────────────────────────────────────────────────────────

    def repairs(self) -> list[Verdict]:
        """What `repair` deletes: orphans, and damaged newest entries of the logs."""
        found = self.verdicts()
        newest = {f"{_short(log)}/{_newest(log)}" for log in (self._offsets, self._commits)}
        planned, committed = _newest(self._offsets), _newest(self._commits)
        if planned is not None and planned == committed:
            newest.discard(f"offsets/{planned}")  # it is committed: its offsets are needed to go on
        return [one for one in found if one.state == "orphan" or (one.state == "damaged" and one.path in newest)]

    def repair(self) -> list[Verdict]:
        """Delete that, and say what it was."""
        done = self.repairs()
        for verdict in done:
            path = f"{self._path}/{verdict.path}"
            self._storage.delete(path)
            self._storage.delete(side_file(path))
        return done


def _newest(log: BatchLog[OffsetEntry] | BatchLog[CommitEntry]) -> int | None:
    return max(log.ids(gaps=True), default=None)


def _short(log: BatchLog[OffsetEntry] | BatchLog[CommitEntry]) -> str:
    return log.folder.rpartition("/")[2]


def _in(path: str, folder: str) -> bool:
    """Whether it is a state file that lies in the folder itself."""
    parent, _, name = path.rpartition("/")
    return parent == folder and _STATE_FILE.match(name) is not None


def _footer_rows(data: bytes) -> int | None:
    """How many rows a Parquet file has; None if it is not whole."""
    try:
        return int(pq.read_metadata(pa.BufferReader(data)).num_rows)
    except (pa.ArrowException, OSError):
        return None
