"""When the files of a stream of notifications are listed: at its first start, and every `backfillInterval` after that.

The times stand in the stream's offsets (`lastBackfillStartTimeMs`, `lastBackfillFinishTimeMs`).

Invariants: a listing whose files were not all given to batches is made again after a restart, as is one from before
there were notifications, or of another path.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from headwater.clock import Clock
from headwater.io.file_queue import FileQueue
from headwater.io.storage import FileStatus
from headwater.sources.base import Offset


class Backfill:
    """The listings of one running stream.

    Args:
        files: what lists.
        since_ms: from when on events are in the queue.
        interval_ms: how often to list, or None.
        path: the stream's, as in its offsets.
    """

    def __init__(self, files: FileQueue, clock: Clock, since_ms: int, interval_ms: int | None, path: str) -> None:
        self._files, self._clock, self._path = files, clock, path
        self._since_ms, self._interval_ms = since_ms, interval_ms
        self._listed: set[str] = set()
        self._known = False
        self._owed = True
        self.started_ms = 0
        self.finished_ms = 0

    def resume(self, start: Offset | None) -> None:
        """Take over what an earlier run has noted in the stream's offset, once."""
        if self._known:
            return
        self._known = True
        known = json.loads(start) if start is not None else {}
        self.started_ms = int(known.get("lastBackfillStartTimeMs", 0))
        self.finished_ms = int(known.get("lastBackfillFinishTimeMs", 0))
        whole = self.started_ms <= self.finished_ms and known.get("lastInputPath") == self._path
        self._owed = not whole or self.started_ms < self._since_ms

    def run_if_due(self, start: Offset | None) -> None:
        """List, if it is time. `start` is the offset that the stream goes on from."""
        self.resume(start)
        now = self._clock.now_ms()
        again = self._interval_ms is not None and now - self.started_ms >= self._interval_ms and not self._listed
        if self._owed or again:
            self.started_ms, self._owed = now, False
            self._files.refresh()
            self._listed = set(self._files.pending)
            self.given(())

    def given(self, files: Sequence[FileStatus]) -> None:
        """These files went to a batch."""
        self._listed.difference_update(file.path for file in files)
        if self.finished_ms < self.started_ms and (not self._listed or not self._files.pending):
            self._listed.clear()
            self.finished_ms = max(self.started_ms, self._clock.now_ms())

    def passed_over(self) -> None:
        """All that was there was listed and is not to be read."""
        self._known, self._owed = True, False
        self.started_ms = self.finished_ms = self._clock.now_ms()
