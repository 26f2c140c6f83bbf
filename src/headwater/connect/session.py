"""The sessions of a server: found by (user, session id), created on the first call, closed when released or idle.

Invariants: a session that was released never comes back under the same id; a client that has seen another
incarnation of the server (`client_observed_server_side_session_id`) is told so instead of being served.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headwater.connect.artifacts import Artifacts
from headwater.connect.errors import ErrorStore
from headwater.errors import SparkError

if TYPE_CHECKING:
    from headwater.connect.execute import Operation
    from headwater.sessions.session import Session
    from headwater.streaming.query import StreamingQuery

Key = tuple[str, str]

IDLE_SECONDS = 3600.0
_REMEMBERED = 1000
_END_SECONDS = 5.0


@dataclass
class SessionHolder:
    """A session and what the protocol hangs on it."""

    key: Key
    session: Session
    server_side_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    artifacts: Artifacts = field(default_factory=Artifacts)
    errors: ErrorStore = field(default_factory=ErrorStore)
    operations: dict[str, Operation] = field(default_factory=dict)
    storage_levels: dict[int, Any] = field(default_factory=dict)
    """Levels given to `persist`, by the fingerprint of the relation."""
    listeners: list[Callable[[], None]] = field(default_factory=list)
    """Stops the listener bus streams of this session."""
    queries: dict[str, StreamingQuery] = field(default_factory=dict)
    """Streaming queries started here, by run id, also after they have ended."""
    pinned: bool = False
    """True while a running query works on it, though no client may call."""
    last_used: float = field(default_factory=time.monotonic)

    @property
    def session_id(self) -> str:
        """The client's session id."""
        return self.key[1]

    def stamp(self, response: Any) -> Any:
        """`response` with the session's two ids."""
        response.session_id = self.session_id
        response.server_side_session_id = self.server_side_id
        return response

    def busy(self) -> bool:
        """Whether something still runs for the client."""
        return (
            self.pinned
            or any(operation.running for operation in self.operations.values())
            or any(query.is_active for query in self.queries.values())
        )

    def close(self) -> None:
        """Interrupt what runs, stop the streams, free everything."""
        operations = list(self.operations.values())
        for operation in operations:
            operation.interrupt()
            operation.responses.release(None)
        for stop in list(self.listeners):
            stop()
        for operation in operations:
            operation.responses.wait(_END_SECONDS)
        self.session.close()
        self.artifacts.close()


class SessionRegistry:
    """All sessions of one server."""

    def __init__(self, create: Callable[[str, str], Session]) -> None:
        self._create = create
        self._holders: dict[Key, SessionHolder] = {}
        self._closed: dict[Key, None] = {}
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[SessionHolder]:
        with self._lock:
            return iter(list(self._holders.values()))

    def of(self, request: Any) -> SessionHolder:
        """The session of a request, created if it is new.

        Raises INVALID_HANDLE.FORMAT, .SESSION_CLOSED, .SESSION_CHANGED.
        """
        key = key_of(request)
        with self._lock:
            holder = self._holders.get(key)
            if holder is None:
                holder = self._open(key)
        _check_incarnation(request, holder)
        holder.last_used = time.monotonic()
        return holder

    def known(self, request: Any) -> SessionHolder:
        """The session of a request that only makes sense for one that exists. Raises INVALID_HANDLE.*."""
        key = key_of(request)
        with self._lock:
            holder = self._holders.get(key)
        if holder is None:
            closed = "SESSION_CLOSED" if key in self._closed else "SESSION_NOT_FOUND"
            raise SparkError(f"INVALID_HANDLE.{closed}", handle=key[1])
        _check_incarnation(request, holder)
        holder.last_used = time.monotonic()
        return holder

    def find(self, key: Key) -> SessionHolder | None:
        """The session, if it is open."""
        with self._lock:
            return self._holders.get(key)

    def clone_of(self, source: SessionHolder, new_id: str = "") -> SessionHolder:
        """A new session that starts as a copy of `source`. Raises INVALID_CLONE_SESSION_REQUEST.*."""
        new_id = new_id or str(uuid.uuid4())
        if not is_uuid(new_id):
            raise SparkError("INVALID_CLONE_SESSION_REQUEST.TARGET_SESSION_ID_FORMAT", targetSessionId=new_id)
        key = (source.key[0], new_id)
        with self._lock:
            if key in self._holders:
                raise SparkError(
                    "INVALID_CLONE_SESSION_REQUEST.TARGET_SESSION_ID_ALREADY_EXISTS", targetSessionId=new_id
                )
            if key in self._closed:
                raise SparkError(
                    "INVALID_CLONE_SESSION_REQUEST.TARGET_SESSION_ID_ALREADY_CLOSED", targetSessionId=new_id
                )
            holder = SessionHolder(key, source.session.clone(new_id), artifacts=source.artifacts.copy())
            self._holders[key] = holder
            return holder

    def release(self, key: Key, *, forget: bool = False) -> SessionHolder | None:
        """Close a session; with `forget` its id may be used again."""
        with self._lock:
            holder = self._holders.pop(key, None)
            if not forget:
                self._closed[key] = None
                while len(self._closed) > _REMEMBERED:
                    self._closed.pop(next(iter(self._closed)))
        if holder is not None:
            holder.close()
        return holder

    def release_idle(self, seconds: float = IDLE_SECONDS) -> None:
        """Close sessions that nobody has used for `seconds` and in which nothing runs."""
        for holder in self:
            if time.monotonic() - holder.last_used > seconds and not holder.busy():
                self.release(holder.key)

    def close(self) -> None:
        """Close all; the clones of queries last, for their queries end with the sessions that started them."""
        for holder in sorted(self, key=lambda each: each.pinned):
            self.release(holder.key)

    def _open(self, key: Key) -> SessionHolder:
        if key in self._closed:
            raise SparkError("INVALID_HANDLE.SESSION_CLOSED", handle=key[1])
        holder = self._holders[key] = SessionHolder(key, self._create(key[1], key[0]))
        return holder


def key_of(request: Any) -> Key:
    """(user, session id) of a request. Raises INVALID_HANDLE.FORMAT."""
    if not is_uuid(request.session_id):
        raise SparkError("INVALID_HANDLE.FORMAT", handle=request.session_id)
    return request.user_context.user_id, request.session_id


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in its usual form."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _check_incarnation(request: Any, holder: SessionHolder) -> None:
    seen = getattr(request, "client_observed_server_side_session_id", "")
    if seen and seen != holder.server_side_id:
        raise SparkError("INVALID_HANDLE.SESSION_CHANGED", handle=holder.session_id)
