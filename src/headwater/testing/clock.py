"""A clock that runs with the machine's until a test holds it.

Invariants: it never goes back; while it is held, only `advance` moves it, and a query that has nothing to do waits
until it is woken or the time it waits for is reached.
"""

from __future__ import annotations

import threading
import time

_POLL_SECONDS = 0.005


class StepClock:
    """See `headwater.clock.Clock`."""

    def __init__(self) -> None:
        self._ahead_ms = 0
        self._held_ms: int | None = None
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC, or where a test has moved them."""
        with self._lock:
            return self._now()

    def hold(self) -> None:
        """Stand still."""
        with self._lock:
            self._held_ms = self._now()

    def release(self) -> None:
        """Go on from where it stands."""
        with self._lock:
            if self._held_ms is not None:
                self._ahead_ms = self._held_ms - _machine_ms()
                self._held_ms = None

    def advance(self, milliseconds: int) -> None:
        """Move forward."""
        with self._lock:
            if self._held_ms is None:
                self._ahead_ms += milliseconds
            else:
                self._held_ms += milliseconds

    def wait(self, wake: threading.Event, seconds: float) -> None:
        """Wait until `wake` is set or the clock has moved by `seconds`."""
        end = self.now_ms() + seconds * 1000
        while self.now_ms() < end and not wake.wait(_POLL_SECONDS):
            pass

    def _now(self) -> int:
        return _machine_ms() + self._ahead_ms if self._held_ms is None else self._held_ms


def _machine_ms() -> int:
    return time.time_ns() // 1_000_000
