"""Named crash points: places where a test may kill the process for real, or stop a thread for good.

`HEADWATER_CRASH_AT=name:hit` makes the process send itself SIGKILL when the point `name` is passed for the
`hit`-th time (1 is the first). Without the variable a point costs one attribute test.

Invariant: a point has no effect of its own; it only marks "everything before this line has happened".
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Protocol


class Trap(Protocol):
    """Something that waits at a point."""

    def spring(self, name: str) -> None:
        """A thread has come to the point `name`."""
        ...


class _Trap:
    def __init__(self, setting: str) -> None:
        name, _, hit = setting.partition(":")
        self.name = name
        self.left = int(hit or 1)
        self.lock = threading.Lock()

    def spring(self, name: str) -> None:
        if name != self.name:
            return
        with self.lock:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


_trap: Trap | None = _Trap(os.environ["HEADWATER_CRASH_AT"]) if os.environ.get("HEADWATER_CRASH_AT") else None


def set_trap(trap: Trap | None) -> None:
    """Let `trap` wait at the points of this process; None: nobody."""
    global _trap
    _trap = trap


def crash_point(name: str) -> None:
    """Mark that everything before this line has happened; die here if this point is the one asked for."""
    if _trap is not None:
        _trap.spring(name)
