"""A plan's streams stand for each batch's rows in turn."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyspark.sql.types import LongType, StructField, StructType
from sqlglot import exp

from headwater.duck import Connection, Database
from headwater.sources.base import BatchInput
from headwater.streaming.binding import Binding
from support.fakes import FakeSource

SCHEMA = StructType([StructField("v", LongType())])
VARIABLE = exp.select(exp.func("unnest", exp.func("getvariable", exp.Literal.string("files_0"))).as_("v"))


@pytest.fixture
def connection() -> Connection:
    return Database(threads=1).connect()


def rows(connection: Connection) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = connection.execute("SELECT w FROM stream_0").fetchall()
    return found


def test_a_stream_stands_for_its_batch_and_then_for_none(connection: Connection) -> None:
    binding = Binding(connection, [FakeSource(SCHEMA)], [("w",)])
    given = BatchInput(exp.select("v").from_("given"), {"given": pa.table({"v": [1, 2]})})

    binding.bind(0, given)
    assert rows(connection) == [(1,), (2,)]
    binding.release([given, None])
    binding.bind(0, None)
    assert rows(connection) == []


def test_a_query_over_a_variable_is_bound_once(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    binding = Binding(connection, [FakeSource(SCHEMA)], [("w",)])
    binding.bind(0, BatchInput(VARIABLE, variables={"files_0": ["a"]}))
    assert binding.is_bound(0, VARIABLE)
    assert not binding.is_bound(0, VARIABLE.copy())
    monkeypatch.setattr("headwater.streaming.binding.create_view", None)

    binding.bind(0, BatchInput(VARIABLE, variables={"files_0": ["b", "c"]}))

    assert rows(connection) == [("b",), ("c",)]
