"""What a table records of its own changes: MERGE, UPDATE and DELETE, replaced rows; read here and by delta-rs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from sqlglot import exp

from headwater.duck import sql_text
from headwater.errors import SparkError
from headwater.lake import change_feed, change_files
from headwater.lake.actions import Commit, decode_path
from headwater.lake.merge import Clause, Counts, Merge, keep_source
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Operation
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, connection, query, rows

SCHEMA = parse_schema("p string, v int")
ON = {"delta.enableChangeDataFeed": "true"}
UPDATE = Clause("matched", "update", None, (exp.column("source_0"), exp.column("source_1")))
INSERT = Clause("not_matched", "insert", None, (exp.column("source_0"), exp.column("source_1")))
DELETE = Clause("matched", "delete")


@pytest.fixture(params=[(), ("p",)], ids=["plain", "partitioned"])
def table(tmp_path: Path, request: pytest.FixtureRequest) -> LakeTable:
    """Version 0 makes the table, 1 adds ('a', 1), ('a', 2), (NULL, 3), 2 adds ('b', 4)."""
    made = LakeTable.create(str(tmp_path / "t"), SCHEMA, partition_by=request.param, properties=ON)
    made.append(connection(), query("SELECT * FROM (VALUES ('a', 1), ('a', 2), (NULL, 3)) t(p, v)"), SCHEMA)
    made.append(connection(), query("SELECT 'b' AS p, 4 AS v"), SCHEMA)
    return made


def merged(table: LakeTable, source: str, *clauses: Clause) -> Counts:
    on = exp.condition("target_1 = source_1", dialect="duckdb")
    with connection() as cursor:
        keep_source(cursor, query(source), ["source_0", "source_1"])
        return table.merge(cursor, Merge(table.schema, on, clauses, Operation("MERGE")))


def changed(table: LakeTable, version: int) -> list[tuple[Any, ...]]:
    """(type, p, v) of a version; delta-rs finds the same."""
    made, _ = change_feed.read(table, change_feed.Range(change_feed.Boundary(version), None))
    found = [(row[2], row[0], row[1]) for row in connection().execute(sql_text(made)).fetchall()]
    theirs = pa.table(DeltaTable(table.path).load_cdf(version).read_all()).to_pylist()
    assert sorted(found, key=repr) == sorted(((r["_change_type"], r["p"], r["v"]) for r in theirs), key=repr)
    return sorted(found, key=repr)


def recorded(table: LakeTable) -> list[str]:
    commit = table.commit_at(table.version)
    assert commit is not None
    return [file.path for file in commit.changes]


def test_a_merge_records_the_rows_before_and_after(table: LakeTable) -> None:
    source = "SELECT * FROM (VALUES ('z', 1), ('d', 3), ('n', 9)) s(p, v)"
    gone = Clause("matched", "delete", exp.condition("source_0 = 'd'"))
    merged(table, source, gone, UPDATE, INSERT)
    assert changed(table, 3) == [
        ("delete", None, 3),
        ("insert", "n", 9),
        ("update_postimage", "z", 1),
        ("update_preimage", "a", 1),
    ]
    assert rows(table) == by_deltalake(table.path) == [("a", 2), ("b", 4), ("n", 9), ("z", 1)]
    assert all(path.startswith("_change_data/") and "/cdc-" in path for path in recorded(table))
    assert all(Path(table.path, decode_path(path)).exists() for path in recorded(table))


def test_rows_that_no_source_row_meets_are_recorded_too(table: LakeTable) -> None:
    lone = Clause("not_matched_by_source", "update", None, (exp.Literal.string("lone"), exp.column("target_1")))
    merged(table, "SELECT 'x' AS p, 4 AS v", DELETE, lone)
    assert len(changed(table, 3)) == 1 + 2 * 3
    assert rows(table) == [("lone", 1), ("lone", 2), ("lone", 3)]


def test_a_row_deleted_by_several_source_rows_is_recorded_once(table: LakeTable) -> None:
    merged(table, "SELECT * FROM (VALUES ('x', 1), ('y', 1)) s(p, v)", DELETE)
    assert changed(table, 3) == [("delete", "a", 1)]


def test_the_record_holds_the_very_values_of_the_data(table: LakeTable) -> None:
    random = exp.cast(exp.Anonymous(this="uuid"), "text")
    chance, made = (random, exp.column("target_1")), (random, exp.column("source_1"))
    source = "SELECT 'x' AS p, v::INT AS v FROM range(1, 8) r(v)"
    merged(table, source, Clause("matched", "update", None, chance), Clause("not_matched", "insert", None, made))
    after = [(row[1], row[2]) for row in changed(table, 3) if row[0] in ("update_postimage", "insert")]
    assert sorted(after, key=repr) == rows(table)


def test_a_version_that_only_adds_or_removes_records_nothing(table: LakeTable) -> None:
    merged(table, "SELECT 'n' AS p, 9 AS v", UPDATE, INSERT)
    assert (recorded(table), changed(table, 3)) == ([], [("insert", "n", 9)])
    table.clear(Operation("DELETE"))
    assert recorded(table) == []
    assert sorted(row[2] for row in changed(table, 4)) == [1, 2, 3, 4, 9]


def test_replaced_rows_are_recorded_where_a_file_is_written_again(table: LakeTable) -> None:
    new = query("SELECT 'b' AS p, 2 AS v")
    table.overwrite(connection(), new, SCHEMA, replace_where=exp.condition("v = 2"))
    assert changed(table, 3) == [("delete", "a", 2), ("insert", "b", 2)]
    assert rows(table) == [("a", 1), ("b", 2), ("b", 4), (None, 3)]
    table.overwrite(connection(), query("SELECT 'c' AS p, 4 AS v"), SCHEMA, replace_where=exp.condition("v > 3"))
    assert (changed(table, 4), recorded(table)) == ([("delete", "b", 4), ("insert", "c", 4)], [])


def test_a_table_without_the_feed_records_nothing(tmp_path: Path) -> None:
    table = LakeTable.create(str(tmp_path / "t"), SCHEMA)
    table.append(connection(), query("SELECT 'a' AS p, 1 AS v"), SCHEMA)
    merged(table, "SELECT 'z' AS p, 1 AS v", UPDATE)
    assert not (tmp_path / "t" / "_change_data").exists()


def test_a_record_that_cannot_be_written_leaves_nothing(table: LakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file.path for file in table.snapshot().files}

    def full(*_: object, **__: object) -> None:
        raise SparkError("TASK_WRITE_FAILED", path="x", reason="disk full")

    monkeypatch.setattr("headwater.lake.table.write_changes", full)
    with pytest.raises(SparkError, match="disk full"):
        merged(table, "SELECT 'z' AS p, 1 AS v", UPDATE)
    assert (table.refresh(), {file.path for file in table.snapshot().files}) == (2, before)
    there = [name for _, _, names in os.walk(table.path) for name in names if name.endswith(".parquet")]
    assert len(there) == len(before)


def test_columns_of_the_record_are_refused(table: LakeTable, tmp_path: Path) -> None:
    wider = parse_schema("p string, v int, _change_type string")
    with pytest.raises(SparkError, match="RESERVED_CDC_COLUMNS_ON_WRITE"):
        table.append(connection(), query("SELECT 'a' AS p, 1 AS v, 'x' AS t"), wider, merge_schema=True)
    with pytest.raises(SparkError, match="DELTA_TABLE_ALREADY_CONTAINS_CDC_COLUMNS"):
        LakeTable.create(str(tmp_path / "new"), wider, properties=ON)


def test_files_of_changes_have_a_name_of_their_own(table: LakeTable) -> None:
    made = query("SELECT 'a b' AS p, 5 AS v, 'insert' AS _change_type")
    (file,) = change_files.write(connection(), table.path, table.metadata, made)
    assert file.path.startswith("_change_data/")
    assert "/cdc-" in file.path
    found = change_feed.query(table.path, table.metadata, change_feed.changes_of(Commit(9, changes=(file,))), {9: 1000})
    (row,) = connection().execute(sql_text(found)).fetchall()
    assert row[:4] == ("a b", 5, "insert", 9)
