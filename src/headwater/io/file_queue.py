"""New files of a folder, found again and again without looking at the old ones, and handed out under limits.

A folder whose modification time has not changed is not listed; of a listed folder only names that were never seen
are looked at. So a trigger costs the same after a million files as after ten. In S3 a trigger lists all objects, a
thousand with each request, or with `incremental` those after the last one.

Invariants: a path is handed out once per queue, `remember`ed paths never; order is by modification time, then folder
and name (newest first on request; with `incremental` by path, so that what was handed out is all up to its last); files
older than `max_age_ms` before the newest one are passed over for good. Of a file that was handed out its name and time
stay in memory, of one that waits no more than that, its size and its place.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from headwater.io.file_places import Bucket, Folder, Incremental
from headwater.io.listing import (
    ListingOptions,
    expand,
    glob_pattern,
    hidden,
    is_glob,
    matches,
    objects,
    spelled,
    timely,
)
from headwater.io.mounts import Mounts
from headwater.io.paths import is_remote
from headwater.io.storage import FileStatus

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
        incremental: of objects list those only whose keys come after all that were seen; `auto`: as long as full
            listings find new files nowhere else.
        full_ms: list in full too when the last full listing of this queue is so long ago; None for never.
    """

    listing: ListingOptions = field(default_factory=ListingOptions)
    max_age_ms: int | None = None
    latest_first: bool = False
    name_only: bool = False
    overwrites: bool = False
    incremental: Incremental = "false"
    full_ms: int | None = None


@dataclass(frozen=True)
class Take:
    """How much to hand out at once; `max_bytes` is reached, not kept below: one file always fits."""

    max_files: int | None = None
    max_bytes: int | None = None


class _Waiting(NamedTuple):
    """A file found and not handed out; compared as it is handed out."""

    modified_ms: int
    folder: str
    name: str
    size: int


class FileQueue:
    """The new files under some paths (folders, files, globs).

    Args:
        mounts: for the paths.
        paths: as the user wrote them.
    """

    def __init__(self, mounts: Mounts, paths: Iterable[str], options: QueueOptions = QueueOptions()) -> None:
        self._roots = [(mounts.local(path), spelled(mounts, path)) for path in paths]
        self._options = options
        self._folders: dict[str, Folder] = {}
        self._ordered: list[_Waiting] = []
        self._fresh: list[_Waiting] = []
        self._void: dict[tuple[str, str], int] = {}
        self._handed_names: set[str] = set()
        self._paths: set[str] | None = None
        self._bytes = 0
        self._newest = self._oldest = 0
        self._buckets: dict[str, Bucket] = {}
        self.full_listing = 0, 0
        """With `incremental`: when the last full listing of objects began and ended, milliseconds since 1970."""

    @property
    def waiting(self) -> tuple[int, int]:
        """Files found and not handed out, and their bytes."""
        return len(self._waiting()), self._bytes

    @property
    def pending(self) -> Collection[str]:
        """The paths of the files found and not handed out."""
        waiting = self._waiting()
        if self._paths is None:
            self._paths = {_path(file) for file in waiting}
        return self._paths

    @property
    def incremental(self) -> bool:
        """Whether some listings of objects are not full."""
        return self._options.incremental != "false"

    def wants(self, path: str) -> bool:
        """Whether the object at `path` may be one to hand out, as far as its name says."""
        place, _, name = path.rpartition("/")
        if self._origin(path) is None or not self._counts(name):
            return False
        folder = self._folders.get(place)
        return self._options.overwrites or folder is None or name not in folder.known

    def offer(self, file: FileStatus) -> None:
        """An object that was found by other ways than `refresh`; passed over if that would have passed it over."""
        origin = self._origin(file.path)
        place, _, name = file.path.rpartition("/")
        if origin is not None and self._counts(name):
            self._offer(self._folder(place, origin), _Waiting(file.modified_ms, place, name, file.size))

    def _origin(self, path: str) -> tuple[str, str] | None:
        return next((origin for pattern, origin in self._roots if matches(pattern, path)), None)

    def remember(self, folder: str, name: str, modified_ms: int) -> None:
        """A file that was handed out before the queue was made, or by another one."""
        known = self._folder(folder).known
        before = known.get(name)
        if before is not None:
            self._void[folder, name] = modified_ms if self._options.overwrites else sys.maxsize  # it may be waiting
        if before is None or before < modified_ms:
            known[name] = modified_ms
        if self._options.name_only:
            self._handed_names.add(name)
        self._newest = max(self._newest, modified_ms)

    def refresh(self) -> None:
        """Look for new files."""
        for pattern, origin in self._roots:
            for root in expand(pattern):
                if is_remote(root):
                    self._list_objects(root, origin)
                elif os.path.isdir(root):
                    self._visit(root, origin)
                elif not is_glob(pattern) or self._counts(os.path.basename(root)):
                    self._look_at(root, origin)

    def take(self, limit: Take = Take()) -> list[FileStatus]:
        """The next files, oldest first (or newest first); empty if there are none."""
        self._drop_old()
        taken = _within(self._next(0), limit)
        end = len(self._ordered)
        if self._options.latest_first:
            del self._ordered[end - len(taken) :]
        else:
            del self._ordered[: len(taken)]
        for file in taken:
            self._bytes -= file.size
            if self._paths is not None:
                self._paths.discard(_path(file))
            self._newest = max(self._newest, file.modified_ms)
            if self._options.name_only:
                self._handed_names.add(file.name)
        if self._options.max_age_ms is not None:
            self._oldest = max(self._oldest, self._newest - self._options.max_age_ms)
        return list(map(self._status, taken))

    def peek(self, limit: Take = Take(), times: int = 1) -> list[list[FileStatus]]:
        """What the next calls of `take` would hand out; shorter where nothing is left."""
        self._drop_old()
        at = 0
        handed: list[list[FileStatus]] = []
        while len(handed) < times and at < len(self._ordered):
            files = _within(self._next(at), limit)
            handed.append(list(map(self._status, files)))
            at += len(files)
        return handed

    def _next(self, at: int) -> Iterator[_Waiting]:
        """The files that wait, in the order they are handed out, after the first `at`."""
        if self._options.latest_first:
            return itertools.islice(reversed(self._ordered), at, None)
        return (self._ordered[index] for index in range(at, len(self._ordered)))

    def _waiting(self) -> list[_Waiting]:
        """The files found and not handed out, oldest first; what came since the last look is put in its place."""
        if self._fresh:
            key = _path if self._options.incremental == "true" else _as_it_is
            self._fresh.sort(key=key)
            later = not self._ordered or key(self._ordered[-1]) <= key(self._fresh[0])
            self._ordered += self._fresh
            self._fresh = []
            if not later:
                self._ordered.sort(key=key)
        if self._void:
            void, self._void = self._void, {}
            self._keep([file for file in self._ordered if file.modified_ms > void.get((file.folder, file.name), -1)])
        return self._ordered

    def _keep(self, files: list[_Waiting]) -> None:
        self._ordered, self._paths = files, None
        self._bytes = sum(file.size for file in files)

    def _status(self, file: _Waiting) -> FileStatus:
        local, uri = self._folders[file.folder].origin
        path = _joined(file.folder, file.name)
        return FileStatus(path, file.size, file.modified_ms, uri + path[len(local) :])

    def _folder(self, path: str, origin: tuple[str, str] | None = None) -> Folder:
        folder = self._folders.get(path)
        if folder is None:
            folder = self._folders[path] = Folder()
        if origin is not None and not folder.origin[1]:
            folder.origin = origin
        return folder

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────────────

    def _visit(self, root: str, origin: tuple[str, str]) -> None:
        """All folders at and below `root`."""
        todo = [root]
        while todo:
            path = todo.pop()
            folder = self._folder(path, origin)
            if folder.changed(path) or self._options.overwrites:
                self._list(path, folder)
            todo += folder.children

    def _list(self, path: str, folder: Folder) -> None:
        """One folder: what was seen of it is known by its name alone."""
        known, other, anew = folder.known, folder.other, self._options.overwrites
        count = 0
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    count += 1
                    name = entry.name
                    if name in other or (name in known and not anew):
                        continue
                    if self._counts(name) and entry.is_file():
                        self._found(entry, path, folder)
                    elif not hidden(name) and entry.is_dir():
                        folder.children.append(_joined(path, name))
                        other.add(name)
                    elif hidden(name) or entry.is_file():
                        other.add(name)
        except (FileNotFoundError, NotADirectoryError):
            folder.gone()
        if len(other) + len(known) > count + _SLACK:
            folder.tidy(path, self._oldest if self._options.max_age_ms is not None else None)

    def _found(self, entry: os.DirEntry[str], path: str, folder: Folder) -> None:
        try:
            stat = entry.stat()
        except FileNotFoundError:
            return
        self._offer(folder, _Waiting(stat.st_mtime_ns // 1_000_000, path, entry.name, stat.st_size))

    def _look_at(self, path: str, origin: tuple[str, str]) -> None:
        """A file that the user named, or that a glob found."""
        place, name = os.path.split(path)
        folder = self._folder(place, origin)
        if name in folder.known and not self._options.overwrites:
            return
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            return
        self._offer(folder, _Waiting(stat.st_mtime_ns // 1_000_000, place, name, stat.st_size))

    def _offer(self, folder: Folder, file: _Waiting) -> None:
        """A file that may be new: it waits from now on, unless it was handed out, waits already, or is too old."""
        known = folder.known.get(file.name)
        if known is not None and not (self._options.overwrites and _later(file, known)):
            return
        untimely = file.modified_ms < self._oldest or not timely(file.modified_ms, self._options.listing)
        if untimely or file.name in self._handed_names:
            if not self._options.overwrites:
                folder.other.add(file.name)
            return
        if known is not None:
            self._void[file.folder, file.name] = known  # what waits of it was written over
        folder.known[file.name] = file.modified_ms
        self._fresh.append(file)
        self._bytes += file.size
        if self._paths is not None:
            self._paths.add(_path(file))

    def _counts(self, name: str) -> bool:
        glob = self._options.listing.name_glob
        return not hidden(name) and (glob is None or glob_pattern(glob).fullmatch(name) is not None)

    def _list_objects(self, root: str, origin: tuple[str, str]) -> None:
        """Objects at or below `root`."""
        bucket = self._buckets.get(root)
        if bucket is None:
            bucket = self._buckets[root] = Bucket(self._last_below(root))
        began, age = time.time_ns() // 1_000_000, self._options.full_ms
        due = age is not None and began - self.full_listing[1] >= age
        after = bucket.after(self._options.incremental, due)
        for file in objects(root, after):
            place, _, name = file.path.rpartition("/")
            folder = self._folders.get(place)
            if folder is not None and name in folder.known and not self._options.overwrites:
                continue
            if self._counts(name) and not any(map(hidden, place[len(root) + 1 :].split("/"))):
                bucket.found(file.path)
                folder = self._folder(place, origin)
                self._offer(folder, _Waiting(file.modified_ms, place, name, file.size))
        bucket.listed(after)
        if after is None and self._options.incremental != "false":
            self.full_listing = began, time.time_ns() // 1_000_000

    def _last_below(self, root: str) -> str:
        """The greatest of the known paths of objects at or below `root`."""
        inside = (
            (path, folder)
            for path, folder in self._folders.items()
            if folder.known and f"{path}/".startswith((f"{root}/", f"{root.rpartition('/')[0]}/"))
        )
        paths = (max(_joined(path, name) for name in folder.known) for path, folder in inside)
        return max((path for path in paths if f"{path}/".startswith(f"{root}/")), default="")

    def _drop_old(self) -> None:
        """Files too old beside the newest file of this look are passed over."""
        waiting, age = self._waiting(), self._options.max_age_ms
        if age is None or not waiting:
            return
        oldest = max(self._newest, *(file.modified_ms for file in self._ends(waiting))) - age
        if any(file.modified_ms < oldest for file in self._ends(waiting)):
            self._keep([file for file in waiting if file.modified_ms >= oldest])

    def _ends(self, waiting: list[_Waiting]) -> Iterable[_Waiting]:
        """Among them the oldest and the newest."""
        return waiting if self._options.incremental == "true" else (waiting[0], waiting[-1])


def _within(files: Iterable[_Waiting], limit: Take) -> list[_Waiting]:
    taken: list[_Waiting] = []
    size = 0
    for file in files:
        full = limit.max_files is not None and len(taken) >= limit.max_files
        if full or (limit.max_bytes is not None and taken and size + file.size > limit.max_bytes):
            break
        taken.append(file)
        size += file.size
    return taken


def _as_it_is(file: _Waiting) -> Any:
    return file


def _path(file: _Waiting) -> str:
    return _joined(file.folder, file.name)


def _later(file: _Waiting, known_ms: int) -> bool:
    grain = 1000 if is_remote(file.folder) else 1  # an object's own answer tells the second, a listing may tell more
    return file.modified_ms // grain > known_ms // grain


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"
