"""Changing tables that genuine Spark made: rows that a deletion vector took away stay away, all others stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headwater.duck import sql_text
from headwater.lake import checkpoint
from headwater.lake.table import LakeTable
from support.delta_acceptance import put
from support.lake import connection
from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    yield sql
    sql.close()


@pytest.fixture
def vectors(tmp_path: Path) -> str:
    return str(put("deletion_vectors_partitioned", tmp_path))


def rows(sql: Sql, path: str) -> list[tuple[Any, ...]]:
    return sorted(sql(f"SELECT * FROM delta.`{path}`"), key=repr)


def test_delete_update_and_merge_leave_deleted_rows_deleted(sql: Sql, vectors: str) -> None:
    expected = rows(sql, vectors)
    assert expected
    assert sql(f"UPDATE delta.`{vectors}` SET id = id + 5000 WHERE part = 2") == [(sum(r[1] == 2 for r in expected),)]
    expected = [(i + 5000, p) if p == 2 else (i, p) for i, p in expected]
    assert rows(sql, vectors) == sorted(expected, key=repr)
    sql(f"DELETE FROM delta.`{vectors}` WHERE id % 2 = 0")
    expected = [row for row in expected if row[0] % 2]
    assert rows(sql, vectors) == sorted(expected, key=repr)
    sql(
        f"MERGE INTO delta.`{vectors}` t USING (SELECT id FROM range(20)) s ON t.id = s.id"
        " WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, part) VALUES (s.id, 7)"
    )
    met = {row[0] for row in expected if row[0] < 20}
    expected = [row for row in expected if row[0] not in met] + [(i, 7) for i in range(20) if i not in met]
    assert rows(sql, vectors) == sorted(expected, key=repr)


def test_removed_files_are_named_with_their_vectors(sql: Sql, vectors: str) -> None:
    before = {file.path: file.deletion_vector for file in LakeTable.open(vectors).snapshot().files}
    sql(f"DELETE FROM delta.`{vectors}` WHERE part = 2 AND id > 10")
    table = LakeTable.open(vectors)
    commit = table.commit_at(table.version)
    assert commit is not None
    assert commit.removes
    assert [one.deletion_vector for one in commit.removes] == [before[one.path] for one in commit.removes]
    assert all(file.deletion_vector is None for file in commit.adds)


def test_replacing_rows_by_a_condition_reads_through_vectors(sql: Sql, vectors: str) -> None:
    expected = [row for row in rows(sql, vectors) if row[0] <= 20] + [(99, 0)]
    table = LakeTable.open(vectors)
    assert any(file.deletion_vector for file in table.snapshot().files)
    sql(f"DELETE FROM delta.`{vectors}` WHERE id > 20")
    sql(f"INSERT INTO delta.`{vectors}` VALUES (99, 0)")
    assert rows(sql, vectors) == sorted(expected, key=repr)


def test_deleting_all_rows_counts_those_that_were_left(sql: Sql, vectors: str) -> None:
    left = len(rows(sql, vectors))
    assert sql(f"DELETE FROM delta.`{vectors}`") == [(left,)]
    assert rows(sql, vectors) == []


def test_a_checkpoint_written_here_keeps_the_vectors(sql: Sql, vectors: str) -> None:
    sql(f"INSERT INTO delta.`{vectors}` VALUES (-1, 0)")
    expected = rows(sql, vectors)
    version = LakeTable.open(vectors).version
    checkpoint.write(vectors, version)
    for old in Path(vectors, "_delta_log").glob("*.json"):
        old.unlink()
    table = LakeTable.open(vectors)
    assert table.version == version
    assert any(file.deletion_vector for file in table.snapshot().files)
    found = connection().execute(sql_text(table.snapshot().query())).fetchall()
    assert sorted(found, key=repr) == expected


def test_filters_find_what_a_narrower_type_was_written_as(sql: Sql, tmp_path: Path) -> None:
    widened = f"delta.`{put('type_widening', tmp_path)}`"
    every = sql(f"SELECT a, f FROM {widened}")
    assert sql(f"SELECT a, f FROM {widened} WHERE f < 6.1D AND f > 0") == [row for row in every if row[0] == 1]
    conditions = ["d = 4.000", "h = TIMESTAMP_NTZ'2024-02-29 00:00:00'", "g = 7.25", "part = 13", "s.x = 9", "i = 8.0D"]
    for condition in conditions:
        assert sql(f"SELECT a FROM {widened} WHERE {condition}") == [(1,)], condition


def test_filters_and_partitions_go_by_the_names_that_users_see(sql: Sql, tmp_path: Path) -> None:
    swapped = f"delta.`{put('column_mapping_upgraded', tmp_path)}`"
    for letter, number, day in sql(f"SELECT * FROM {swapped}"):
        found = sql(
            f"SELECT * FROM {swapped} WHERE number = {number} AND int = DATE'{day}' AND `a letter` = '{letter}'"
        )
        assert found == [(letter, number, day)]
    nested = f"delta.`{put('column_mapping_nested', tmp_path)}`"
    assert sql(f"SHOW PARTITIONS {nested}") == [("the part=A",), ("the part=B",), ("the part=null",)]
    assert len(sql(f"SELECT * FROM {nested} WHERE `the part` = 'A'")) == 3
