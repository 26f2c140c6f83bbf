"""Who writes a run's entries into the logs.

A batch's offsets are flushed while it is computed, and nothing leaves the process before they are. Its end is written
once its rows are in the sink and its state is durable; it may be written beside the beginning of the next batch.

With asynchronous progress tracking only one batch in each interval is written, and nobody waits for it. After a crash
the newest written batch runs again, or all after it in one: rows may come twice, none is lost.

Invariants: entries are written in the order of their batches, sources' logs before the offsets that need them; a batch
is committed in the log only if its offsets are in it too; after a failed write nothing is written any more, and the
query ends at its next step.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from headwater.clock import Clock
from headwater.errors import SparkError
from headwater.streaming.checkpoint import Checkpoint
from headwater.streaming.logs import CommitEntry, OffsetEntry

_CLOSE_SECONDS = 30.0


def _nothing() -> None:
    pass


class LogWriter(Protocol):
    """Writes the two logs of a run."""

    @property
    def settled(self) -> int:
        """The newest batch whose commit is on the disk; -1: none of this run."""
        ...

    def plan(self, batch_id: int, entry: OffsetEntry, record: Callable[[], None] = _nothing) -> None:
        """Batch `batch_id` is about to run; its offsets are written once `record` has returned."""
        ...

    def wait(self) -> None:
        """Until the batch that runs may leave the process, and the one before has ended.

        Raises what went wrong with them, such as CONCURRENT_STREAM_LOG_UPDATE.
        """
        ...

    def commit(self, batch_id: int, entry: CommitEntry, durable: Callable[[], None] = _nothing) -> None:
        """Batch `batch_id` is in the sink; its end is written once `durable` has returned."""
        ...

    def tidy(self, work: Callable[[], None]) -> None:
        """Do what nobody waits for after what was begun."""
        ...

    def close(self) -> None:
        """Finish what was begun."""
        ...


class DirectWriter:
    """All that was begun is on the disk when `wait` returns."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._worker = ThreadPoolExecutor(1, "log-writer")
        self._newest: Future[None] | None = None
        self.settled = -1

    def plan(self, batch_id: int, entry: OffsetEntry, record: Callable[[], None] = _nothing) -> None:
        """See `LogWriter`; the batch is computed while this is flushed."""

        def write() -> None:
            record()
            self._checkpoint.offsets.add(batch_id, entry)

        self._begin(write)

    def wait(self) -> None:
        """See `LogWriter`."""
        if self._newest is not None:
            self._newest.result()

    def commit(self, batch_id: int, entry: CommitEntry, durable: Callable[[], None] = _nothing) -> None:
        """See `LogWriter`."""

        def write() -> None:
            durable()
            self._checkpoint.commits.add(batch_id, entry)
            self.settled = batch_id

        self._begin(write)

    def tidy(self, work: Callable[[], None]) -> None:
        """See `LogWriter`."""
        self._begin(work)

    def close(self) -> None:
        """See `LogWriter`."""
        self._worker.shutdown()

    def _begin(self, write: Callable[[], None]) -> None:
        before = self._newest

        def after() -> None:
            if before is not None:
                before.result()
            write()

        self._newest = self._worker.submit(after)


class AsyncWriter:
    """Entries of one batch in each interval, written by a thread of its own.

    Args:
        interval_ms: 0: every batch is written, still beside the query.
    """

    def __init__(self, checkpoint: Checkpoint, clock: Clock, interval_ms: int) -> None:
        checkpoint.allow_gaps()
        self._checkpoint = checkpoint
        self._clock = clock
        self._interval_ms = interval_ms
        self._last_ms: int | None = None
        self._written: int | None = None
        self._planned: OffsetEntry | None = None
        self._finished: tuple[int, OffsetEntry, CommitEntry] | None = None
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="async-log-writer", daemon=True)
        self._thread.start()
        self.settled = -1

    def plan(self, batch_id: int, entry: OffsetEntry, record: Callable[[], None] = _nothing) -> None:
        """See `LogWriter`. Raises STREAMING_ASYNC_OPERATION_FAILED if an earlier write failed."""
        self._check()
        self._work.put(record)
        now = self._clock.now_ms()
        self._planned = entry
        if self._last_ms is not None and now - self._last_ms < self._interval_ms:
            return
        self._last_ms, self._written = now, batch_id
        self._work.put(lambda: self._checkpoint.offsets.add(batch_id, entry))

    def wait(self) -> None:
        """See `LogWriter`: nobody waits."""

    def commit(self, batch_id: int, entry: CommitEntry, durable: Callable[[], None] = _nothing) -> None:
        """See `LogWriter`. A batch that is run again after a restart has its offsets in the log."""
        self._check()
        self._work.put(durable)
        if self._written is None or self._written == batch_id:
            self._written, self._finished = batch_id, None
            self._work.put(lambda: self._add_commit(batch_id, entry))
        elif self._planned is not None:
            self._finished = batch_id, self._planned, entry

    def tidy(self, work: Callable[[], None]) -> None:
        """See `LogWriter`."""
        self._work.put(work)

    def close(self) -> None:
        """See `LogWriter`; the newest finished batch is written, so that a stopped query runs nothing again."""
        if self._finished is not None:
            batch_id, planned, entry = self._finished
            self._work.put(lambda: self._checkpoint.offsets.add(batch_id, planned))
            self._work.put(lambda: self._add_commit(batch_id, entry))
        self._work.put(None)
        self._thread.join(_CLOSE_SECONDS)

    def _add_commit(self, batch_id: int, entry: CommitEntry) -> None:
        self._checkpoint.commits.add(batch_id, entry)
        self.settled = batch_id

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            if self._error is None:
                try:
                    work()
                except Exception as error:
                    self._error = error

    def _check(self) -> None:
        if self._error is not None:
            raise SparkError("STREAMING_ASYNC_OPERATION_FAILED", message=str(self._error)) from self._error
