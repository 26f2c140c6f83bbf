"""Stopping a command from another thread: the connection it works on right now is interrupted.

    with interruptible() as interrupt:
        operation.on_cancel(interrupt.cancel)
        session.run(command)

Invariants: only statements of the thread that entered `interruptible` are stopped; after `cancel` it starts no
further statement.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headwater.duck import Connection
from headwater.session.translate import canceled

_current = threading.local()


class Interrupt:
    """The statements of one command."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._canceled = False

    def cancel(self) -> None:
        """Stop the running statement; it fails with OPERATION_CANCELED, and so does the next."""
        with self._lock:
            self._canceled = True
            if self._connection is not None:
                self._connection.interrupt()

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
