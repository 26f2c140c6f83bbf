"""The server: its URL, its port, its end."""

from __future__ import annotations

import threading
import time

import pytest

from headwater.connect.server import Server
from support.server import connected, running_server


def test_the_url_names_localhost_the_port_and_the_token() -> None:
    with running_server() as server:
        assert server.url == f"sc://localhost:{server.port}/;token={server.token}"
        assert server.port > 0
        assert len(server.token) >= 32


def test_a_taken_port_is_an_error_at_start() -> None:
    with running_server() as server, pytest.raises(OSError, match=str(server.port)):
        Server(port=server.port, runtime=server.runtime).start()


def _threads() -> set[threading.Thread]:
    names = ("headwater-rpc", "stream execution")
    return {thread for thread in threading.enumerate() if thread.name.startswith(names)}


def test_stopping_ends_streams_and_threads() -> None:
    before = _threads()  # other tests of this process may keep a server
    with running_server() as server:
        with connected(server) as spark:
            spark.readStream.format("rate").load().writeStream.format("noop").start()
            (query,) = server.active_queries()
        assert not query.is_active
    deadline = time.monotonic() + 5
    while left := _threads() - before:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.01)


def test_failed_streams_are_told() -> None:
    def fail(_df: object, _batch: int) -> None:
        raise ValueError("boom")

    with running_server() as server, connected(server) as spark:
        query = (
            spark.readStream.format("rate-micro-batch")
            .option("rowsPerBatch", 5)
            .load()
            .writeStream.foreachBatch(fail)
            .start()
        )
        with pytest.raises(Exception, match="boom"):
            query.awaitTermination(20)
        (error,) = server.stream_failures()
        assert "boom" in str(error)
