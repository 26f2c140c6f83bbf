"""Files found by events: messages of a queue become files to read, and are deleted once those are durable.

Invariants: a message is deleted only when each file it names is in the stream's log, or was passed over by its name or
age or because it has gone; a file that comes again, in whatever message or listing, changes nothing; a message that
cannot be read is told, counted and deleted. A crash at any moment leaves messages that come again.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from headwater.clock import Clock
from headwater.crash import crash_point
from headwater.io.file_log import FileLog
from headwater.io.file_queue import FileQueue
from headwater.io.s3 import s3_storage
from headwater.log import logger
from headwater.sources.cloud_files.events import MalformedMessageError, created
from headwater.sources.cloud_files.queue import Message, Queue

_log = logger("sources")
_PAUSES_MS = (0, 100, 250, 500)
"""How long the queue is left alone after so many answers without a message."""
_ASKING = 16
"""So many objects are looked at side by side."""
_SHOWN = 200
_MANY = 1000
"""With so many messages held it is looked whether some may be deleted already."""
_SLACK_MS, _PATIENCE_MS = 2000, 60_000


@dataclass
class _Held:
    """A message that was received and not deleted: what deletes it, and the files it waits for."""

    handle: str
    paths: set[str] = field(default_factory=set)


class Notified:
    """The messages of one running stream.

    Args:
        queue: where they come from.
        files: takes what they name.
        log: knows which files are durable.
    """

    def __init__(self, queue: Queue, files: FileQueue, log: FileLog, clock: Clock) -> None:
        self._queue, self._files, self._log, self._clock = queue, files, log, clock
        self._held: dict[str, _Held] = {}
        self._pool = ThreadPoolExecutor(_ASKING, thread_name_prefix="headwater-objects")
        self._empty = 0
        self._next_ms = 0
        self._end_ms: int | None = None
        self._until_ms = 0
        self._drained = False
        self._settling = _MANY
        self.skipped = 0
        self.stopped = False

    def poll(self, wanted: int | None) -> None:
        """Receive until `wanted` files wait (None: all there are), or there are no more messages just now."""
        self.settle()
        now = self._clock.now_ms()
        if self._drained or (self._end_ms is None and now < self._next_ms):
            return
        came = False
        while (wanted is None or len(self._files.pending) < wanted) and not self.stopped:
            news = self._round()
            came = came or news
            if len(self._held) >= self._settling:
                self.settle()
            if not news and not self._more_may_come():
                break
        self.settle()
        self._empty = 0 if came else min(self._empty + 1, len(_PAUSES_MS) - 1)
        self._next_ms = self._clock.now_ms() + _PAUSES_MS[self._empty]

    def freeze(self) -> None:
        """Fix the end: what was sent until now is received by later calls of `poll`, and hardly more.

        What a run that was killed has received comes again when the queue shows it again; it is waited for, a minute.
        """
        facts = self._queue.facts()
        self._end_ms = 0
        if facts.in_hands:
            self._until_ms = self._clock.now_ms() + min(facts.hidden_ms, _PATIENCE_MS) + _SLACK_MS

    def settle(self) -> None:
        """Delete the messages whose files are all durable."""
        if not self._held:
            return
        undone = self._log.unrecorded()
        done = [
            key
            for key, held in self._held.items()
            if not any(path in undone or path in self._files.pending for path in held.paths)
        ]
        if done:
            crash_point("cloud_files.settling")
            self._queue.delete([self._held[key].handle for key in done])
            crash_point("cloud_files.settled")
        for key in done:
            del self._held[key]
        self._settling = max(_MANY, 2 * len(self._held))

    def size(self) -> int:
        """About how many messages wait in the queue."""
        return self._queue.facts().waiting

    def stop(self) -> None:
        """Free queue and threads; what is held comes again."""
        self.stopped = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._queue.close()

    def _round(self) -> bool:
        """Receive once; whether anything came that is not held already."""
        messages, service_ms = self._queue.receive(0 if self._end_ms is None else 1)
        if self._end_ms == 0:
            self._end_ms = service_ms
        news = {message.key for message in messages} - self._held.keys()
        self._take(messages)
        if messages:
            crash_point("cloud_files.received")
        if self._end_ms and news and all(message.sent_ms > self._end_ms + _SLACK_MS for message in messages):
            self._drained = True
            return False
        return bool(news)

    def _more_may_come(self) -> bool:
        """When the end is fixed: whether messages in the hands of a killed run may still come back."""
        if self._end_ms is None or self._drained:
            return False
        if self._clock.now_ms() < self._until_ms and self._queue.facts().in_hands > len(self._held):
            return True
        self._drained = True
        return False

    def _take(self, messages: Sequence[Message]) -> None:
        found: set[str] = set()
        for message in messages:
            paths = self._paths(message)
            self._held[message.key] = _Held(message.handle, paths)
            found |= paths
        wanted = [path for path in sorted(found) if self._files.wants(path)]
        for file in self._pool.map(s3_storage().status, wanted):
            if file is not None:
                self._files.offer(file)

    def _paths(self, message: Message) -> set[str]:
        try:
            return set(created(message.body))
        except MalformedMessageError as cause:
            self.skipped += 1
            _log.warning(
                "CF_CANNOT_PARSE_QUEUE_MESSAGE: the message %s of %s is skipped, %s: %s",
                message.key, self._queue.url, cause, message.body[:_SHOWN],
            )  # fmt: skip
            return set()
