"""One storage for all paths: those of S3 go there, all others to the local one.

Invariant: a local path costs one comparison more than without.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from headwater.io.local import LocalStorage
from headwater.io.paths import REMOTE
from headwater.io.s3 import s3_storage
from headwater.io.storage import FileStatus


class RoutedStorage(LocalStorage):
    """Local folders and S3 as one `Storage`; the arguments are the local one's."""

    def create(self, path: str, data: bytes) -> None:
        """See `Storage.create`."""
        s3_storage().create(path, data) if path.startswith(REMOTE) else super().create(path, data)

    def replace(self, path: str, data: bytes, durable: bool = True) -> None:
        """See `Storage.replace`."""
        s3_storage().replace(path, data) if path.startswith(REMOTE) else super().replace(path, data, durable)

    def read(self, path: str) -> bytes:
        """See `Storage.read`."""
        return s3_storage().read(path) if path.startswith(REMOTE) else super().read(path)

    def fetch(self, path: str) -> tuple[bytes, int]:
        """See `Storage.fetch`."""
        return s3_storage().fetch(path) if path.startswith(REMOTE) else super().fetch(path)

    def exists(self, path: str) -> bool:
        """See `Storage.exists`."""
        return s3_storage().exists(path) if path.startswith(REMOTE) else super().exists(path)

    def status(self, path: str) -> FileStatus | None:
        """See `Storage.status`."""
        return s3_storage().status(path) if path.startswith(REMOTE) else super().status(path)

    def identity(self, path: str) -> object:
        """See `Storage.identity`."""
        return s3_storage().identity(path) if path.startswith(REMOTE) else super().identity(path)

    def times(self, folder: str) -> dict[str, int]:
        """See `Storage.times`."""
        return s3_storage().times(folder) if folder.startswith(REMOTE) else super().times(folder)

    def list(self, folder: str) -> list[str]:
        """See `Storage.list`."""
        return s3_storage().list(folder) if folder.startswith(REMOTE) else super().list(folder)

    def walk(self, folder: str) -> Iterator[FileStatus]:
        """See `Storage.walk`."""
        return s3_storage().walk(folder) if folder.startswith(REMOTE) else super().walk(folder)

    def delete(self, path: str) -> None:
        """See `Storage.delete`."""
        s3_storage().delete(path) if path.startswith(REMOTE) else super().delete(path)

    def move(self, source: str, target: str) -> None:
        """See `Storage.move`; a local file may become an object, and an object a local file."""
        if target.startswith(REMOTE):
            s3_storage().move(source, target)
        elif source.startswith(REMOTE):
            super().replace(target, s3_storage().read(source))
            s3_storage().delete_all([source])
        else:
            super().move(source, target)


def remove(path: str) -> None:
    """Delete one file or object. Raises OSError; a local file that is not there is FileNotFoundError."""
    if path.startswith(REMOTE):
        s3_storage().delete_all([path])
    else:
        os.unlink(path)


def remove_all(paths: Iterable[str]) -> None:
    """Delete objects, many at once."""
    s3_storage().delete_all(paths)


def is_folder(path: str) -> bool:
    """Whether there is a folder, or an object below `path`."""
    return s3_storage().is_folder(path) if path.startswith(REMOTE) else os.path.isdir(path)


def exists(path: str) -> bool:
    """Whether a file, object or folder is there."""
    return s3_storage().exists(path) if path.startswith(REMOTE) else os.path.exists(path)


def may_come(path: str) -> bool:
    """Whether a stream can wait for files in a folder: locally it must be there, in S3 it comes with its objects."""
    return path.startswith(REMOTE) or os.path.exists(path)


def names_in(folder: str) -> list[str]:
    """The names of what lies in a folder; none if it is none or may not be looked into."""
    if folder.startswith(REMOTE):
        return s3_storage().list(folder)
    try:
        return os.listdir(folder)
    except OSError:
        return []


def make_folder(path: str) -> None:
    """Make a local folder and its parents; in S3 folders come with their objects."""
    if not path.startswith(REMOTE):
        os.makedirs(path, exist_ok=True)


def read_range(path: str, start: int, end: int) -> bytes:
    """The bytes from `start` before `end`, fewer at the end of the file. Raises FileNotFoundError."""
    if path.startswith(REMOTE):
        return s3_storage().read_range(path, start, end)
    with open(path, "rb") as file:
        file.seek(start)
        return file.read(end - start)
