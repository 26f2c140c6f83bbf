"""`replace_where`: rows that meet the condition are replaced, all others stay, foreign rows are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlglot import exp

from headwater.errors import AnalysisError, ConcurrentWriteError
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, connection, query, rows, unnamed_files

SCHEMA = parse_schema("p string, v int")


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    made = LakeTable.at(str(tmp_path / "t"))
    made.append(connection(), query("SELECT * FROM (VALUES ('a', 1), ('a', 2), (NULL, 3)) t(p, v)"), SCHEMA)
    made.append(connection(), query("SELECT 'b' AS p, 4 AS v"), SCHEMA)
    return made


def where(text: str) -> exp.Expr:
    return exp.condition(text, dialect="duckdb")


def test_a_file_with_other_rows_keeps_them(table: LakeTable) -> None:
    table.overwrite(connection(), query("SELECT 'a' AS p, 20 AS v"), SCHEMA, replace_where=where("p = 'a' AND v > 1"))
    assert rows(table) == by_deltalake(table.path) == [("a", 1), ("a", 20), ("b", 4), (None, 3)]
    assert table.history(1)[0].info["operationParameters"]["predicate"] == "p = 'a' AND v > 1"


def test_a_file_that_holds_no_such_row_is_left_alone(table: LakeTable) -> None:
    before = {file.path for file in table.snapshot().files}
    table.overwrite(connection(), query("SELECT 'b' AS p, 40 AS v"), SCHEMA, replace_where=where("p = 'b'"))
    assert len(before & {file.path for file in table.snapshot().files}) == 1
    assert rows(table) == [("a", 1), ("a", 2), ("b", 40), (None, 3)]


def test_a_partition_is_replaced_whole(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "p"))
    start = query("SELECT * FROM (VALUES ('a', 1), ('b', 2), (NULL, 3)) t(p, v)")
    table.append(connection(), start, SCHEMA, partition_by=("p",))
    table.overwrite(connection(), query("SELECT 'a' AS p, 10 AS v"), SCHEMA, replace_where=where("p = 'a'"))
    assert rows(table) == by_deltalake(table.path) == [("a", 10), ("b", 2), (None, 3)]


def test_new_rows_outside_the_condition_are_refused_and_leave_no_file(table: LakeTable) -> None:
    foreign = query("SELECT 'c' AS p, 1 AS v")
    with pytest.raises(AnalysisError, match=r"DELTA_REPLACE_WHERE_MISMATCH.*p = 'a'"):
        table.overwrite(connection(), foreign, SCHEMA, replace_where=where("p = 'a'"))
    assert (table.refresh(), unnamed_files(table.path)) == (1, [])


def meanwhile(table: LakeTable, monkeypatch: pytest.MonkeyPatch, **arguments: exp.Expr) -> None:
    """Another writer adds a row (with `replace_where`: in place of others) before the table's own write commits."""
    others = [LakeTable.open(table.path)]

    def commit(name: str) -> None:
        if name == "lake.data_written" and others:
            handle = others.pop()
            write = handle.overwrite if arguments else handle.append
            write(connection(), query("SELECT 'a' AS p, 9 AS v"), SCHEMA, **arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("headwater.lake.table.crash_point", commit)


def test_rows_that_were_added_blindly_meanwhile_stay(table: LakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile(table, monkeypatch)
    table.overwrite(connection(), query("SELECT 'a' AS p, 1 AS v"), SCHEMA, replace_where=where("p = 'a'"))
    assert rows(table) == by_deltalake(table.path) == [("a", 1), ("a", 9), ("b", 4), (None, 3)]


def test_rows_that_were_changed_meanwhile_are_a_conflict(table: LakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile(table, monkeypatch, replace_where=where("p = 'a'"))
    with pytest.raises(ConcurrentWriteError, match="DELTA_CONCURRENT_APPEND"):
        table.overwrite(connection(), query("SELECT 'a' AS p, 1 AS v"), SCHEMA, replace_where=where("p = 'a'"))
    table.refresh()
    assert rows(table) == [("a", 9), ("b", 4), (None, 3)]
