"""Storage in local folders, as durable as asked.

A new file is written under a temporary name (`.NAME.UUID.tmp`), flushed, then linked to its name: the link fails
if the name is taken, so of two writers exactly one wins, and readers never see half a file.

Invariants: see `storage.Storage`; temporary names start with a dot, so listings of batches pass over them.
Durability `full` flushes files and folders, `spark` only renames (as Spark does), `none` is the same for tests.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from typing import Literal, get_args

from headwater.crash import crash_point
from headwater.errors import IllegalArgumentError
from headwater.io.storage import FileStatus

Durability = Literal["full", "spark", "none"]


class LocalStorage:
    """Local folders as a `Storage`.

    Args:
        durability: what survives a power cut; see the module.
    """

    def __init__(self, durability: Durability = "full") -> None:
        if durability not in get_args(Durability):
            raise IllegalArgumentError(
                "INVALID_CONF_VALUE.TYPE_MISMATCH",
                confName="headwater.durability",
                confValue=durability,
                confType="full, spark or none",
            )
        self.durable = self._flush = durability == "full"

    def create(self, path: str, data: bytes) -> None:
        """See `Storage.create`."""
        temporary = self._temporary(path, data)
        try:
            os.link(temporary, path)
            crash_point("storage.link")
        finally:
            os.unlink(temporary)
        self._flush_folder(os.path.dirname(path))
        crash_point("storage.created")

    def replace(self, path: str, data: bytes, durable: bool = True) -> None:
        """See `Storage.replace`."""
        temporary = self._temporary(path, data, durable)
        try:
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
        crash_point("storage.rename")
        if durable:
            self._flush_folder(os.path.dirname(path))

    def read(self, path: str) -> bytes:
        """See `Storage.read`."""
        with open(path, "rb") as file:
            return file.read()

    def fetch(self, path: str) -> tuple[bytes, int]:
        """See `Storage.fetch`."""
        return self.read(path), os.stat(path).st_mtime_ns // 1_000_000

    def exists(self, path: str) -> bool:
        """See `Storage.exists`."""
        return os.path.exists(path)

    def status(self, path: str) -> FileStatus | None:
        """See `Storage.status`."""
        try:
            return status(path, os.stat(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def identity(self, path: str) -> object:
        """See `Storage.identity`."""
        try:
            found = os.stat(path)
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def list(self, folder: str) -> list[str]:
        """See `Storage.list`."""
        try:
            return os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def times(self, folder: str) -> dict[str, int]:
        """See `Storage.times`."""
        try:
            entries = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        found = ((entry.name, self.status(entry.path)) for entry in entries if entry.is_file())
        return {name: file.modified_ms for name, file in found if file is not None}

    def walk(self, folder: str) -> Iterator[FileStatus]:
        """See `Storage.walk`."""
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            return
        for entry in entries:
            if entry.is_dir():
                yield from self.walk(entry.path)
            elif entry.is_file() and (found := self.status(entry.path)) is not None:
                yield found

    def delete(self, path: str) -> None:
        """See `Storage.delete`."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            shutil.rmtree(path, ignore_errors=False)

    def move(self, source: str, target: str) -> None:
        """See `Storage.move`."""
        folder = os.path.dirname(target)
        self._make_folder(folder)
        self._flush_path(source)
        try:
            os.rename(source, target)
        except OSError as cause:
            if not os.path.exists(source):
                raise
            if os.path.isdir(target):
                raise cause
            shutil.move(source, target)
        self._flush_folder(folder)

    def _temporary(self, path: str, data: bytes, durable: bool = True) -> str:
        folder, name = os.path.split(path)
        self._make_folder(folder)
        temporary = os.path.join(folder, f".{name}.{uuid.uuid4()}.tmp")
        try:
            self._write(temporary, data, durable)
        except OSError:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise
        crash_point("storage.fsync")
        return temporary

    def _write(self, path: str, data: bytes, durable: bool) -> None:
        with open(path, "xb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            crash_point("storage.temp")
            if self._flush and durable:
                os.fsync(file.fileno())

    def _make_folder(self, folder: str) -> None:
        """Make the folder and flush every parent that gained a child."""
        if os.path.isdir(folder):
            return
        missing = []
        parent = folder
        while parent and not os.path.isdir(parent):
            missing.append(parent)
            parent = os.path.dirname(parent)
        os.makedirs(folder, exist_ok=True)
        for made in reversed(missing):
            self._flush_folder(os.path.dirname(made))

    def _flush_folder(self, folder: str) -> None:
        self._flush_path(folder)

    def _flush_path(self, path: str) -> None:
        """Make a file's bytes, or a folder's names, survive a power cut."""
        if not self._flush:
            return
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def status(path: str, stat: os.stat_result) -> FileStatus:
    """The status of a local file."""
    return FileStatus(path, stat.st_size, stat.st_mtime_ns // 1_000_000)
