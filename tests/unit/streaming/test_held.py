"""A batch's rows are held, shown in part, and left out one by one."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType
from sqlglot import exp

from headwater.duck import Connection, Database, sql_text
from headwater.streaming.binding import Binding
from headwater.streaming.held import HeldRows
from support.fakes import FakeSource

SCHEMA = StructType([StructField("v", LongType()), StructField("k", StringType())])
COLUMNS = ("v", "k_1")


@pytest.fixture
def connection() -> Connection:
    return Database(threads=2).connect()


class Holding:
    """Held rows behind the view of their stream."""

    def __init__(self, connection: Connection, count: int) -> None:
        self.connection = connection
        source = FakeSource(SCHEMA)
        source.add([{"v": number, "k": f"x{number}"} for number in range(count)])
        self.held = HeldRows(0, source, COLUMNS, "UTC")
        binding = Binding(connection, [source], [COLUMNS])
        given = self.held.relation(connection, None, '{"chunk":1}')
        binding.lend(given)
        self.rows = self.held.fill(connection, given)
        binding.release([given])
        binding.bind(0, self.rows)

    def read(self) -> list[Any]:
        return [v for (v,) in self.connection.execute("SELECT v FROM stream_0").fetchall()]

    def letters(self, query: exp.Query) -> list[dict[str, Any]]:
        found = self.connection.execute(sql_text(query))
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_all_rows_are_shown_in_their_order(connection: Connection) -> None:
    holding = Holding(connection, 10_000)
    assert holding.read() == list(range(10_000))
    assert (holding.rows.rows, holding.held.rows, holding.held.bad) == (10_000, 10_000, 0)


def test_a_range_of_them(connection: Connection) -> None:
    holding = Holding(connection, 100)
    holding.held.show(connection, 7, 9)
    assert holding.read() == [7, 8, 9]
    holding.held.show(connection, 0, -1)
    assert holding.read() == []
    holding.held.show(connection)
    assert len(holding.read()) == 100


def test_a_row_that_is_left_out_becomes_a_letter(connection: Connection) -> None:
    holding = Holding(connection, 3)
    holding.held.fail(connection, [2, 0], at=5)
    assert holding.read() == [1]
    connection.execute(
        "CREATE TEMP TABLE why AS SELECT * FROM (VALUES (5, 'A', 'a'), (6, 'B', 'b')) t(number, error_class, reason)"
    )
    letters = {letter["row"]: letter for letter in holding.letters(holding.held.failures("why"))}
    assert letters[2]["error_class"] == "A"
    assert letters[0] == {
        "source": 0, "row": 0, "error_class": "B", "reason": "b", "record": '{"v":0,"k":"x0"}', "format": "json",
        "header": None, "file": None, "topic": None, "partition": None, "offset": None,
    }  # fmt: skip
    assert holding.letters(holding.held.bad_records()) == []


def test_nothing_is_held_after_release(connection: Connection) -> None:
    holding = Holding(connection, 3)
    holding.held.release(connection)
    assert connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'held_0'").fetchall() == [(0,)]
    holding.held.release(connection)
