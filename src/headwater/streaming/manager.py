"""The streaming queries of a session, and who listens to them.

Invariants: no two active queries of a session share a name; an ended query is not listed; a listener that fails does
not disturb a query.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from headwater.errors import IllegalArgumentError, StreamingQueryError
from headwater.log import logger
from headwater.streaming.query import StreamEvent, StreamingQuery

_log = logger("streaming")
Listener = Callable[[StreamEvent], None]


class StreamingQueryManager:
    """`spark.streams` of one session."""

    def __init__(self, listeners: Sequence[Listener] = ()) -> None:
        self._queries: dict[str, StreamingQuery] = {}
        self._listeners: list[Listener] = list(listeners)
        self._changed = threading.Condition()
        self._ended: list[StreamingQuery] = []

    # ── queries ─────────────────────────────────────────────────────────────────────────────────────────────

    def active(self) -> list[StreamingQuery]:
        """All queries that run."""
        with self._changed:
            return [query for query in self._queries.values() if query.is_active]

    def get(self, query_id: str) -> StreamingQuery | None:
        """The running query with that id."""
        with self._changed:
            query = self._queries.get(query_id)
        return query if query is not None and query.is_active else None

    def check_name(self, name: str | None) -> None:
        """Raises STREAMING_QUERY_NAME_IN_USE if a running query has that name."""
        if name is not None and any(query.name == name for query in self.active()):
            raise IllegalArgumentError("STREAMING_QUERY_NAME_IN_USE", name=name)

    def add(self, query: StreamingQuery) -> None:
        """List a query that is about to start. Raises STREAMING_QUERY_NAME_IN_USE."""
        with self._changed:
            self.check_name(query.name)
            self._queries[query.id] = query

    def await_any_termination(self, timeout_s: float | None = None) -> bool:
        """Wait until a query has ended since the start or the last reset. Raises its exception if it failed."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._ended), timeout_s):
                return False
            failed = [query.exception() for query in self._ended if query.exception() is not None]
        for error in failed:
            assert isinstance(error, StreamingQueryError)
            raise error
        return True

    def reset_terminated(self) -> None:
        """Forget the queries that have ended."""
        with self._changed:
            self._ended.clear()

    # ── listeners ───────────────────────────────────────────────────────────────────────────────────────────

    def add_listener(self, callback: Listener) -> None:
        """Tell `callback` of every event of this session's queries, from the queries' threads."""
        with self._changed:
            self._listeners.append(callback)

    def remove_listener(self, callback: Listener) -> None:
        """Stop telling `callback`; nothing happens if it does not listen."""
        with self._changed:
            if callback in self._listeners:
                self._listeners.remove(callback)

    def publish(self, query: StreamingQuery, event: StreamEvent) -> None:
        """Tell the listeners; an ended query leaves the list first."""
        with self._changed:
            if event.kind == "terminated":
                if self._queries.get(query.id) is query:
                    del self._queries[query.id]
                self._ended.append(query)
                self._changed.notify_all()
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(event)
            except Exception as error:
                _log.warning("a listener failed on %s: %s", event.kind, error)
