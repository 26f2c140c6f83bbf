"""A genuine PySpark client on a server inside the test process.

    @pytest.fixture(scope="module")
    def spark():
        with spark_session() as session:
            yield session

Invariant: each context has a server, a warehouse folder and a session of its own, and leaves nothing behind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headwater.connect.server import Server
from headwater.sessions.runtime import Runtime

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession


@contextmanager
def running_server(settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server whose warehouse is a temporary folder and whose files are not fsynced."""
    with tempfile.TemporaryDirectory(prefix="headwater-test-") as folder:
        defaults = {"spark.sql.warehouse.dir": f"{folder}/warehouse", "headwater.durability": "none"}
        server = Server(runtime=Runtime.local({**defaults, **(settings or {})}))
        server.start()
        try:
            yield server
        finally:
            server.stop(grace=0)


@contextmanager
def connected(server: Server, extra: str = "") -> Iterator[SparkSession]:
    """A new client session on `server`; `extra` is added to the URL."""
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(server.url + extra).create()
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def spark_session(settings: Mapping[str, str] | None = None) -> Iterator[SparkSession]:
    """A client session on a server of its own."""
    with running_server(settings) as server, connected(server) as session:
        yield session
