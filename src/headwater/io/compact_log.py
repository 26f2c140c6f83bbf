"""A log of lines by batch id that is compacted as it grows: `sources/<i>/` and `_spark_metadata/` as Spark keeps them.

Entry `n` is a file `n`: the line `v1`, then one JSON object a line. Every tenth entry is `n.compact` instead and
holds the lines of all entries before it too, so a reader needs the newest compact file and what follows it.

Invariants: an entry is created once and never changed; entries that a compact file covers may be deleted, never
the newest compact file; a gap among the entries that are needed is an error that names the missing file.
"""

from __future__ import annotations

import json
from typing import Any

from headwater.errors import ConcurrentWriteError
from headwater.io.checksum import create_checked, damaged, delete_checked, read_checked
from headwater.io.storage import Storage

VERSION = b"v1"
INTERVAL = 10
RETAINED = 100
_COMPACT = ".compact"

Line = dict[str, Any]


class CompactLog:
    """One log.

    Args:
        storage: where it lies.
        folder: its folder.
        interval: every how many entries there is a compact one.
        retained: how many covered entries stay before they are deleted.
        from_any: the first entry need not be 0 (a sink's folder may be younger than its query).
    """

    def __init__(
        self,
        storage: Storage,
        folder: str,
        *,
        interval: int = INTERVAL,
        retained: int = RETAINED,
        from_any: bool = False,
    ) -> None:
        self._storage = storage
        self.folder = folder
        self._interval = interval
        self._retained = retained
        self._from_any = from_any
        self._latest: int | None = None

    def latest(self, fresh: bool = False) -> int | None:
        """The newest id, or None if the log is empty; `fresh` looks again for entries of other runs."""
        if self._latest is None or fresh:
            self._latest = max(self._names(), default=None)
        return self._latest

    def add(self, batch_id: int, lines: list[Line]) -> None:
        """Write entry `batch_id`. Raises CONCURRENT_STREAM_LOG_UPDATE if it is there already."""
        body = [encode(line) for line in lines]
        compact = self._compacts(batch_id)
        if compact:
            body = self._body_up_to(batch_id) + body
        path = f"{self.folder}/{batch_id}{_COMPACT if compact else ''}"
        try:
            create_checked(self._storage, path, b"\n".join([VERSION, *body]))
        except FileExistsError as cause:
            raise ConcurrentWriteError("CONCURRENT_STREAM_LOG_UPDATE", batchId=batch_id, path=self.folder) from cause
        self._latest = batch_id
        if compact:
            self._purge(batch_id)

    def get(self, batch_id: int) -> list[Line] | None:
        """The lines of one entry (of a compact one: all it covers), or None if it is not there."""
        name = self._names().get(batch_id)
        return None if name is None else [decode(f"{self.folder}/{name}", line) for line in self._read(name)]

    def lines(self) -> list[Line]:
        """The lines of all entries, oldest first."""
        return [
            decode(f"{self.folder}/{name}", line) for name in self._chain(self._names()) for line in self._read(name)
        ]

    def _compacts(self, batch_id: int) -> bool:
        return (batch_id + 1) % self._interval == 0

    def _body_up_to(self, batch_id: int) -> list[bytes]:
        names = {known: name for known, name in self._names().items() if known < batch_id}
        if batch_id > 0 and max(names, default=-1) != batch_id - 1 and not (self._from_any and not names):
            raise self._missing(batch_id - 1)
        return [line for name in self._chain(names) for line in self._read(name)]

    def _chain(self, names: dict[int, str]) -> list[str]:
        """The newest compact entry and all that follow it."""
        if not names:
            return []
        oldest = min(names) if self._from_any else 0
        first = max((known for known, name in names.items() if name.endswith(_COMPACT)), default=oldest)
        needed = range(first, max(names) + 1)
        for known in needed:
            if known not in names:
                raise self._missing(known)
        return [names[known] for known in needed]

    def _names(self) -> dict[int, str]:
        """Id to file name; a compact file wins over a plain one of the same id."""
        found: dict[int, str] = {}
        for name in sorted(self._storage.list(self.folder)):
            stem = name.removesuffix(_COMPACT)
            if stem.isdecimal():
                found[int(stem)] = name
        return found

    def _read(self, name: str) -> list[bytes]:
        path = f"{self.folder}/{name}"
        lines = read_checked(self._storage, path).split(b"\n")
        if lines[0] != VERSION:
            raise damaged(path, "it does not begin with `v1`", "Restore it from a copy.")
        return [line for line in lines[1:] if line]

    def _purge(self, compact_id: int) -> None:
        for known, name in self._names().items():
            if known < compact_id - self._retained:
                delete_checked(self._storage, f"{self.folder}/{name}")

    def _missing(self, batch_id: int) -> Exception:
        return damaged(
            f"{self.folder}/{batch_id}", "the file is missing", "Restore it from a copy, or use a new checkpoint."
        )


def encode(line: Line) -> bytes:
    """A line as it is written."""
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode()


def decode(path: str, line: bytes) -> Line:
    """A line of the file `path`. Raises INCOMPLETE_STREAM_LOG."""
    try:
        value = json.loads(line)
    except ValueError as cause:
        raise damaged(path, "a line of it is cut off", "Restore it from a copy, or use a new checkpoint.") from cause
    if not isinstance(value, dict):
        raise damaged(path, "a line of it is no JSON object", "Restore it from a copy.")
    return value
