"""What becomes of a file: discovered, committed, archived. Kept in the lines of the stream's log of files.

A line of `sources/<i>/` has `size` and `discoveryTime` from the beginning, and `processedTime` and `commitTime` once it
lies in a segment. Until then the times of a batch are those of its files in `offsets/` and `commits/`, of which
more are kept than there are entries outside of segments. What was done with a file is a line of the next entry, with
`archiveTime`, `archiveMode` and `moveLocation`.

Invariants: no file is written for it that would not be written anyway; times never change once they are kept.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from headwater.clock import Clock
from headwater.io.compact_log import Line
from headwater.io.mounts import encode_uri
from headwater.io.storage import FileStatus, Storage


class Times(NamedTuple):
    """When a batch's offsets were logged and when the batch was; None: not yet, or not known any more. Milliseconds."""

    processed_ms: int | None = None
    committed_ms: int | None = None


class Archived(NamedTuple):
    """What was done with a file: `DELETE` or `MOVE`, when, and where it went."""

    when_ms: int
    mode: str
    location: str | None


def batch_times(storage: Storage, checkpoint: str, index: int) -> dict[int, Times]:
    """By `seqNum` of source `index`: the times of the batches whose files are still in `offsets/` and `commits/`."""
    planned, committed = storage.times(f"{checkpoint}/offsets"), storage.times(f"{checkpoint}/commits")
    found: dict[int, Times] = {}
    last = -1
    for batch in sorted(int(name) for name in planned if name.isdecimal()):
        number = _seq_num(storage, f"{checkpoint}/offsets/{batch}", index)
        if number is None:
            continue
        for each in range(last + 1 if last >= 0 else number, number + 1):
            found[each] = Times(planned[str(batch)], committed.get(str(batch)))
        last = number
    return found


def _seq_num(storage: Storage, path: str, index: int) -> int | None:
    try:
        lines = storage.read(path).decode().split("\n")
        offset: Any = json.loads(lines[2 + index])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    return int(offset["seqNum"]) if isinstance(offset, dict) and "seqNum" in offset else None


@dataclass
class Lifecycle:
    """The times of one running stream's files.

    Attributes:
        place: the checkpoint and the number of the source in it.
        skipping: the files being recorded lay there before the first start and are never read.
    """

    storage: Storage
    clock: Clock
    place: tuple[str, int]
    skipping: bool = False

    def __post_init__(self) -> None:
        self._here: dict[int, Times] = {}
        self._archived: deque[Line] = deque()
        self._before: Mapping[int, Times] | None = None

    def facts(self, file: FileStatus) -> Line:
        """See `Keeping.facts`."""
        kept: Line = {"size": file.size, "discoveryTime": self.clock.now_ms()}
        return {**kept, "skipped": True} if self.skipping else kept

    def news(self) -> list[Line]:
        """See `Keeping.news`."""
        return [self._archived.popleft() for _ in range(len(self._archived))]

    def known(self, number: int) -> Line:
        """`processedTime` and `commitTime` of the files of a batch, as far as they are known."""
        return known_times(self.times(number))

    def times(self, number: int) -> Times:
        """The times of a batch of files: as this run saw them, else as the checkpoint has them."""
        if number in self._here:
            return self._here[number]
        if self._before is None:
            self._before = batch_times(self.storage, *self.place)
        return self._before.get(number, Times())

    def planned(self, number: int) -> None:
        """The batch's files are durable in the log, its offsets come next."""
        self._here[number] = Times(self.clock.now_ms())
        while len(self._here) > _KEPT:
            del self._here[next(iter(self._here))]

    def committed(self, number: int) -> None:
        """The batch is done."""
        self._here[number] = Times(self.times(number).processed_ms, self.clock.now_ms())

    def archived(self, file: FileStatus, number: int, done: Archived) -> None:
        """A file of batch `number` was deleted or moved."""
        line = {"path": encode_uri(file.uri), "timestamp": file.modified_ms, "batchId": number}
        moved = {"moveLocation": done.location} if done.location else {}
        self._archived.append({**line, "archiveTime": done.when_ms, "archiveMode": done.mode, **moved})


def known_times(times: Times) -> Line:
    """The times as a line has them."""
    found = {"processedTime": times.processed_ms, "commitTime": times.committed_ms}
    return {key: value for key, value in found.items() if value is not None}


_KEPT = 1000
