"""The responses of one execution on their way to the client: numbered, buffered, replayable.

The executing thread `put`s, one gRPC call at a time `read`s. A client that lost its stream reads again after the
last response it has seen; what it has released is forgotten.

Invariants: unsent responses never exceed `UNSENT_LIMIT` by more than one response (the producer waits: that is the
backpressure); sent but unreleased ones are kept up to `REPLAY_LIMIT`; ids are the numbers 1, 2, …
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from headwater.errors import SparkError

UNSENT_LIMIT = 16 * 1024 * 1024
REPLAY_LIMIT = 10 * 1024 * 1024


class AbandonedError(Exception):
    """The execution was released while it was still producing."""


class _Entry(NamedTuple):
    number: int
    response: Any
    size: int


class Responses:
    """The response buffer of one execution."""

    def __init__(self, *, replay: bool) -> None:
        self._replay_limit = REPLAY_LIMIT if replay else 0
        self._entries: deque[_Entry] = deque()
        self._last = 0
        self._sent = 0
        self._unsent_bytes = 0
        self._sent_bytes = 0
        self._closed = False
        self._ended = False
        self._error: BaseException | None = None
        self._reader: object | None = None
        self._changed = threading.Condition()
        self.detached_at: float | None = None
        """Monotonic time since when nobody reads; None while somebody does."""

    def put(self, response: Any) -> None:
        """Number `response` and queue it; waits while the reader is far behind. Raises AbandonedError."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._unsent_bytes < UNSENT_LIMIT)
            if self._closed:
                raise AbandonedError
            self._last += 1
            response.response_id = str(self._last)
            size = response.ByteSize()
            self._entries.append(_Entry(self._last, response, size))
            self._unsent_bytes += size
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """No more responses; readers get `error` after the last one."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def attach(self) -> object:
        """Become the one reader; a reader before this one is told that it is disconnected."""
        with self._changed:
            self._reader = object()
            self.detached_at = None
            self._changed.notify_all()
            return self._reader

    def detach(self, reader: object) -> None:
        """The reader's call is over."""
        with self._changed:
            if self._reader is reader:
                self._reader = None
                self.detached_at = time.monotonic()
                self._changed.notify_all()

    def read(self, reader: object, after: str | None) -> Iterator[Any]:
        """Responses after the one with id `after` (None: from the start), until the end.

        Raises the execution's error, or INVALID_CURSOR if the position is gone or another reader came.
        """
        number = self._position(after)
        while True:
            entry = self._next(reader, number)
            if entry is None:
                return
            number = entry.number
            yield entry.response

    def wait(self, seconds: float) -> bool:
        """Whether the execution ended within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ended, seconds)

    def release(self, until: str | None) -> None:
        """Forget responses up to id `until`; None: all, and stop producing."""
        with self._changed:
            if until is None:
                self._closed = True
                self._entries.clear()
                self._unsent_bytes = self._sent_bytes = 0
            else:
                number = int(until) if until.isdigit() else 0
                while self._entries and self._entries[0].number <= min(number, self._sent):
                    self._sent_bytes -= self._entries.popleft().size
            self._changed.notify_all()

    def _position(self, after: str | None) -> int:
        if after is None:
            first = self._entries[0].number if self._entries else self._last + 1
            if first != 1 and self._last:
                raise SparkError("INVALID_CURSOR.POSITION_NOT_AVAILABLE", responseId="1", index=1)
            return 0
        if not after.isdigit() or int(after) > self._last:
            raise SparkError("INVALID_CURSOR.POSITION_NOT_FOUND", responseId=after)
        return int(after)

    def _next(self, reader: object, number: int) -> _Entry | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._reader is not reader or self._closed or self._ended or self._last > number
            )
            if self._reader is not reader:
                raise SparkError("INVALID_CURSOR.DISCONNECTED")
            if self._last > number and not self._closed:
                return self._take(number + 1)
            if self._error is not None:
                raise self._error
            return None

    def _take(self, number: int) -> _Entry:
        first = self._entries[0].number if self._entries else self._last + 1
        if number < first:
            raise SparkError("INVALID_CURSOR.POSITION_NOT_AVAILABLE", responseId=number, index=number)
        entry = self._entries[number - first]
        if number > self._sent:
            self._sent = number
            self._unsent_bytes -= entry.size
            self._sent_bytes += entry.size
            while self._sent_bytes > self._replay_limit and self._entries[0].number < number:
                self._sent_bytes -= self._entries.popleft().size
            self._changed.notify_all()
        return entry
