"""Storage as checkpoints and sinks see it: a few operations with exact guarantees.

Every checkpoint and sink byte goes through a `Storage`, so tests inject faults by wrapping one.

Invariants of every implementation: `create` never overwrites and its file appears whole or not at all;
after `create` or `replace` returns the bytes survive a crash (`full` durability); listings leave nothing out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, order=True, slots=True)
class FileStatus:
    """A file as a listing shows it.

    Attributes:
        path: the storage's own absolute path (local: what `open` takes; in S3 `s3://bucket/key`).
        size: bytes.
        modified_ms: modification time, milliseconds since the epoch.
        uri: the path as the user and Spark write it (`file:///…`, `s3://…`).
    """

    path: str
    size: int
    modified_ms: int
    uri: str = ""


class Storage(Protocol):
    """A folder tree, local or remote."""

    def create(self, path: str, data: bytes) -> None:
        """Create `path` with `data`, atomically. Raises FileExistsError if it is there already."""
        ...

    def replace(self, path: str, data: bytes, durable: bool = True) -> None:
        """Create or overwrite `path` with `data`, atomically; not `durable`: a power cut may lose it."""
        ...

    def read(self, path: str) -> bytes:
        """All bytes. Raises FileNotFoundError."""
        ...

    def fetch(self, path: str) -> tuple[bytes, int]:
        """All bytes, and the modification time in milliseconds since the epoch. Raises FileNotFoundError."""
        ...

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        ...

    def status(self, path: str) -> FileStatus | None:
        """Size and time of a file; None if it is not there."""
        ...

    def identity(self, path: str) -> object:
        """What tells a file from another that came later in its place; None if it is not there."""
        ...

    def list(self, folder: str) -> list[str]:
        """Names of the direct children; empty if the folder is not there."""
        ...

    def times(self, folder: str) -> dict[str, int]:
        """The files directly in a folder by name, with their modification times in milliseconds since the epoch."""
        ...

    def walk(self, folder: str) -> Iterator[FileStatus]:
        """All files below `folder`, with sizes and times, in no order."""
        ...

    def delete(self, path: str) -> None:
        """Delete a file or a folder with all below it; nothing happens if it is not there."""
        ...

    def move(self, source: str, target: str) -> None:
        """Rename a file, making the target's folders; a local file that is to lie in S3 is uploaded."""
        ...
