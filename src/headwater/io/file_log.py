"""Which files each batch of a file stream was given: the log `sources/<i>/` in Spark's format, and its memory.

A line is `{"path": "file:///…", "timestamp": <modified ms>, "batchId": <n>}`.

Invariants: what was given is durable when it was recorded; `between` names the same files before and after a restart.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Protocol

from headwater.errors import FileReadError
from headwater.io.compact_log import CompactLog, Line
from headwater.io.file_queue import FileQueue
from headwater.io.local import status
from headwater.io.mounts import Mounts, decode_uri, encode_uri
from headwater.io.paths import is_remote
from headwater.io.s3 import s3_storage
from headwater.io.storage import FileStatus, Storage


class Keeping(Protocol):
    """What is kept of each file beside its path."""

    def facts(self, file: FileStatus) -> Line:
        """Keys of a new line."""
        ...

    def mark(self, raw: bytes) -> bytes:
        """A line with what has become known of its file since; called for every line of the log at each compaction."""
        ...


class FileLog:
    """The log of one stream; opening it tells `queue` what was given before.

    Args:
        storage, folder: where it lies.
        mounts: for the URIs in it.
        keeping: what a line says beyond what Spark's does.
    """

    def __init__(
        self, storage: Storage, folder: str, mounts: Mounts, queue: FileQueue, keeping: Keeping | None = None
    ) -> None:
        self._keeping = keeping
        self._log = CompactLog(storage, folder, mark=keeping.mark if keeping else None)
        self._mounts = mounts
        self._queue = queue
        self._batches: dict[int, list[FileStatus]] = {}
        self._unrecorded: list[int] = []
        self.latest = -1
        self._load()

    def catch_up(self, number: int) -> None:
        """Read what another run has given up to `number` and beyond since this one opened the log."""
        if number > self.latest:
            self._load()

    def _load(self) -> None:
        known, latest = self.latest, self._log.latest(fresh=True)
        self.latest = -1 if latest is None else latest
        for line in self._log.lines():
            number = int(line["batchId"])
            if number > known:
                file = self.file(line)
                self._queue.remember(file.path, file.modified_ms)
                self._batches.setdefault(number, []).append(file)
                self.latest = max(self.latest, number)

    def give(self, files: list[FileStatus]) -> int:
        """Give `files` to the next batch number; the log does not say so before it is recorded."""
        number = self.latest + 1
        self._unrecorded.append(number)
        self._batches[number] = files
        self.latest = number
        return number

    def record(self, number: int) -> None:
        """Make durable what was given up to `number`. Raises CONCURRENT_STREAM_LOG_UPDATE.

        It may be called from another thread, one call at a time.
        """
        while self._unrecorded and self._unrecorded[0] <= number:
            given = self._unrecorded[0]
            self._log.add(given, [self._line(file, given) for file in self._batches[given]])
            del self._unrecorded[0]

    def unrecorded(self) -> set[str]:
        """The paths that were given and are not durable yet."""
        return {file.path for number in list(self._unrecorded) for file in self._batches.get(number, ())}

    def files(self, number: int) -> list[FileStatus]:
        """The files of one entry; sizes are -1 where only the log knows them."""
        if number not in self._batches:
            lines = [line for line in self._log.lines() if line["batchId"] == number]
            self._batches[number] = [self.file(line) for line in lines]
        return self._batches[number]

    def given(self, start: int, end: int) -> list[FileStatus]:
        """The files of entries after `start` up to `end`, as they were when they were given."""
        return [file for number in range(start + 1, end + 1) for file in self.files(number)]

    def between(self, start: int, end: int, *, missing_ok: bool) -> list[FileStatus]:
        """The files of entries after `start` up to `end`, with their sizes now.

        Raises FAILED_READ_FILE.FILE_NOT_EXIST for one that has gone, unless `missing_ok`.
        """
        found = [_now(file, missing_ok) for file in self.given(start, end)]
        return [file for file in found if file is not None]

    def forget(self, number: int) -> None:
        """Entries up to `number` are done; the memory of them may go."""
        for known in [known for known in self._batches if known <= number]:
            del self._batches[known]

    def lines(self) -> list[Line]:
        """All that is recorded, oldest first."""
        return self._log.lines()

    def _line(self, file: FileStatus, number: int) -> Line:
        line = {"path": encode_uri(file.uri), "timestamp": file.modified_ms, "batchId": number}
        return {**line, **self._keeping.facts(file)} if self._keeping else line

    def file(self, line: Line) -> FileStatus:
        """The file of a line, its size unknown."""
        uri = decode_uri(line["path"])
        return FileStatus(self._mounts.local(uri), -1, int(line["timestamp"]), uri)


def _now(file: FileStatus, missing_ok: bool) -> FileStatus | None:
    found = _object(file) if is_remote(file.path) else _local(file.path)
    if found is not None:
        return replace(file, size=found.size)
    if missing_ok:
        return None
    raise FileReadError("FAILED_READ_FILE.FILE_NOT_EXIST", path=encode_uri(file.uri))


def _object(file: FileStatus) -> FileStatus | None:
    """What the listing said of it a moment ago: asking again would cost a request for each object."""
    return file if file.size >= 0 else s3_storage().status(file.path)


def _local(path: str) -> FileStatus | None:
    try:
        return status(path, os.stat(path))
    except FileNotFoundError:
        return None
