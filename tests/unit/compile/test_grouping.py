"""The rows of a batch by group: order of groups and rows, chunks, late rows, and a group of all rows."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql.types import IntegerType, StringType, TimestampType
from sqlglot import exp

from headwater.compile import grouping
from headwater.compile.grouping import GroupedRows
from headwater.compile.relations.watermark import DELAY
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import Connection, Database


@pytest.fixture
def connection() -> Connection:
    made = Database().connect()
    rows = "('b', 1, 10), ('a', 2, 20), (NULL, 3, 30), ('a', 4, 40), ('a', NULL, NULL)"
    made.execute(f"CREATE TABLE source AS SELECT k, v, to_timestamp(s) AS t FROM (VALUES {rows}) AS r(k, v, s)")
    return made


def resolved(*keys: str) -> Resolved:
    columns = [exp.alias_(exp.column(name), f"key_of_{name}") for name in keys]
    data = [exp.column("k"), exp.column("v"), exp.column("t")]
    attributes = [Attribute(name, StringType(), True, f"key_of_{name}") for name in keys]
    attributes += [
        Attribute("k", StringType(), True, "k"),
        Attribute("v", IntegerType(), True, "v"),
        Attribute("t", TimestampType(), True, "t", metadata={DELAY: 0}),
    ]
    return Resolved(exp.select(*columns, *data).from_("source"), tuple(attributes))


def groups(connection: Connection, rows: GroupedRows) -> list[tuple[Any, list[int | None]]]:
    rows.prepare(connection)
    found = []
    for chunk in rows.chunks(connection):
        values = chunk.rows.column("data_1").to_pylist()
        keys = chunk.keys.to_pylist()
        found += [(key, values[a:b]) for key, a, b in zip(keys, chunk.bounds, chunk.bounds[1:], strict=False)]
    return found


def test_groups_come_in_the_order_of_their_keys_and_rows_as_they_arrived(connection: Connection) -> None:
    found = groups(connection, GroupedRows("p", resolved("k"), 1))

    assert found == [({"k": None}, [3]), ({"k": "a"}, [2, 4, None]), ({"k": "b"}, [1])]


def test_a_group_is_never_split_over_chunks(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "CHUNK_ROWS", 2)
    rows = GroupedRows("p", resolved("k"), 1)
    rows.prepare(connection)

    assert [chunk.bounds for chunk in rows.chunks(connection)] == [[0, 1, 4], [0, 1]]
    assert len(groups(connection, rows)) == 3


def test_late_rows_are_dropped_and_counted(connection: Connection) -> None:
    connection.execute("SET VARIABLE late = to_timestamp(20)")

    def late(column: exp.Expression, kind: object) -> exp.Expression:
        del kind
        return exp.LTE(
            this=column, expression=exp.Anonymous(this="getvariable", expressions=[exp.Literal.string("late")])
        )

    rows = GroupedRows("p", resolved("k"), 1, late)

    assert groups(connection, rows) == [({"k": None}, [3]), ({"k": "a"}, [4, None])]
    assert rows.dropped == 2


def test_without_keys_all_rows_are_one_group(connection: Connection) -> None:
    assert groups(connection, GroupedRows("p", resolved(), 0)) == [({}, [1, 2, 3, 4, None])]


def test_wanted_can_be_chosen(connection: Connection) -> None:
    rows = GroupedRows("p", resolved("k"), 1)
    rows.prepare(connection)

    connection.execute(rows.chosen(exp.select(exp.alias_(exp.column("k"), "key_0")).distinct().from_("source")))

    numbers, keys = rows.chosen_keys(connection)
    assert (numbers, keys.to_pylist()) == ([1, 2, 3], [{"k": None}, {"k": "a"}, {"k": "b"}])
