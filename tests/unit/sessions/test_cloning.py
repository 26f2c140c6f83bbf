"""CREATE TABLE … SHALLOW CLONE by SQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.errors import UnsupportedError
from support.sql_session import Sql

COUNTS = [
    "source_table_size",
    "source_num_of_files",
    "num_removed_files",
    "num_copied_files",
    "removed_files_size",
    "copied_files_size",
]


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("CREATE TABLE s (id INT COMMENT 'c') USING delta COMMENT 'src' TBLPROPERTIES ('k' = 'v')")
    sql("INSERT INTO s VALUES (1)")
    sql("INSERT INTO s VALUES (2)")
    yield sql
    sql.close()


def test_a_clone_answers_with_deltas_counts_and_is_a_table(sql: Sql) -> None:
    relation = sql.relation("CREATE TABLE c SHALLOW CLONE s")
    assert relation is not None
    result = sql.session.execute(relation).table()
    assert result.schema.names == COUNTS
    (row,) = result.to_pylist()
    assert list(row.values())[1:] == [2, 0, 0, 0, 0]
    assert sorted(sql("SELECT * FROM c")) == [(1,), (2,)]
    sql("DELETE FROM c WHERE id = 1")
    sql("INSERT INTO c VALUES (7)")
    assert (sorted(sql("SELECT * FROM c")), len(sql("SELECT * FROM s"))) == ([(2,), (7,)], 2)
    told = sql("DESCRIBE HISTORY c")[-1]
    assert (told[4], dict(told[5])) == ("CLONE", {"source": "spark_catalog.default.s", "sourceVersion": "2"})
    assert [row[1] for row in sql("SHOW TABLES")] == ["c", "s"]


def test_versions_paths_and_properties(sql: Sql, tmp_path: Path) -> None:
    sql(f"CREATE TABLE c SHALLOW CLONE s VERSION AS OF 1 TBLPROPERTIES ('k' = 'w') LOCATION '{tmp_path / 'c'}'")
    assert sql("SELECT * FROM c") == [(1,)]
    assert sql("SHOW TBLPROPERTIES c ('k')") == [("k", "w")]
    sql(f"CREATE TABLE delta.`{tmp_path / 'd'}` SHALLOW CLONE delta.`{tmp_path / 'c'}`")
    assert sql(f"SELECT * FROM delta.`{tmp_path / 'd'}`") == [(1,)]
    told = dict(sql(f"DESCRIBE HISTORY delta.`{tmp_path / 'd'}`")[0][5])
    assert told["source"] == f"delta.`file:{tmp_path / 'c'}`"


def test_a_table_that_is_there(sql: Sql) -> None:
    sql("CREATE TABLE c SHALLOW CLONE s VERSION AS OF 0")
    sql.refused("CREATE TABLE c SHALLOW CLONE s", "DELTA_TABLE_ALREADY_EXISTS")
    assert sql("CREATE TABLE IF NOT EXISTS c SHALLOW CLONE s") == []
    assert sql("SELECT * FROM c") == []
    sql("CREATE OR REPLACE TABLE c SHALLOW CLONE s")
    assert len(sql("SELECT * FROM c")) == 2
    sql.refused("CREATE OR REPLACE TABLE c SHALLOW CLONE s", "DELTA_UNSUPPORTED_NON_EMPTY_CLONE")
    sql.refused("CREATE OR REPLACE TABLE s SHALLOW CLONE s", "DELTA_UNSUPPORTED_NON_EMPTY_CLONE")


def test_what_cannot_be_cloned_is_refused(sql: Sql, tmp_path: Path) -> None:
    sql.refused("CREATE TABLE c DEEP CLONE s", "DELTA_UNSUPPORTED_DEEP_CLONE")
    sql.refused("CREATE TABLE c SHALLOW CLONE nonesuch", "TABLE_OR_VIEW_NOT_FOUND")
    sql("CREATE VIEW v AS SELECT 1")
    sql.refused("CREATE TABLE c SHALLOW CLONE v", "DELTA_CLONE_UNSUPPORTED_SOURCE")
    sql.refused("CREATE TABLE nowhere.c SHALLOW CLONE s", "SCHEMA_NOT_FOUND")
    path = f"delta.`{tmp_path / 'd'}`"
    sql.refused(f"CREATE TABLE {path} SHALLOW CLONE s LOCATION '/tmp/x'", "DELTA_CLONE_AMBIGUOUS_TARGET")
    sql("CREATE TABLE p (id INT) USING parquet")
    with pytest.raises(UnsupportedError, match="CONVERT TO DELTA"):
        sql("CREATE TABLE c SHALLOW CLONE p")
    sql.refused("CREATE OR REPLACE TABLE p SHALLOW CLONE s", "DELTA_NOT_A_DELTA_TABLE")
    assert [row[1] for row in sql("SHOW TABLES")] == ["p", "s", "v"]
