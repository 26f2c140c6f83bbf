"""Merging a source into a Delta table: which files are written again, conflicts, history."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlglot import exp

from headwater.errors import ConcurrentWriteError, SparkError
from headwater.lake.merge import Clause, Counts, Merge, keep_source
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Operation
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, connection, query, rows, unnamed_files

SCHEMA = parse_schema("p string, v int")
SAME = "target_1 = source_1"
UPDATE = Clause("matched", "update", None, (exp.column("source_0"), exp.column("source_1")))
INSERT = Clause("not_matched", "insert", None, (exp.column("source_0"), exp.column("source_1")))
DELETE = Clause("matched", "delete")


@pytest.fixture(params=[(), ("p",)], ids=["plain", "partitioned"])
def table(tmp_path: Path, request: pytest.FixtureRequest) -> LakeTable:
    made = LakeTable.at(str(tmp_path / "t"))
    start = query("SELECT * FROM (VALUES ('a', 1), ('a', 2), (NULL, 3)) t(p, v)")
    made.append(connection(), start, SCHEMA, partition_by=request.param)
    made.append(connection(), query("SELECT 'b' AS p, 4 AS v"), SCHEMA)
    return made


def merged(table: LakeTable, source: str, *clauses: Clause, txn: tuple[str, int] | None = None) -> Counts:
    on = exp.condition(SAME, dialect="duckdb")
    with connection() as cursor:
        keep_source(cursor, query(source), ["source_0", "source_1"])
        return table.merge(cursor, Merge(table.schema, on, clauses, Operation("MERGE"), txn))


def test_only_files_with_a_changed_row_are_written_again(table: LakeTable) -> None:
    before = {file.path for file in table.snapshot().files}
    counts = merged(table, "SELECT * FROM (VALUES ('z', 1), ('n', 9)) s(p, v)", UPDATE, INSERT)
    assert counts == Counts(updated=1, inserted=1)
    assert rows(table) == by_deltalake(table.path) == [("a", 2), ("b", 4), ("n", 9), ("z", 1), (None, 3)]
    gone = before - {file.path for file in table.snapshot().files}
    assert len(gone) == 1
    metrics = table.history(1)[0].info["operationMetrics"]
    assert metrics["numTargetRowsUpdated"] == metrics["numTargetRowsInserted"] == "1"
    assert table.history(1)[0].info["isBlindAppend"] is False


def test_nothing_changed_is_no_commit(table: LakeTable) -> None:
    version = table.version
    assert merged(table, "SELECT 'q' AS p, 77 AS v", UPDATE) == Counts()
    assert (table.refresh(), unnamed_files(table.path)) == (version, [])


def test_several_source_rows_for_one_target_row_are_an_error(table: LakeTable) -> None:
    twice = "SELECT * FROM (VALUES ('x', 1), ('y', 1)) s(p, v)"
    with pytest.raises(SparkError, match="DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE"):
        merged(table, twice, UPDATE)
    first = Clause("matched", "update", exp.condition("source_0 = 'x'"), UPDATE.values)
    assert merged(table, twice, first) == Counts(updated=1)
    assert merged(table, twice, DELETE) == Counts(deleted=1)
    assert rows(table) == [("a", 2), ("b", 4), (None, 3)]


def test_the_first_clause_whose_condition_holds_takes_the_row(table: LakeTable) -> None:
    small = Clause("matched", "delete", exp.condition("target_1 < 2"))
    null = Clause("matched", "delete", exp.condition("target_0 = 'b'"))
    source = "SELECT 'z' AS p, v::INT AS v FROM range(1, 5) r(v)"
    assert merged(table, source, small, null, UPDATE) == Counts(updated=2, deleted=2)
    assert rows(table) == by_deltalake(table.path) == [("z", 2), ("z", 3)]


def test_target_rows_that_no_source_row_matches(table: LakeTable) -> None:
    lone = Clause("not_matched_by_source", "delete", exp.condition("target_1 > 2"))
    assert merged(table, "SELECT 'z' AS p, 1 AS v", lone, UPDATE) == Counts(updated=1, deleted=2)
    assert rows(table) == by_deltalake(table.path) == [("a", 2), ("z", 1)]


def test_a_merge_with_a_counter_is_done_once(table: LakeTable) -> None:
    for _ in range(2):
        merged(table, "SELECT 'n' AS p, 9 AS v", INSERT, txn=("app", 3))
    assert rows(table).count(("n", 9)) == 1


def other(table: LakeTable, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Another writer commits while the merge's files are written."""
    others = [LakeTable.open(table.path)]

    def meanwhile(name: str) -> None:
        if name == "lake.data_written" and others:
            handle = others.pop()
            if what == "append":
                handle.append(connection(), query("SELECT 'c' AS p, 50 AS v"), SCHEMA)
            elif what == "delete":
                merged(handle, "SELECT 'z' AS p, 4 AS v", DELETE)
            else:
                merged(handle, "SELECT 'n' AS p, 9 AS v", INSERT)

    monkeypatch.setattr("headwater.lake.table.crash_point", meanwhile)


def test_rows_appended_blindly_meanwhile_stay(table: LakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    other(table, monkeypatch, "append")
    merged(table, "SELECT 'z' AS p, 1 AS v", UPDATE)
    assert rows(table) == by_deltalake(table.path) == [("a", 2), ("b", 4), ("c", 50), ("z", 1), (None, 3)]


@pytest.mark.parametrize(
    ("what", "condition"), [("delete", "DELTA_CONCURRENT_DELETE_READ"), ("merge", "DELTA_CONCURRENT_APPEND")]
)
def test_rows_changed_meanwhile_are_a_conflict(
    table: LakeTable, monkeypatch: pytest.MonkeyPatch, what: str, condition: str
) -> None:
    other(table, monkeypatch, what)
    with pytest.raises(ConcurrentWriteError, match=condition):
        merged(table, "SELECT 'z' AS p, 1 AS v", UPDATE, INSERT)
    table.refresh()
    assert ("a", 1) in rows(table)
    removed = 1 if what == "delete" else 0
    assert len(unnamed_files(table.path)) == removed, "the merge's own files must be gone"


def test_changes_of_one_process_queue_up(table: LakeTable) -> None:
    def change(number: int) -> None:
        merged(LakeTable.open(table.path), f"SELECT 'n' AS p, {number} AS v", UPDATE, INSERT)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    table.refresh()
    assert rows(table) == by_deltalake(table.path) == [("n", number) for number in range(1, 9)]


def test_all_rows_go_without_being_read(table: LakeTable) -> None:
    assert table.clear(Operation("DELETE")) == 4
    assert rows(table) == by_deltalake(table.path) == []
    assert table.clear(Operation("DELETE")) is None


def test_tables_that_only_grow_are_not_changed(tmp_path: Path) -> None:
    table = LakeTable.create(str(tmp_path / "t"), SCHEMA, properties={"delta.appendOnly": "true"})
    assert merged(table, "SELECT 'n' AS p, 9 AS v", INSERT) == Counts(inserted=1)
    with pytest.raises(SparkError, match="DELTA_CANNOT_MODIFY_APPEND_ONLY"):
        merged(table, "SELECT 'n' AS p, 9 AS v", DELETE)


def test_the_place_of_a_row_cannot_be_a_column(tmp_path: Path) -> None:
    schema = parse_schema("p string, v int, file_row_number int")
    table = LakeTable.create(str(tmp_path / "t"), schema)
    with pytest.raises(SparkError, match="UNSUPPORTED_FEATURE"):
        merged(table, "SELECT 'n' AS p, 9 AS v", DELETE)


def test_many_partitions(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"))
    start = query("SELECT 'p' || i AS p, i::INT AS v FROM range(40) r(i)")
    table.append(connection(), start, SCHEMA, partition_by=("p",))
    assert merged(table, "SELECT 'q' AS p, 7 AS v", UPDATE) == Counts(updated=1)
    assert len(by_deltalake(table.path)) == 40
    assert ("q", 7) in rows(table)
