"""Tables that are made without columns: what may be asked of them, and how they get their columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headwater.errors import SparkError
from headwater.plan.commands import Write
from headwater.plan.relations import Range, ReadTable
from support.sql_session import Sql

MERGE = "MERGE INTO t USING (SELECT 1) s ON true WHEN NOT MATCHED THEN"
MERGES = "COPY_OPTIONS ('mergeSchema' = 'true')"


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("CREATE TABLE t USING delta COMMENT 'words' TBLPROPERTIES ('k' = 'v')")
    yield sql
    sql.close()


def columns(sql: Sql, name: str = "t") -> list[Any]:
    return [row[:2] for row in sql(f"DESCRIBE {name}")]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"{number}.json").write_text(json.dumps({"id": number, "v": "x"}))
    return folder


def test_copy_into_brings_the_columns(sql: Sql, files: Path) -> None:
    copy = f"COPY INTO t FROM '{files}' FILEFORMAT = JSON"
    sql.refused(copy, "DELTA_METADATA_MISMATCH")
    assert sql(f"{copy} VALIDATE ALL {MERGES}") == [(1, "x"), (2, "x")]
    assert columns(sql) == []
    assert sql(f"{copy} FORMAT_OPTIONS ('mergeSchema' = 'true') {MERGES}") == [(2, 2, 0)]
    assert sorted(sql("SELECT * FROM t")) == [(1, "x"), (2, "x")]
    (files / "3.json").write_text(json.dumps({"id": 3, "w": 1.5}))
    assert sql(f"{copy} {MERGES}") == [(1, 1, 0)]
    assert columns(sql) == [("id", "bigint"), ("v", "string"), ("w", "double")]
    told = sql("DESCRIBE DETAIL t")[0]
    assert (told[3], dict(told[11])) == ("words", {"k": "v"})


def test_copy_into_of_a_query_and_by_path(sql: Sql, files: Path, tmp_path: Path) -> None:
    sql(f"CREATE TABLE delta.`{tmp_path}/p` USING delta")
    sql(f"COPY INTO delta.`{tmp_path}/p` FROM (SELECT id::INT AS n FROM '{files}') FILEFORMAT = JSON {MERGES}")
    assert sorted(sql(f"SELECT n FROM delta.`{tmp_path}/p`")) == [(1,), (2,)]


@pytest.mark.parametrize(
    "text",
    [
        "INSERT WITH SCHEMA EVOLUTION INTO t SELECT 0L AS id",
        "MERGE WITH SCHEMA EVOLUTION INTO t USING (SELECT 0L AS id) s ON true WHEN NOT MATCHED THEN INSERT *",
    ],
)
def test_statements_that_evolve_bring_columns(sql: Sql, text: str) -> None:
    sql(text)
    assert (columns(sql), sql("SELECT * FROM t")) == ([("id", "bigint")], [(0,)])


def test_rows_of_a_dataframe_bring_columns(sql: Sql) -> None:
    with pytest.raises(SparkError, match="DELTA_METADATA_MISMATCH"):
        sql.session.run(Write(Range(0, 1, 1), "delta", "append", table=("t",)))
    sql.session.run(Write(Range(0, 1, 1), "delta", "append", table=("t",), options=(("mergeSchema", "true"),)))
    assert sql("SELECT * FROM t") == [(0,)]


def test_columns_are_added(sql: Sql) -> None:
    sql("ALTER TABLE t ADD COLUMN id INT")
    sql("INSERT INTO t VALUES (1)")
    assert sql("SELECT * FROM t") == [(1,)]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("SELECT * FROM t", "DELTA_READ_TABLE_WITHOUT_COLUMNS"),
        ("SELECT count(*) FROM t VERSION AS OF 0", "DELTA_READ_TABLE_WITHOUT_COLUMNS"),
        ("INSERT INTO t VALUES (1)", "DELTA_METADATA_MISMATCH"),
        ("INSERT OVERWRITE t SELECT 1 AS a", "DELTA_METADATA_MISMATCH"),
        ("UPDATE t SET a = 1", "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION"),
        (
            "MERGE INTO t USING (SELECT 1) s ON true WHEN NOT MATCHED THEN INSERT *",
            "DELTA_MERGE_INTO_EMPTY_SCHEMA_TARGET",
        ),
        ("CREATE TABLE t USING delta", "TABLE_OR_VIEW_ALREADY_EXISTS"),
        ("CREATE OR REPLACE TABLE t USING delta", "DELTA_SCHEMA_NOT_PROVIDED"),
        ("CREATE OR REPLACE TABLE u USING delta", "DELTA_SCHEMA_NOT_PROVIDED"),
        ("CREATE TABLE u USING delta PARTITIONED BY (p)", "_LEGACY_ERROR_TEMP_1165"),
        ("CREATE TABLE u USING delta CLUSTER BY (p)", "_LEGACY_ERROR_TEMP_1165"),
    ],
)
def test_what_is_refused(sql: Sql, text: str, condition: str) -> None:
    sql.refused(text, condition)
    assert columns(sql) == []
    assert [row[1] for row in sql("SHOW TABLES")] == ["t"]


def test_what_needs_no_columns(sql: Sql) -> None:
    assert sql("SHOW COLUMNS IN t") == []
    assert sql("DELETE FROM t") == [(0,)]
    sql("OPTIMIZE t")
    sql("CREATE TABLE IF NOT EXISTS t USING delta")
    sql("CREATE TABLE u LIKE t")
    assert columns(sql, "u") == []
    (text,) = sql("SHOW CREATE TABLE t")[0]
    sql("DROP TABLE t")
    sql(text)
    assert columns(sql) == []


def test_a_stream_waits_for_no_columns(sql: Sql) -> None:
    with pytest.raises(SparkError, match="DELTA_SCHEMA_NOT_SET"):
        _ = sql.session.resolve(ReadTable(("t",), streaming=True)).schema


def test_places_of_tables_without_columns(sql: Sql, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place in ("absent", "empty"):
        sql(f"CREATE TABLE {place} USING delta LOCATION '{tmp_path}/{place}'")
        assert columns(sql, place) == []
    sql(f"CREATE TABLE again USING delta LOCATION '{tmp_path}/empty'")
    sql.session.run(Write(Range(0, 1, 1), "parquet", "append", path=f"{tmp_path}/files"))
    sql.refused(
        f"CREATE TABLE f USING delta LOCATION '{tmp_path}/files'", "DELTA_CREATE_EXTERNAL_TABLE_WITHOUT_TXN_LOG"
    )
