"""Sessions for tests: each on a server of its own, with a temporary warehouse and a clock that a test may hold.

Invariant: when the context ends, server, session, streams and files are gone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headwater.testing.clock import StepClock

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headwater.connect.server import Server
    from headwater.connect.session import SessionHolder

_servers: list[Server] = []


@contextmanager
def session(**settings: str) -> Iterator[SparkSession]:
    """A PySpark session for one test, or for several.

    Args:
        settings: as of `headwater.session`; files are not flushed to disk unless `headwater.durability` says so.

    Example:
        with headwater.testing.session() as spark:
            assert spark.range(3).count() == 3
    """
    with running_server(settings) as server:
        # after the server: its package imports the client in a way that any kind of program stands
        from pyspark.sql.connect.session import SparkSession as ConnectSession

        spark: Any = ConnectSession.builder.remote(server.url).create()
        for key, value in settings.items():
            if key.startswith("spark.sql.") and spark.conf.isModifiable(key):
                spark.conf.set(key, value)
        try:
            yield spark
        finally:
            spark.stop()


@contextmanager
def running_server(settings: dict[str, str]) -> Iterator[Server]:
    """A server with a temporary warehouse."""
    from headwater.connect.server import Server
    from headwater.sessions.runtime import Runtime

    with tempfile.TemporaryDirectory(prefix="headwater-testing-", ignore_cleanup_errors=True) as folder:
        defaults = {"spark.sql.warehouse.dir": f"{folder}/warehouse", "headwater.durability": "none"}
        runtime = Runtime.local({**defaults, **settings}, clock=StepClock())
        server = Server(runtime=runtime).start()
        _servers.append(server)
        try:
            yield server
        finally:
            _servers.remove(server)
            server.stop(grace=0)


def holder_of(spark: Any) -> tuple[Server, SessionHolder]:
    """The server's side of a session. Raises ValueError if its server is in another process."""
    from headwater.connect import embedded

    _ = spark.version  # the server knows a session from its first call on
    for server in (*_servers, *embedded.running()):
        for holder in server.sessions:
            if holder.session_id == spark.session_id:
                return server, holder
    msg = "this session's server is not in this process; use headwater.testing.session() or the pytest fixtures"
    raise ValueError(msg)


def clock_of(spark: Any) -> StepClock:
    """The session's clock. Raises ValueError if it cannot be held."""
    server, _ = holder_of(spark)
    clock = server.runtime.clock
    if not isinstance(clock, StepClock):
        msg = "the clock of this session cannot be held; use headwater.testing.session() or the pytest fixtures"
        raise ValueError(msg)
    return clock
