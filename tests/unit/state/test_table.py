"""Rows by key: changes replace rows of the same key at once, and what was committed comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyspark.sql.types import LongType, StringType

from headwater.duck import Connection, Database, sql_text
from headwater.io.local import LocalStorage
from headwater.state.store import StateStore
from headwater.state.table import StateColumn, StateTable

KEY, VALUE = StateColumn("k", LongType()), StateColumn("v", StringType())


def opened(path: Path, version: int = 0, version_id: str | None = None) -> tuple[Connection, StateTable]:
    connection = Database(threads=1).connect()
    table = StateTable(StateStore(LocalStorage("none"), str(path)), "op", [KEY], [VALUE])
    table.prepare(connection)
    table.restore(connection, version, version_id)
    return connection, table


def change(connection: Connection, table: StateTable, *rows: tuple[int | None, str | None, bool]) -> None:
    connection.execute("CREATE OR REPLACE TEMP TABLE b (k BIGINT, v VARCHAR, _removed BOOLEAN)")
    for row in rows:
        connection.execute("INSERT INTO b VALUES (?, ?, ?)", list(row))
    table.apply(connection, "b")


def rows(connection: Connection, table: StateTable) -> list[Any]:
    return sorted(connection.execute(f"FROM {table.relation}").fetchall(), key=str)


def test_changes_replace_rows_of_the_same_key(tmp_path: Path) -> None:
    connection, table = opened(tmp_path)
    change(connection, table, (1, "a", False), (None, "n", False), (2, "b", False))
    change(connection, table, (1, "A", False), (2, None, True), (7, None, True), (None, "N", False))
    assert rows(connection, table) == [(1, "A"), (None, "N")]
    assert table.rows == 2


def test_a_committed_version_comes_back(tmp_path: Path) -> None:
    connection, table = opened(tmp_path)
    change(connection, table, (1, "a", False), (2, "b", False), (None, "n", False))
    table.commit(connection, 1)
    change(connection, table, (1, None, True), (2, "B", False))
    change(connection, table, (2, "C", False), (3, "c", False))
    second = table.commit(connection, 2)
    third = table.commit(connection, 3)

    for version, written in ((2, second), (3, third)):
        again, restored = opened(tmp_path, version, written.id)
        assert rows(again, restored) == [(2, "C"), (3, "c"), (None, "n")]
        assert restored.rows == 3


def test_matching_looks_keys_up(tmp_path: Path) -> None:
    connection, table = opened(tmp_path)
    change(connection, table, (1, "a", False), (2, "b", False), (None, "n", False))
    connection.execute("CREATE TEMP TABLE w AS SELECT unnest([2, NULL, 9]) AS k")

    found = connection.execute(sql_text(table.matching("w"))).fetchall()

    assert sorted(found, key=str) == [(2, "b"), (None, "n")]


def test_a_state_without_keys_is_one_row(tmp_path: Path) -> None:
    connection = Database(threads=1).connect()
    table = StateTable(StateStore(LocalStorage("none"), str(tmp_path)), "op", [], [VALUE])
    table.prepare(connection)
    for value in "ab":
        connection.execute(f"CREATE OR REPLACE TEMP TABLE b AS SELECT '{value}' AS v, false AS _removed")
        table.apply(connection, "b")

    assert rows(connection, table) == [("b",)]
    assert table.rows == 1
