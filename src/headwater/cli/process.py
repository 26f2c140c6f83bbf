"""An embedded server inside this process, and what the exit code of a program that used it is.

Invariants: streams are stopped gracefully before the server goes; the exit code says why the program ended.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from headwater.cli.options import Where, open_runtime

if TYPE_CHECKING:
    from headwater.connect.server import Server

DONE, FAILED, USAGE, REFUSED, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130

CHECKPOINT_CONDITIONS = (
    "CONCURRENT_STREAM_LOG_UPDATE",
    "INCOMPLETE_STREAM_LOG",
    "[CHECKPOINT_FILE_",
    "[STREAMING_CHECKPOINT_",
    "[STATE_STORE_",
)
"""What the message of an error holds that means: this checkpoint cannot be used."""


@contextmanager
def embedded_server(where: Where) -> Iterator[Server]:
    """A server on a free loopback port; `SPARK_REMOTE` points at it while the context lasts."""
    from headwater.connect.server import Server

    server = Server(runtime=open_runtime(where))
    server.start()
    before = os.environ.get("SPARK_REMOTE")
    os.environ["SPARK_REMOTE"] = server.url
    try:
        yield server
    finally:
        stop_clients()
        os.environ.pop("SPARK_REMOTE")
        if before is not None:
            os.environ["SPARK_REMOTE"] = before
        server.stop()


def stop_clients() -> None:
    """Stop this process's client sessions: a client left open goes on calling a server that is gone."""
    from pyspark.sql.connect.session import SparkSession

    for spark in {SparkSession._get_default_session(), SparkSession.getActiveSession()} - {None}:
        spark.stop()


def accept_local_master() -> None:
    """Let scripts keep `.master("local[*]")`: the client refuses it beside SPARK_REMOTE, here it means this process."""
    from pyspark.sql import SparkSession

    def drop_master(builder: Any) -> None:
        builder._options.pop("spark.master", None)
        os.environ.pop("MASTER", None)

    SparkSession.Builder._validate_startup_urls = drop_master


def wait_for_streams(server: Server) -> BaseException | None:
    """Return when no stream runs any more: the error of one that failed, or None."""
    for query in server.active_queries():
        while query.is_active:
            query.await_termination(0.2)
    return next((error for error in server.stream_failures() if error is not None), None)


def stop_streams(server: Server) -> None:
    """Stop every running stream gracefully, all at once."""
    stoppers = [threading.Thread(target=query.stop, daemon=True) for query in server.active_queries()]
    for thread in stoppers:
        thread.start()
    for thread in stoppers:
        with suppress(KeyboardInterrupt):
            thread.join(30)


def exit_code_of(error: BaseException) -> int:
    """The exit code for a program that ended with `error`."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else (DONE if error.code is None else FAILED)
    condition = getattr(error, "getCondition", lambda: None)() or getattr(error, "condition", None) or ""
    text = f"{condition} {error}"
    return REFUSED if any(name in text for name in CHECKPOINT_CONDITIONS) else FAILED
