"""`LakeTable`: what is written is read by Headwater, delta-rs and DuckDB alike, once, whole, and at any version."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from headwater.errors import AnalysisError, SparkError
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Operation
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, by_duckdb, connection, junk, numbers, query, rows, unnamed_files

PAIRS = parse_schema("id bigint, name string")


def table_at(path: Path, **write: Any) -> LakeTable:
    table = LakeTable.at(str(path / "t"))
    table.append(connection(), numbers(3), PAIRS, **write)
    return table


def test_the_first_append_makes_the_table_and_three_readers_agree(tmp_path: Path) -> None:
    table = table_at(tmp_path)
    expected = [(0, "row 0"), (1, "row 1"), (2, "row 2")]
    assert rows(table) == by_deltalake(table.path) == by_duckdb(table.path) == expected
    assert table.version == 0
    assert junk(table.path) == []


def test_a_created_table_is_empty_and_typed(tmp_path: Path) -> None:
    schema = parse_schema("a int, b decimal(10,2), c struct<x:timestamp,y:array<string>>, d map<string,int>")
    made = LakeTable.create(str(tmp_path / "t"), schema, ["a"], {"delta.appendOnly": "false"}, "words")
    table = LakeTable.open(made.path)
    assert (table.schema, table.partition_by, table.version) == (schema, ("a",), 0)
    assert rows(table) == by_deltalake(table.path) == []
    described = DeltaTable(table.path).metadata()
    assert (described.description, described.configuration) == ("words", {"delta.appendOnly": "false"})


def test_creating_twice_and_opening_nothing_are_refused(tmp_path: Path) -> None:
    LakeTable.create(str(tmp_path / "t"), PAIRS)
    with pytest.raises(AnalysisError, match="DELTA_TABLE_ALREADY_EXISTS"):
        LakeTable.create(str(tmp_path / "t"), PAIRS)
    with pytest.raises(AnalysisError, match="DELTA_TABLE_NOT_FOUND"):
        LakeTable.open(str(tmp_path / "none"))
    assert not LakeTable.exists(str(tmp_path / "none"))


def test_a_batch_is_added_once_also_through_another_handle(tmp_path: Path) -> None:
    table = table_at(tmp_path, txn=("q", 7))
    again = table.append(connection(), numbers(3), PAIRS, txn=("q", 7))
    other = LakeTable.open(table.path).append(connection(), numbers(3), PAIRS, txn=("q", 7))
    assert not again.committed
    assert not other.committed
    assert table.append(connection(), numbers(3, 3), PAIRS, txn=("q", 8)).committed
    assert len(by_deltalake(table.path)) == 6
    assert DeltaTable(table.path).transaction_version("q") == table.transaction_version("q") == 8
    assert unnamed_files(table.path) == []


def test_a_stale_handle_sees_what_others_committed_before_it_writes(tmp_path: Path) -> None:
    first = table_at(tmp_path)
    second = LakeTable.open(first.path)
    second.append(connection(), numbers(1, 10), PAIRS)
    result = first.append(connection(), numbers(1, 20), PAIRS)
    assert result.version == 2
    assert len(rows(first)) == 5


def test_rows_written_by_deltalake_are_read_and_appended_to(tmp_path: Path) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    path = str(tmp_path / "t")
    write_deltalake(path, pa.table({"id": pa.array([1], pa.int64()), "name": ["x"]}))
    table = LakeTable.open(path)
    table.append(connection(), numbers(1), PAIRS)
    write_deltalake(path, pa.table({"id": pa.array([9], pa.int64()), "name": ["z"]}), mode="append")
    table.refresh()
    assert rows(table) == by_deltalake(path) == [(0, "row 0"), (1, "x"), (9, "z")]


def test_an_empty_batch_commits_its_counter_and_no_file(tmp_path: Path) -> None:
    table = table_at(tmp_path, txn=("q", 0))
    result = table.append(connection(), numbers(0), PAIRS, txn=("q", 1))
    assert (result.committed, result.files, table.version) == (True, 0, 1)
    assert len(os.listdir(table.path)) == 2


def test_a_snapshot_stays_as_it_was_while_the_table_moves_on(tmp_path: Path) -> None:
    table = table_at(tmp_path)
    before = table.snapshot()
    table.append(connection(), numbers(5, 50), PAIRS)
    table.overwrite(connection(), numbers(1, 99), PAIRS)
    assert len(rows(before)) == 3
    assert rows(table) == [(99, "row 99")]


def test_overwrite_replaces_all_rows_and_can_replace_the_schema(tmp_path: Path) -> None:
    table = table_at(tmp_path)
    table.overwrite(connection(), query("SELECT 'x' AS name"), parse_schema("name string"), overwrite_schema=True)
    assert by_deltalake(table.path) == [("x",)]
    assert table.schema == parse_schema("name string")


def test_dynamic_overwrite_replaces_only_the_partitions_that_get_rows(tmp_path: Path) -> None:
    schema = parse_schema("p string, v int")
    table = LakeTable.at(str(tmp_path / "t"))
    start = query("SELECT * FROM (VALUES ('a', 1), ('b', 2), (NULL, 3)) t(p, v)")
    table.append(connection(), start, schema, partition_by=("p",))
    changed = query("SELECT * FROM (VALUES ('b', 20), (NULL, 30)) t(p, v)")
    table.overwrite(connection(), changed, schema, dynamic_partitions=True)
    assert rows(table) == by_deltalake(table.path) == [("a", 1), ("b", 20), (None, 30)]


def test_an_old_version_is_read_by_number_and_by_time(tmp_path: Path) -> None:
    table = table_at(tmp_path)
    table.append(connection(), numbers(2, 3), PAIRS)
    for version, second in ((0, 1_000), (1, 2_000)):
        os.utime(os.path.join(table.path, "_delta_log", f"{version:020}.json"), (second, second))
    assert len(rows(table.snapshot(version=0))) == 3
    assert len(rows(table.snapshot(timestamp_ms=1_999_999))) == 3
    assert len(rows(table.snapshot(timestamp_ms=2_000_000))) == 5
    with pytest.raises(AnalysisError, match=r"DELTA_VERSION_NOT_FOUND.*version 7.*\[0, 1\]"):
        table.snapshot(version=7)
    with pytest.raises(AnalysisError, match="DELTA_TIMESTAMP_GREATER_THAN_COMMIT"):
        table.snapshot(timestamp_ms=3_000_000)
    with pytest.raises(AnalysisError, match="DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION"):
        table.snapshot(timestamp_ms=1)


def test_history_names_the_operation_its_metrics_and_the_users_words(tmp_path: Path) -> None:
    table = table_at(tmp_path, user_metadata="first load")
    table.append(connection(), numbers(1), PAIRS, operation=Operation("STREAMING UPDATE", {"epochId": "0"}))
    newest, oldest = table.history()
    assert (newest.info["operation"], newest.info["operationParameters"]) == ("STREAMING UPDATE", {"epochId": "0"})
    assert newest.info["operationMetrics"]["numOutputRows"] == "1"
    assert oldest.info["userMetadata"] == "first load"
    assert [entry["operation"] for entry in DeltaTable(table.path).history()] == ["STREAMING UPDATE", "WRITE"]


def test_a_failing_query_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    table = table_at(tmp_path)
    broken = query("SELECT i AS id, CASE WHEN i = 2 THEN error('boom') ELSE 'x' END AS name FROM range(3) r(i)")
    with pytest.raises(Exception, match="boom"):
        table.append(connection(), broken, PAIRS)
    assert table.refresh() == 0
    assert len(by_deltalake(table.path)) == 3


def test_a_table_behind_a_file_names_the_path_and_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SparkError, match=r"TASK_WRITE_FAILED.*file/t.*start again"):
        LakeTable.at(str(tmp_path / "file" / "t")).append(connection(), numbers(1), PAIRS)


def test_statistics_of_a_written_file_let_delta_rs_skip_it(tmp_path: Path) -> None:
    table = table_at(tmp_path)
    stats = json.loads(table.snapshot().files[0].stats or "")
    assert stats == {
        "numRecords": 3,
        "minValues": {"id": 0, "name": "row 0"},
        "maxValues": {"id": 2, "name": "row 2"},
        "nullCount": {"id": 0, "name": 0},
    }


def test_partition_values_of_every_kind_come_back(tmp_path: Path) -> None:
    columns = {
        "s": ("string", "'a b/é=%:?#'"),
        "i": ("int", "-5"),
        "d": ("date", "DATE '2024-02-29'"),
        "t": ("timestamp", "TIMESTAMPTZ '2024-01-01 23:30:00.123456+00'"),
        "b": ("boolean", "true"),
        "m": ("decimal(10,2)", "1.50::DECIMAL(10,2)"),
        "f": ("double", "1e300::DOUBLE"),
    }
    schema = parse_schema("v int, " + ", ".join(f"{name} {kind}" for name, (kind, _) in columns.items()))
    values = ", ".join(f"{value} AS {name}" for name, (_, value) in columns.items())
    nulls = ", ".join("NULL" for _ in columns)
    table = LakeTable.at(str(tmp_path / "t"))
    source = query(f"SELECT 1::INT AS v, {values} UNION ALL SELECT 2, {nulls}")
    table.append(connection("America/New_York"), source, schema, partition_by=tuple(columns))
    found = rows(table)
    assert found == by_deltalake(table.path)
    assert found[1] == (2, *[None] * len(columns))
    assert str(found[0][4]) == "2024-01-01 23:30:00.123456+00:00"


def test_an_empty_string_partition_is_null_as_in_delta(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"))
    table.append(connection(), query("SELECT 1 AS v, '' AS p"), parse_schema("v int, p string"), partition_by=("p",))
    assert rows(table) == by_deltalake(table.path) == [(1, None)]


def test_threads_may_share_a_handle_or_have_their_own(tmp_path: Path) -> None:
    shared = table_at(tmp_path)

    def work(number: int) -> None:
        table = shared if number % 2 else LakeTable.open(shared.path)
        session = connection()
        for batch in range(5):
            start = 100 * (number + 1) + batch
            table.append(session, numbers(1, start), PAIRS, txn=(f"q{number}", batch))
            assert len(table.snapshot().files) >= batch + 2

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    shared.refresh()
    assert len(rows(shared)) == len(by_deltalake(shared.path)) == 23
    assert shared.version == 20


def test_reading_an_older_version_after_the_schema_grew_has_the_old_columns(tmp_path: Path) -> None:
    table = table_at(tmp_path)
    wider = parse_schema("id bigint, name string, extra int")
    table.append(connection(), query("SELECT 9::BIGINT, 'x', 1"), wider, merge_schema=True)
    assert table.snapshot(version=0).schema == PAIRS
    assert len(rows(table.snapshot(version=0))[0]) == 2
    assert rows(table)[-1] == (9, "x", 1)
