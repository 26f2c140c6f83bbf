"""New files of a folder, found again and again without looking at the old ones, and handed out under limits.

A folder whose modification time has not changed is not listed; of a listed folder only names that were never seen
are looked at. So a trigger costs the same after a million files as after ten. In S3 a trigger lists all objects, a
thousand with each request.

Invariants: a path is handed out once per queue, `remember`ed paths never; order is by modification time, then path
(newest first on request); files older than `max_age_ms` before the newest one are passed over for good.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from headwater.io.listing import (
    ListingOptions,
    expand,
    glob_pattern,
    hidden,
    is_glob,
    matches,
    spelled,
    timely,
    visible,
)
from headwater.io.mounts import Mounts
from headwater.io.paths import is_remote
from headwater.io.storage import FileStatus

_SETTLED_NS = 2_000_000_000
_SLACK = 1000


@dataclass(frozen=True)
class QueueOptions:
    """How files are chosen.

    Attributes:
        listing: which names count.
        max_age_ms: see the module; None for no limit.
        latest_first: hand out the newest first.
        name_only: two paths with the same file name are the same file.
        overwrites: a file whose modification time has grown since it was handed out is a new one; every file is looked
            at each time.
    """

    listing: ListingOptions = field(default_factory=ListingOptions)
    max_age_ms: int | None = None
    latest_first: bool = False
    name_only: bool = False
    overwrites: bool = False


@dataclass(frozen=True)
class Take:
    """How much to hand out at once; `max_bytes` is reached, not kept below: one file always fits."""

    max_files: int | None = None
    max_bytes: int | None = None


class FileQueue:
    """The new files under some paths (folders, files, globs).

    Args:
        mounts: for the paths.
        paths: as the user wrote them.
    """

    def __init__(self, mounts: Mounts, paths: Iterable[str], options: QueueOptions = QueueOptions()) -> None:
        self._roots = [(mounts.local(path), spelled(mounts, path)) for path in paths]
        self._options = options
        self._folders: dict[str, _Folder] = {}
        self._given: dict[str, int] = {}
        self._pending: dict[str, FileStatus] = {}
        self._ordered: list[FileStatus] | None = None
        self._newest = 0
        self._oldest = 0

    @property
    def waiting(self) -> tuple[int, int]:
        """Files found and not handed out, and their bytes."""
        return len(self._pending), sum(file.size for file in self._pending.values())

    @property
    def pending(self) -> Collection[str]:
        """The paths of the files found and not handed out."""
        return self._pending.keys()

    def wants(self, path: str) -> bool:
        """Whether the object at `path` may be one to hand out, as far as its name says."""
        if self._origin(path) is None or not self._counts(os.path.basename(path)):
            return False
        return self._options.overwrites or self._is_new(path, 0)

    def offer(self, file: FileStatus) -> None:
        """An object that was found by other ways than `refresh`; passed over if that would have passed it over."""
        origin = self._origin(file.path)
        if origin is not None:
            self._admit(file, origin)

    def remember(self, path: str, modified_ms: int) -> None:
        """A file that was handed out before the queue was made."""
        key = self._key(path)
        self._given[key] = max(modified_ms, self._given.get(key, 0))
        waiting = self._pending.get(path)
        if waiting is not None and not (self._options.overwrites and waiting.modified_ms > modified_ms):
            del self._pending[path]
            self._ordered = None
        self._newest = max(self._newest, modified_ms)
        self._forget_old()

    def refresh(self) -> None:
        """Look for new files."""
        for pattern, origin in self._roots:
            for root in expand(pattern):
                if is_remote(root):
                    self._take_in(root, origin)
                elif os.path.isdir(root):
                    self._visit(root, origin)
                elif not is_glob(pattern) or self._counts(os.path.basename(root)):
                    self._offer(root, origin)

    def take(self, limit: Take = Take()) -> list[FileStatus]:
        """The next files, oldest first (or newest first); empty if there are none."""
        taken = next(iter(self.peek(limit)), [])
        del self._waiting()[: len(taken)]
        for file in taken:
            del self._pending[file.path]
            self._given[self._key(file.path)] = file.modified_ms
            self._newest = max(self._newest, file.modified_ms)
        self._forget_old()
        return taken

    def peek(self, limit: Take = Take(), times: int = 1) -> list[list[FileStatus]]:
        """What the next calls of `take` would hand out; shorter where nothing is left."""
        self._drop_old()
        waiting, at = self._waiting(), 0
        handed: list[list[FileStatus]] = []
        while len(handed) < times and at < len(waiting):
            handed.append(_within(itertools.islice(waiting, at, None), limit))
            at += len(handed[-1])
        return handed

    def _waiting(self) -> list[FileStatus]:
        """The files found and not handed out, in order; sorted again only when there are new ones."""
        if self._ordered is None:
            files = sorted(self._pending.values(), key=lambda file: (file.modified_ms, file.path))
            self._ordered = files[::-1] if self._options.latest_first else files
        return self._ordered

    def _take_in(self, root: str, origin: tuple[str, str]) -> None:
        """Objects at or below `root`."""
        for file in visible(root):
            self._admit(file, origin)

    def _admit(self, file: FileStatus, origin: tuple[str, str]) -> None:
        local, uri = origin
        if (
            self._is_new(file.path, file.modified_ms)
            and file.modified_ms >= self._oldest
            and timely(file.modified_ms, self._options.listing)
            and self._counts(os.path.basename(file.path))
        ):
            self._pending[file.path] = replace(file, uri=uri + file.path[len(local) :])
            self._ordered = None

    def _origin(self, path: str) -> tuple[str, str] | None:
        return next((origin for pattern, origin in self._roots if matches(pattern, path)), None)

    def _visit(self, path: str, origin: tuple[str, str]) -> None:
        folder = self._folders.setdefault(path, _Folder())
        for name in folder.news(path):
            self._look(path, name, origin, folder)
        for name in folder.files if self._options.overwrites else ():
            self._offer(os.path.join(path, name), origin)
        for name in folder.children:
            self._visit(os.path.join(path, name), origin)

    def _look(self, path: str, name: str, origin: tuple[str, str], folder: _Folder) -> None:
        folder.known.add(name)
        if hidden(name):
            return
        full = os.path.join(path, name)
        if os.path.isdir(full):
            folder.children.append(name)
        elif self._counts(name):
            if self._options.overwrites:
                folder.files.append(name)
            self._offer(full, origin)

    def _counts(self, name: str) -> bool:
        glob = self._options.listing.name_glob
        return not hidden(name) and (glob is None or glob_pattern(glob).fullmatch(name) is not None)

    def _offer(self, path: str, origin: tuple[str, str]) -> None:
        if not self._options.overwrites and not self._is_new(path, 0):
            return
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            return
        modified = stat.st_mtime_ns // 1_000_000
        if self._is_new(path, modified) and modified >= self._oldest and timely(modified, self._options.listing):
            local, uri = origin
            self._pending[path] = FileStatus(path, stat.st_size, modified, uri + path[len(local) :])
            self._ordered = None

    def _is_new(self, path: str, modified_ms: int) -> bool:
        """Whether a file was neither handed out nor found, or, with `overwrites`, has changed since."""
        if not self._options.overwrites:
            return self._key(path) not in self._given and path not in self._pending
        waiting = self._pending.get(path)
        known = waiting.modified_ms if waiting else self._given.get(self._key(path), -1)
        grain = 1000 if is_remote(path) else 1  # an object's own answer tells the second, a listing may tell more
        return modified_ms // grain > known // grain

    def _key(self, path: str) -> str:
        return os.path.basename(path) if self._options.name_only else path

    def _drop_old(self) -> None:
        """Files too old beside the newest file of this look are passed over."""
        age = self._options.max_age_ms
        if age is None or not self._pending:
            return
        waiting = self._waiting()
        newest = max(self._newest, waiting[0].modified_ms, waiting[-1].modified_ms)
        if min(waiting[0].modified_ms, waiting[-1].modified_ms) >= newest - age:
            return
        for path in [path for path, file in self._pending.items() if file.modified_ms < newest - age]:
            del self._pending[path]
        self._ordered = None

    def _forget_old(self) -> None:
        """Keep the memory of handed-out files bounded: what is older than the age limit cannot come back."""
        age = self._options.max_age_ms
        if age is None or len(self._given) % _SLACK:
            return
        self._oldest = max(self._oldest, self._newest - age)
        self._given = {key: modified for key, modified in self._given.items() if modified >= self._oldest}


class _Folder:
    """What is known of one folder: names looked at, folders below it, and when it was listed."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.children: list[str] = []
        self.files: list[str] = []
        self._modified = -1
        self._listed = 0

    def news(self, path: str) -> list[str]:
        """Names never seen before, sorted. A change within the clock's grain of a listing could hide, so a folder
        that changed lately is listed again."""
        now = time.time_ns()
        try:
            modified = os.stat(path).st_mtime_ns
            if modified == self._modified and self._listed - modified > _SETTLED_NS:
                return []
            names = os.listdir(path)
        except (FileNotFoundError, NotADirectoryError):
            self.__init__()  # type: ignore[misc]
            return []
        self._modified, self._listed = modified, now
        fresh = sorted(set(names) - self.known)
        if len(self.known) > len(names) + _SLACK:
            self.known.intersection_update(names)
            self.children = [name for name in self.children if name in self.known]
            self.files = [name for name in self.files if name in self.known]
        return fresh


def _within(files: Iterable[FileStatus], limit: Take) -> list[FileStatus]:
    taken: list[FileStatus] = []
    size = 0
    for file in files:
        full = limit.max_files is not None and len(taken) >= limit.max_files
        if full or (limit.max_bytes is not None and taken and size + file.size > limit.max_bytes):
            break
        taken.append(file)
        size += file.size
    return taken
