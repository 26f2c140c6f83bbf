"""The embedded server of this process, and sessions on it.

Invariants: one server per process, started by the first session and stopped at exit; the session is PySpark's own.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from headwater.connect.server import Server
from headwater.sessions.runtime import Runtime

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_lock = threading.Lock()
_server: Server | None = None


def session(settings: Mapping[str, str]) -> SparkSession:
    """A session with `settings`: the active one if it is ours and still open, else a new one."""
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    builder = ConnectSession.builder.remote(server(settings).url)
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark: SparkSession = builder.getOrCreate()
    return spark


def server(settings: Mapping[str, str]) -> Server:
    """The process's server; `settings` count as the server's when this call starts it."""
    global _server
    with _lock:
        if _server is None:
            _server = Server(runtime=Runtime.local(settings)).start()
            atexit.register(stop)
        return _server


def running() -> tuple[Server, ...]:
    """The process's server, if it runs."""
    with _lock:
        return () if _server is None else (_server,)


def stop() -> None:
    """Stop the process's server, if it runs."""
    global _server
    with _lock:
        stopping, _server = _server, None
    if stopping is not None:
        stopping.stop()
