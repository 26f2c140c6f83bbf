"""The Spark Connect server: gRPC on the loopback interface, one runtime, one trust domain.

Invariants: nothing listens beyond this machine; every call carries the token; threads that meet a client's plan have
deep stacks; `stop` leaves no stream, session or thread of the server behind.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any

import grpc

from headwater.connect.auth import TokenInterceptor
from headwater.connect.deep import DeepPool
from headwater.connect.execute import release_abandoned
from headwater.connect.foreach_batch import ForeachBatchFunctions
from headwater.connect.proto import add_servicer
from headwater.connect.service import Service
from headwater.connect.session import SessionHolder, SessionRegistry
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.sinks.foreach_batch import SERVICE

if TYPE_CHECKING:
    from headwater.streaming.query import StreamingQuery

MESSAGE_LIMIT = 128 * 1024 * 1024
WORKERS = 256
_HOUSEKEEPING_SECONDS = 30.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Server:
    """A Spark Connect server.

    Args:
        host: a name of this machine's loopback interface.
        port: TCP port; 0 takes a free one.
        token: what clients must present; default: a random one.
        runtime: the engine to serve; default: one with its warehouse in `./spark-warehouse`.

    Example:
        server = Server(); server.start()
        spark = SparkSession.builder.remote(server.url).getOrCreate()
    """

    def __init__(
        self, host: str = "localhost", port: int = 0, token: str | None = None, runtime: Runtime | None = None
    ) -> None:
        if host not in _LOOPBACK:
            msg = f"`{host}` is not a loopback name; put a TLS proxy in front to serve other machines"
            raise ValueError(msg)
        self.token = token or secrets.token_urlsafe(24)
        self.port = port
        self.runtime = runtime or Runtime.local()
        self.sessions = SessionRegistry(lambda session_id, user: Session(self.runtime, session_id, user))
        self.runtime.services[SERVICE] = ForeachBatchFunctions(self)
        self._pool = DeepPool(WORKERS)
        self._server: Any = None
        self._stopped = threading.Event()

    @property
    def url(self) -> str:
        """What clients connect to. Always by the name `localhost`: a client insists on TLS for any other."""
        return f"sc://localhost:{self.port}/;token={self.token}"

    def start(self) -> Server:
        """Listen. Raises OSError if the port is taken."""
        self._server = grpc.server(
            self._pool,
            interceptors=(TokenInterceptor(self.token),),
            options=(
                ("grpc.max_receive_message_length", MESSAGE_LIMIT),
                ("grpc.max_send_message_length", MESSAGE_LIMIT),
                ("grpc.so_reuseport", 0),
            ),
        )
        add_servicer(Service(self.sessions), self._server)
        self.port = self._listen()
        self._server.start()
        threading.Thread(target=self._keep_house, name="headwater-housekeeping", daemon=True).start()
        return self

    def stop(self, grace: float = 1.0) -> None:
        """Stop streams, close sessions and the engine; calls still running get `grace` seconds."""
        if self._server is None or self._stopped.is_set():
            return
        self._stopped.set()
        self.sessions.close()
        self._server.stop(grace).wait()
        self._pool.shutdown()
        self.runtime.services.pop(SERVICE, None)
        self.runtime.close()

    def active_queries(self) -> list[StreamingQuery]:
        """Streaming queries that run, of all sessions."""
        return [query for holder in self.sessions for query in holder.queries.values() if query.is_active]

    def stream_failures(self) -> list[BaseException]:
        """Why streaming queries ended, of those that failed."""
        errors = [query.exception() for holder in self.sessions for query in holder.queries.values()]
        return [error for error in errors if error is not None]

    def find(self, session: Session) -> SessionHolder | None:
        """The protocol side of a session."""
        return self.sessions.find((session.user_id, session.session_id))

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _listen(self) -> int:
        try:
            port: int = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        except RuntimeError as error:
            raise OSError(f"port {self.port} cannot be listened on; is another server using it?") from error
        if port == 0:
            raise OSError(f"port {self.port} cannot be listened on; is another server using it?")
        return port

    def _keep_house(self) -> None:
        while not self._stopped.wait(_HOUSEKEEPING_SECONDS):
            for holder in self.sessions:
                release_abandoned(holder)
            self.sessions.release_idle()
