"""The foreach sink: rows through functions and writers, as PySpark builds them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql.streaming.readwriter import DataStreamWriter
from pyspark.sql.types import LongType, StructType
from sqlglot import parse_one

from headwater.duck import Connection, Database
from headwater.errors import SparkError
from headwater.sinks.base import Batch
from headwater.sinks.foreach import ForeachSink

SCHEMA = StructType().add("id", LongType())


@pytest.fixture
def connection() -> Iterator[Connection]:
    database = Database()
    yield database.connect()
    database.close()


def run(connection: Connection, target: Any, batch_id: int = 7) -> list[str]:
    query = parse_one('SELECT range AS "id" FROM range(3)', dialect="duckdb")
    ran: list[str] = []
    sink = ForeachSink(DataStreamWriter._construct_foreach_function(target), "UTC")
    sink.add_batch(Batch(batch_id, connection, query, SCHEMA, "append", ran=lambda: ran.append("ran")))  # type: ignore[arg-type]
    return ran


class Writer:
    """Notes its calls."""

    def __init__(self, *, wanted: bool = True, fail: bool = False) -> None:
        self.calls: list[Any] = []
        self._wanted = wanted
        self._fail = fail

    def open(self, partition: int, epoch: int) -> bool:
        self.calls.append(("open", partition, epoch))
        return self._wanted

    def process(self, row: Any) -> None:
        if self._fail:
            raise ValueError("boom")
        self.calls.append(row.id)

    def close(self, error: Exception | None) -> None:
        self.calls.append(("close", str(error)))


def test_a_function_gets_each_row(connection: Connection) -> None:
    rows: list[int] = []
    assert run(connection, lambda row: rows.append(row.id)) == ["ran"]
    assert rows == [0, 1, 2]


def test_a_writer_is_opened_with_the_batch_and_closed(connection: Connection) -> None:
    writer = Writer()
    run(connection, writer)
    assert writer.calls == [("open", 0, 7), 0, 1, 2, ("close", "None")]


def test_a_writer_may_skip_a_batch_that_it_has(connection: Connection) -> None:
    writer = Writer(wanted=False)
    assert run(connection, writer) == ["ran"]
    assert writer.calls == [("open", 0, 7), ("close", "None")]


def test_leaving_the_program_is_a_failure_of_the_function(connection: Connection) -> None:
    with pytest.raises(SparkError, match="FOREACH_USER_FUNCTION_ERROR"):
        run(connection, lambda _: sys.exit(3))


def test_a_failure_is_told_to_the_writer_and_to_the_query(connection: Connection) -> None:
    writer = Writer(fail=True)
    with pytest.raises(SparkError, match="FOREACH_USER_FUNCTION_ERROR") as caught:
        run(connection, writer)
    assert "ValueError: boom" in str(caught.value)
    assert writer.calls[-1] == ("close", "boom")
