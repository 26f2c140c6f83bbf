"""Stopping a command from another thread: the connection it works on right now is interrupted.

    with interruptible() as interrupt:
        operation.on_cancel(interrupt.cancel)
        session.run(command)

Invariants: only statements of the thread that entered `interruptible` are stopped; after `cancel` it starts no
further statement; a running one is interrupted again and again until it has ended, for DuckDB forgets an interrupt
that comes just before its query begins.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headwater.duck import Connection
from headwater.sessions.translate import canceled

AGAIN_SECONDS = 0.1

_current = threading.local()


class Interrupt:
    """The statements of one command."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._canceled = False
        self._idle = threading.Event()

    def cancel(self) -> None:
        """Stop the running statement; it fails with OPERATION_CANCELED, and so does the next."""
        with self._lock:
            first, self._canceled = not self._canceled, True
        if first and self._interrupt():
            threading.Thread(target=self._insist, name="headwater-interrupt", daemon=True).start()

    def _interrupt(self) -> bool:
        """Interrupt the running statement, if there is one."""
        with self._lock:
            if self._connection is None:
                return False
            self._connection.interrupt()
            return True

    def _insist(self) -> None:
        while not self._idle.wait(AGAIN_SECONDS) and self._interrupt():
            pass

    def start(self, connection: Connection) -> None:
        """A statement is about to run. Raises OPERATION_CANCELED."""
        with self._lock:
            if self._canceled:
                raise canceled()
            self._connection = connection

    def end(self) -> None:
        """The statement has ended; its connection may be closed."""
        with self._lock:
            self._connection = None
        if self._canceled:
            self._idle.set()


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Within, statements of this thread can be stopped through the `Interrupt`."""
    before = getattr(_current, "interrupt", None)
    _current.interrupt = interrupt = Interrupt()
    try:
        yield interrupt
    finally:
        _current.interrupt = before


@contextmanager
def working(connection: Connection) -> Iterator[None]:
    """Statements on `connection` can be stopped, if this thread is `interruptible`."""
    interrupt: Interrupt | None = getattr(_current, "interrupt", None)
    if interrupt is None:
        yield
        return
    interrupt.start(connection)
    try:
        yield
    finally:
        interrupt.end()
