"""Time as a value that is passed in: engines ask a `Clock`, never the machine.

Invariant: `SystemClock` is the only place of the package that reads or waits on the machine's clock for
decisions; tests move `ManualClock` by hand.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time in milliseconds since the epoch, and waiting."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...

    def wait(self, wake: threading.Event, seconds: float) -> None:
        """Return when `wake` is set or `seconds` have passed, whichever is first."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000

    def wait(self, wake: threading.Event, seconds: float) -> None:
        """Wait in real time."""
        wake.wait(max(seconds, 0.0))


class ManualClock:
    """A clock that stands still until `advance` is called; waiting ends when the time is reached."""

    def __init__(self, start_ms: int = 0) -> None:
        self._now = start_ms
        self._moved = threading.Condition()

    def now_ms(self) -> int:
        """The time set by hand, in milliseconds."""
        with self._moved:
            return self._now

    def advance(self, milliseconds: int) -> None:
        """Move time forward and wake whoever waits for it."""
        with self._moved:
            self._now += milliseconds
            self._moved.notify_all()

    def wait(self, wake: threading.Event, seconds: float) -> None:
        """Wait until `advance` has moved the clock by `seconds`, or `wake` is set."""
        with self._moved:
            end = self._now + int(seconds * 1000)
            while self._now < end and not wake.is_set():
                self._moved.wait(0.01)
