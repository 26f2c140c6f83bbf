"""COPY INTO: each file once, Databricks' options, counts and previews."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.lake.table import LakeTable
from headwater.sessions.commands import copying
from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("CREATE TABLE t (id BIGINT, v STRING) USING delta")
    feed(tmp_path, "a.json", 1, 2)
    yield sql
    sql.close()


def feed(folder: Path, name: str, *ids: int, **more: object) -> None:
    target = folder / "in" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(json.dumps({"id": i, "v": f"v{i}", **more}) + "\n" for i in ids))


def copy(folder: Path, rest: str = "", fmt: str = "JSON", source: str = "'{}/in'") -> str:
    return f"COPY INTO t FROM {source.format(folder)} FILEFORMAT = {fmt} {rest}"


def ids(sql: Sql) -> list[int]:
    return sorted(row[0] for row in sql("SELECT id FROM t"))


def test_each_file_is_loaded_once_by_its_path(sql: Sql, tmp_path: Path) -> None:
    assert sql(copy(tmp_path)) == [(2, 2, 0)]
    feed(tmp_path, "a.json", 7)
    feed(tmp_path, "b.json", 3)
    assert sql(copy(tmp_path)) == [(1, 1, 0)]
    assert sql(copy(tmp_path)) == [(0, 0, 0)]
    assert (ids(sql), sql("DESCRIBE HISTORY t")[0][4]) == ([1, 2, 3], "COPY INTO")
    assert sql(copy(tmp_path, "COPY_OPTIONS ('force' = 'true')")) == [(2, 2, 0)]
    assert ids(sql) == [1, 2, 3, 3, 7]


def test_files_and_patterns_choose(sql: Sql, tmp_path: Path) -> None:
    feed(tmp_path, "b.json", 3)
    feed(tmp_path, "sub/c.json", 4)
    assert sql(copy(tmp_path, "FILES = ('b.json', 'sub/c.json')")) == [(2, 2, 0)]
    assert sql(copy(tmp_path, "PATTERN = '[ab].json'")) == [(2, 2, 0)]
    assert sql(copy(tmp_path, "PATTERN = 'none*'")) == [(0, 0, 0)]
    sql.refused(copy(tmp_path, "FILES = ('nope.json')"), "PATH_NOT_FOUND")
    assert ids(sql) == [1, 2, 3, 4]


def test_a_query_shapes_the_rows(sql: Sql, tmp_path: Path) -> None:
    query = "(SELECT id + 100 AS id, element_at(split(_metadata.file_path, '/'), -1) AS v FROM '{}/in' WHERE id > 1)"
    assert sql(copy(tmp_path, source=query)) == [(1, 1, 0)]
    assert sql("SELECT * FROM t") == [(102, "a.json")]


def test_columns_of_headerless_files_go_by_place(sql: Sql, tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "x.csv").write_text("5,a\n6,b\n")
    by_place = f"FROM '{tmp_path}/csv' FILEFORMAT = CSV FORMAT_OPTIONS ('header' = 'false')"
    assert sql(f"COPY INTO t BY POSITION {by_place}") == [(2, 2, 0)]
    sql.refused(
        f"COPY INTO t (v) {by_place} COPY_OPTIONS ('force' = 'true')",
        "INSERT_COLUMN_ARITY_MISMATCH.TOO_MANY_DATA_COLUMNS",
    )
    assert sorted(sql("SELECT * FROM t")) == [(5, "a"), (6, "b")]


def test_new_columns_come_with_merge_schema_alone(sql: Sql, tmp_path: Path) -> None:
    feed(tmp_path, "b.json", 3, extra=1)
    sql.refused(copy(tmp_path), "DELTA_METADATA_MISMATCH")
    assert sql(copy(tmp_path, "COPY_OPTIONS ('mergeSchema' = 'true')")) == [(3, 3, 0)]
    assert sorted(sql("SELECT id, extra FROM t"), key=repr) == [(1, None), (2, None), (3, 1)]


def test_a_load_that_fails_has_loaded_nothing(sql: Sql, tmp_path: Path) -> None:
    sql("ALTER TABLE t ADD CONSTRAINT small CHECK (id < 2)")
    sql.refused(copy(tmp_path), "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES")
    assert not list((tmp_path / "warehouse" / "t" / "_delta_log" / "_copy_into").glob("*.json"))
    sql("ALTER TABLE t DROP CONSTRAINT small")
    assert sql(copy(tmp_path)) == [(2, 2, 0)]


def test_validate_looks_and_loads_nothing(sql: Sql, tmp_path: Path) -> None:
    assert sorted(sql(copy(tmp_path, "VALIDATE"))) == [(1, "v1"), (2, "v2")]
    assert len(sql(copy(tmp_path, "VALIDATE 1 ROWS"))) == 1
    sql("ALTER TABLE t ADD CONSTRAINT small CHECK (id < 2)")
    sql.refused(copy(tmp_path, "VALIDATE ALL"), "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES")
    feed(tmp_path, "a.json", 1, extra=2)
    sql.refused(copy(tmp_path, "VALIDATE ALL"), "DELTA_METADATA_MISMATCH")
    assert (ids(sql), sql("DESCRIBE HISTORY t")[0][0]) == ([], 1)


def test_corrupt_files_are_counted_and_tried_again(sql: Sql, tmp_path: Path) -> None:
    sql(f"INSERT OVERWRITE DIRECTORY '{tmp_path}/pq' USING parquet SELECT 8L AS id, 'p' AS v")
    (tmp_path / "pq" / "bad.parquet").write_text("no parquet")
    text = f"COPY INTO t FROM '{tmp_path}/pq' FILEFORMAT = PARQUET FORMAT_OPTIONS ('ignoreCorruptFiles' = 'true')"
    assert sql(text) == [(1, 1, 1)]
    assert sql(text) == [(0, 0, 1)]


def test_another_load_at_once_takes_its_files_and_this_one_the_rest(
    sql: Sql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, others = LakeTable.append, [copy(tmp_path)]

    def append_late(self: LakeTable, *arguments: object, **named: object) -> object:
        if others:
            assert sql(others.pop()) == [(2, 2, 0)]
        return append(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(copying.LakeTable, "append", append_late)
    feed(tmp_path, "b.json", 3)
    others = [copy(tmp_path, "FILES = ('a.json')")]
    assert sql(copy(tmp_path)) == [(1, 1, 0)]
    assert ids(sql) == [1, 2, 3]
    assert len(list((tmp_path / "warehouse" / "t" / "_delta_log" / "_copy_into").glob("*.json"))) == 2


def test_a_replaced_table_has_loaded_nothing(sql: Sql, tmp_path: Path) -> None:
    sql(copy(tmp_path))
    sql("CREATE OR REPLACE TABLE t (id BIGINT, v STRING) USING delta")
    assert sql(copy(tmp_path)) == [(2, 2, 0)]


def test_defaults_and_numbers_are_filled(sql: Sql, tmp_path: Path) -> None:
    sql(
        "CREATE OR REPLACE TABLE t (n BIGINT GENERATED ALWAYS AS IDENTITY, id BIGINT, v STRING, w INT DEFAULT 4) "
        "USING delta TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')"
    )
    sql(copy(tmp_path))
    assert sorted(sql("SELECT n, w FROM t")) == [(1, 4), (2, 4)]


def test_what_cannot_be_copied_is_named(sql: Sql, tmp_path: Path) -> None:
    sql("CREATE TABLE p (id INT) USING parquet")
    sql.refused(f"COPY INTO p FROM '{tmp_path}/in' FILEFORMAT = JSON", "DELTA_TABLE_ONLY_OPERATION")
    sql.refused(copy(tmp_path, "COPY_OPTIONS ('forse' = 'true')"), "UNSUPPORTED_FEATURE.HEADWATER")
    sql("ALTER TABLE t SET TBLPROPERTIES ('delta.setTransactionRetentionDuration' = 'interval 1 day')")
    sql.refused(copy(tmp_path), "UNSUPPORTED_FEATURE.HEADWATER")
