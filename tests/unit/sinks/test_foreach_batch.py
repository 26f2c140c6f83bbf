"""The foreachBatch sink: computed once, handed over, dropped."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql.types import LongType, StructType
from sqlglot import parse_one

from headwater.duck import Connection, Database
from headwater.errors import UnsupportedError
from headwater.io.formats.base import FormatOptions
from headwater.sinks.base import Batch, SinkRequest, sinks
from headwater.sinks.foreach_batch import SERVICE, ForeachBatchSink, KeptRows

SCHEMA = StructType().add("id", LongType())


@pytest.fixture
def connection() -> Iterator[Connection]:
    database = Database()
    yield database.connect()
    database.close()


def batch(connection: Connection, ran: list[str]) -> Batch:
    query = parse_one('SELECT range AS "id" FROM range(3)', dialect="duckdb")
    return Batch(7, connection, query, SCHEMA, "append", ran=lambda: ran.append("ran"))  # type: ignore[arg-type]


class Function:
    """Reads the kept rows twice; fails if told to."""

    def __init__(self, connection: Connection, *, fail: bool = False) -> None:
        self._connection = connection
        self._fail = fail
        self.seen: list[Any] = []
        self.closed = False

    def __call__(self, rows: KeptRows, batch_id: int) -> None:
        if self._fail:
            raise ValueError("boom")
        for _ in range(2):
            found = self._connection.execute(f"SELECT {rows.columns[0]} FROM {rows.table}").fetchall()
            self.seen.append((batch_id, found))

    def close(self) -> None:
        self.closed = True


def tables(connection: Connection) -> list[Any]:
    return list(connection.execute("SELECT table_name FROM duckdb_tables()").fetchall())


def test_the_function_can_read_the_batch_twice(connection: Connection) -> None:
    function, ran = Function(connection), []  # type: ignore[var-annotated]
    ForeachBatchSink(function).add_batch(batch(connection, ran))
    assert function.seen == [(7, [(0,), (1,), (2,)])] * 2
    assert ran == ["ran"]
    assert tables(connection) == []


def test_a_failed_batch_leaves_nothing(connection: Connection) -> None:
    with pytest.raises(ValueError, match="boom"):
        ForeachBatchSink(Function(connection, fail=True)).add_batch(batch(connection, []))
    assert tables(connection) == []


def test_stopping_frees_the_function(connection: Connection) -> None:
    function = Function(connection)
    ForeachBatchSink(function).stop()
    assert function.closed


def test_the_server_opens_the_function(connection: Connection) -> None:
    provider = sinks.get("foreachbatch")
    assert provider is not None
    request = SinkRequest("foreachBatch", FormatOptions(()), "append", SCHEMA, function="pickle")
    services: dict[str, Any] = {}
    context: Any = SimpleNamespace(session=SimpleNamespace(runtime=SimpleNamespace(services=services)))
    with pytest.raises(UnsupportedError, match=r"headwater\.session"):
        provider.open(request, context)
    services[SERVICE] = lambda function, session: Function(connection)
    assert provider.open(request, context).description == "ForeachBatchSink"
