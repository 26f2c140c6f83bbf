"""Connections for asking DuckDB's binder, one per thread at a time.

A thread that resolves a plan borrows a connection and gives it back when the plan is resolved, so plans are
resolved side by side and no two threads ever use one connection.

Invariants: a connection in use belongs to one thread; it works in the time zone asked for last; one that nobody
gave back is closed with its thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headwater.duck import Connection, Database


class Binders:
    """The idle connections of one session, and the one each thread has in use."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._idle: list[tuple[Connection, str]] = []
        self._mine = threading.local()

    def get(self, time_zone: str) -> Connection:
        """This thread's connection."""
        held: tuple[Connection, str] | None = getattr(self._mine, "held", None)
        if held is None:
            held = self._pop() or (self._database.connect(time_zone), time_zone)
        connection, zone = held
        if zone != time_zone:
            connection.execute("SET TimeZone = ?", [time_zone])
        self._mine.held = (connection, time_zone)
        return connection

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Within, `get` may be used; afterwards the connection is idle again. May be nested."""
        depth: int = getattr(self._mine, "depth", 0)
        self._mine.depth = depth + 1
        if depth == 0:
            self._database.widen()
        try:
            yield
        finally:
            self._mine.depth = depth
            if depth == 0:
                self._database.done()
            held = getattr(self._mine, "held", None)
            if depth == 0 and held is not None:
                self._mine.held = None
                self._idle.append(held)

    def close(self) -> None:
        """Close the idle connections."""
        while (held := self._pop()) is not None:
            held[0].close()

    def _pop(self) -> tuple[Connection, str] | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None
