"""Objects in S3 as files: what DuckDB and Arrow read `s3://` paths through, a range of bytes at a time.

DuckDB's own extension for object stores is downloaded when it is first used and must match the version exactly, so it
is not relied on.

Invariants: read only (rows are written to a local folder and uploaded, see `staging`); a file is one content from its
opening to its end, or an error; a handle may be read by several threads, each at its own place.
"""

from __future__ import annotations

import gzip
import io
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

from headwater import duck
from headwater.io.paths import is_remote
from headwater.io.storage import FileStatus

if TYPE_CHECKING:
    from headwater.io.s3 import S3Storage

T = TypeVar("T")
_AT_ONCE = 16
_KNOWN_SECONDS = 2.0
_MOST_KNOWN = 4096


def opened(path: str) -> str | IO[bytes]:
    """What Arrow and Python's readers take: the path of a local file, an open file for an object."""
    if not is_remote(path):
        return path
    from headwater.io.s3 import s3_storage

    return io.BufferedReader(ObjectFile(s3_storage(), path), 1 << 16)


def reading(path: str) -> IO[bytes]:
    """The file or object, open, and unpacked if its name ends in `.gz`. Raises FileNotFoundError."""
    if path.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(opened(path), "rb"))
    found = opened(path)
    return open(found, "rb") if isinstance(found, str) else found


def of_each(files: Sequence[FileStatus], ask: Callable[[FileStatus], T]) -> list[T]:
    """What `ask` says of each file, in order; objects are asked for side by side, as each waits for the network."""
    if len(files) < 2 or not is_remote(files[0].path):
        return [ask(file) for file in files]
    with ThreadPoolExecutor(min(len(files), _AT_ONCE), "headwater-s3") as pool:
        return list(pool.map(ask, files))


class ObjectFile(io.RawIOBase):
    """An object, open for reading. Raises FileNotFoundError when it is made."""

    def __init__(self, storage: S3Storage, path: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        found = storage.facts(path) if facts is None else facts
        if found is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        self._storage, self._path = storage, path
        self._size, self._etag = int(found["size"]), found["e_tag"]
        self._at = 0
        self._sought = threading.local()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next read of this thread begins."""
        return int(getattr(self._sought, "at", self._at))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set where this thread's next read begins."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        self._sought.at = self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as much as the buffer holds."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Read to the end."""
        return self.read(self._size)

    def read(self, size: int | None = -1) -> bytes:
        """Read `size` bytes, to the end if it is negative; fewer only at the end."""
        start = self.tell()
        end = self._size if size is None or size < 0 else min(start + size, self._size)
        data = self._storage.read_range(self._path, start, end, self._etag) if end > start else b""
        # DuckDB seeks and reads from several threads: what one has sought is for its own next read.
        self._sought.__dict__.pop("at", None)
        self._at = start + len(data)
        return data


class _Known:
    """What was asked of objects a moment ago: a scan opens a file several times."""

    def __init__(self, storage: S3Storage) -> None:
        self._storage = storage
        self._facts: dict[str, tuple[float, Mapping[str, Any]]] = {}

    def facts(self, path: str) -> Mapping[str, Any]:
        """Raises FileNotFoundError."""
        now = time.monotonic()
        known = self._facts.get(path)
        if known is not None and known[0] > now:
            return known[1]
        found = self._storage.facts(path)
        if found is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        if len(self._facts) >= _MOST_KNOWN:
            self._facts.clear()
        self._facts[path] = now + _KNOWN_SECONDS, found
        return found


def register(storage: S3Storage) -> None:
    """Let every DuckDB of this process read `s3://` paths."""
    duck.register_filesystem(_class()(_Known(storage), storage))


@cache
def _class() -> Any:
    from fsspec import AbstractFileSystem

    class Objects(AbstractFileSystem):  # type: ignore[misc]
        """What DuckDB asks of a filesystem."""

        protocol = "s3"
        cachable = False

        def __init__(self, known: _Known, storage: S3Storage) -> None:
            super().__init__()
            self._known, self._storage = known, storage

        def unstrip_protocol(self, name: str) -> str:
            return name

        def glob(self, path: str, **_: Any) -> list[str]:
            # Paths come from listings: a wildcard in one is part of its name.
            return [path]

        def exists(self, path: str, **_: Any) -> bool:
            return bool(self._storage.exists(path))

        def isfile(self, path: str) -> bool:
            return self._storage.facts(path) is not None

        def isdir(self, path: str) -> bool:
            return bool(self._storage.is_folder(path))

        def info(self, path: str, **_: Any) -> dict[str, Any]:
            return {"name": path, "size": self._known.facts(path)["size"], "type": "file"}

        def modified(self, path: str) -> datetime:
            found: datetime = self._known.facts(path)["last_modified"]
            return found

        def open(self, path: str, mode: str = "rb", **_: Any) -> ObjectFile:
            if mode != "rb":
                raise OSError(30, "Objects are written by uploading them", path)
            return ObjectFile(self._storage, path, self._known.facts(path))

    return Objects
