"""Which files each batch of a file stream was given: the log `sources/<i>/` and its memory.

A line is `{"path": "file:///…", "timestamp": <modified ms>, "batchId": <n>}`.

Invariants: what was given is durable when it was recorded; `between` names the same files before and after a restart.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol
from urllib.parse import unquote

from headwater.errors import FileReadError
from headwater.io.compact_log import Line
from headwater.io.file_queue import FileQueue
from headwater.io.local import status
from headwater.io.mounts import Mounts, decode_uri, encode_uri
from headwater.io.paths import is_remote
from headwater.io.s3 import s3_storage
from headwater.io.seen_files import SeenFiles
from headwater.io.storage import FileStatus


class Keeping(Protocol):
    """What is kept of each file beside its path."""

    def facts(self, file: FileStatus) -> Line:
        """Keys of a new line."""
        ...

    def news(self) -> list[Line]:
        """Lines on what has become of files of earlier entries; each is given out once."""
        ...


class Log(Protocol):
    """The log itself: `CompactLog` as Spark has it, or `SeenFiles`."""

    def latest(self, fresh: bool = False) -> int | None:
        """The newest entry."""
        ...

    def add(self, batch_id: int, lines: list[Line]) -> None:
        """Write an entry."""
        ...

    def lines(self) -> Iterable[Line]:
        """The lines of all entries."""
        ...


class FileLog:
    """The log of one stream; opening it tells `queue` what was given before.

    Args:
        log: where it lies.
        mounts: for the URIs in it.
        keeping: what a line says beyond what Spark's does.
    """

    def __init__(self, log: Log, mounts: Mounts, queue: FileQueue, keeping: Keeping | None = None) -> None:
        self._keeping = keeping
        self._log = log
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
        folders: dict[str, str] = {}
        for paths, times in self._given(known):
            for path, modified_ms in zip(paths, times, strict=True):
                place, _, name = path.rpartition("/")
                folder = folders.get(place)
                if folder is None:
                    folder = folders[place] = self._mounts.local(decode_uri(place or "/"))
                self._queue.remember(folder, unquote(name) if "%" in name else name, modified_ms)

    def _given(self, after: int) -> Iterator[tuple[Sequence[str], Sequence[int]]]:
        """Paths and times of the files of entries after `after`."""
        if isinstance(self._log, SeenFiles):
            for table in self._log.given(after):
                yield table["path"].to_pylist(), table["timestamp"].to_pylist()
        else:
            lines = [line for line in self._log.lines() if int(line["batchId"]) > after]
            yield [line["path"] for line in lines], [int(line["timestamp"]) for line in lines]

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
            news = self._keeping.news() if self._keeping else []
            self._log.add(given, [*(self._line(file, given) for file in self._batches[given]), *news])
            del self._unrecorded[0]

    def unrecorded(self) -> set[str]:
        """The paths that were given and are not durable yet."""
        return {file.path for number in list(self._unrecorded) for file in self._batches.get(number, ())}

    def files(self, number: int) -> list[FileStatus]:
        """The files of one entry; sizes are -1 where only the log knows them."""
        if number not in self._batches:
            lines: Iterable[Line]
            if isinstance(self._log, SeenFiles):
                lines = self._log.get(number) or ()
            else:
                lines = (line for line in self._log.lines() if line["batchId"] == number)
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

    def lines(self) -> Iterable[Line]:
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
