"""`cloudFiles.cleanSource`: files whose batch is committed are deleted or moved once they have been kept long enough.

Invariants: no file is touched before its batch is in `commits/` and the retention is over, none that lay there before a
stream that passes over existing files, none that was passed over as corrupt or missing, and none that has changed since
it was read; a move never replaces a file.
What a crash keeps from being cleaned is cleaned by the next run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from headwater.crash import crash_point
from headwater.io.file_log import FileLog
from headwater.io.mounts import Mounts
from headwater.io.paths import is_remote
from headwater.io.storage import FileStatus, Storage
from headwater.log import logger
from headwater.sources.cloud_files.lifecycle import Archived, Lifecycle
from headwater.sources.cloud_files.passed_over import PassedOver

_log = logger("sources")
_AT_ONCE = 1000
"""No more files are cleaned after one batch."""


@dataclass(frozen=True)
class Clean:
    """What to do.

    Attributes:
        mode: `OFF`, `DELETE` or `MOVE`.
        retention_ms: how long a file stays after its commit.
        destination: the user's folder for moved files.
    """

    mode: str = "OFF"
    retention_ms: int = 0
    destination: str = ""


class Cleaner:
    """Cleans one stream's files.

    Args:
        places: the storage and the stream's mounts.
        roots: the stream's folders, local; a moved file keeps its path below them.
        passed_over: files that were not read.
    """

    def __init__(
        self,
        clean: Clean,
        places: tuple[Storage, Mounts],
        roots: Sequence[str],
        lifecycle: Lifecycle,
        passed_over: PassedOver,
    ) -> None:
        self._clean, self._lifecycle, self._passed_over = clean, lifecycle, passed_over
        self._storage, self._mounts = places
        self._roots = sorted(roots, key=len, reverse=True)
        self._waiting: deque[tuple[int, int, FileStatus]] = deque()

    def load(self, log: FileLog, committed: int) -> None:
        """Take over what earlier runs have left: the files of batches up to `committed`."""
        for line in log.lines():
            number = int(line["batchId"])
            if number > committed or "discoveryTime" not in line or "skipped" in line or "archiveTime" in line:
                continue
            when = line.get("commitTime") or self._lifecycle.times(number).committed_ms
            file = replace(log.file(line), size=int(line["size"]))
            self._waiting.append((when or self._lifecycle.clock.now_ms(), number, file))

    def add(self, number: int, files: Sequence[FileStatus]) -> None:
        """The files of batch `number`, which was committed just now."""
        now = self._lifecycle.clock.now_ms()
        self._waiting.extend((now, number, file) for file in files)

    def run(self) -> None:
        """Clean what is due."""
        due_ms = self._lifecycle.clock.now_ms() - self._clean.retention_ms
        for _ in range(_AT_ONCE):
            if not self._waiting or self._waiting[0][0] > due_ms:
                return
            _, number, file = self._waiting.popleft()
            self._one(number, file)
            crash_point("cloud_files.cleaned")

    def _one(self, number: int, file: FileStatus) -> None:
        if file in self._passed_over:
            return
        found = self._storage.status(file.path)
        if found is None or not _same(found, file):
            return
        location = None
        if self._clean.mode == "DELETE":
            self._storage.delete(file.path)
        else:
            below = self._below(file)
            target = f"{self._mounts.local(self._clean.destination).rstrip('/')}/{below}"
            if not self._move(file, target):
                _log.warning("%s is not moved: there is another file at %s", file.uri, target)
                return
            location = f"{self._mounts.uri(self._clean.destination).rstrip('/')}/{below}"
        done = Archived(self._lifecycle.clock.now_ms(), self._clean.mode, location)
        self._lifecycle.archived(file, number, done)

    def _move(self, file: FileStatus, target: str) -> bool:
        """Whether the file is at `target` now. A move that a crash cut short after the copy is finished."""
        if not self._storage.exists(target):
            self._storage.move(file.path, target)
            return True
        if self._storage.read(target) != self._storage.read(file.path):
            return False
        self._storage.delete(file.path)
        return True

    def _below(self, file: FileStatus) -> str:
        """The path below the folder that the stream reads."""
        root = next((one for one in self._roots if file.path.startswith(one.rstrip("/") + "/")), "")
        return file.path[len(root.rstrip("/")) :].lstrip("/") if root else file.path.rpartition("/")[2]


def _same(found: FileStatus, read: FileStatus) -> bool:
    """Whether a file is as it was read. Of an object S3 tells the second, where its listing tells the millisecond."""
    grain = 1000 if is_remote(read.path) else 1
    same_size = read.size in (-1, found.size)
    return same_size and found.modified_ms // grain == read.modified_ms // grain
