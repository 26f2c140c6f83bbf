"""Files of a batch that were not read, because `ignoreCorruptFiles` or `ignoreMissingFiles` passed over them.

They lie in `sources/<i>/passed_over/<n>`, `n` being the log entry that the batch ended with: the line `v1`, then their
paths and times as in the log.

Invariants: a file is noted before the batch that passes over it ends; what is noted stays, so such a file is never
deleted or moved as one that was read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from headwater.io.compact_log import encode
from headwater.io.mounts import encode_uri
from headwater.io.storage import FileStatus, Storage


class PassedOver:
    """Those of one stream.

    Args:
        folder: of the stream's log, `<checkpoint>/sources/<i>`.
    """

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage, self._folder = storage, f"{folder}/passed_over"
        self._known: set[tuple[str, int]] | None = None

    def note(self, number: int, given: Sequence[FileStatus], read: Sequence[FileStatus]) -> None:
        """Note which of the files given to a batch are not read. Noting a batch again changes nothing."""
        kept = {file.path for file in read}
        lost = [file for file in given if file.path not in kept]
        if not lost:
            return
        lines = [encode({"path": encode_uri(file.uri), "timestamp": file.modified_ms}) for file in lost]
        self._storage.replace(f"{self._folder}/{number}", b"\n".join([b"v1", *lines]))
        if self._known is not None:
            self._known.update(map(_key, lost))

    def __contains__(self, file: FileStatus) -> bool:
        if self._known is None:
            self._known = set(self._load())
        return _key(file) in self._known

    def _load(self) -> list[tuple[str, int]]:
        found = []
        for name in self._storage.list(self._folder):
            if name.isdecimal():
                lines = self._storage.read(f"{self._folder}/{name}").decode().split("\n")[1:]
                found += [(line["path"], int(line["timestamp"])) for line in map(json.loads, lines)]
        return found


def _key(file: FileStatus) -> tuple[str, int]:
    return encode_uri(file.uri), file.modified_ms
