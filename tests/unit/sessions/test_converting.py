"""CONVERT TO DELTA by SQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    yield sql
    sql.close()


def test_a_folder(sql: Sql, tmp_path: Path) -> None:
    sql(f"CREATE TABLE p USING parquet PARTITIONED BY (k) LOCATION '{tmp_path / 'p'}' AS SELECT 1 AS id, 7 AS k")
    path = tmp_path / "p"
    sql.refused(f"CONVERT TO DELTA parquet.`{path}`", "DELTA_UNEXPECTED_NUM_PARTITION_COLUMNS_FROM_FILE_NAME")
    assert sql(f"CONVERT TO DELTA parquet.`{path}` PARTITIONED BY (k INT)") == []
    assert sql(f"CONVERT TO DELTA delta.`{path}`") == []
    assert sql(f"SELECT * FROM delta.`{path}`") == [(1, 7)]
    assert sql(f"DESCRIBE HISTORY delta.`{path}`")[0][4] == "CONVERT"


def test_a_table_of_the_catalog_becomes_a_delta_table(sql: Sql) -> None:
    sql("CREATE TABLE p (id INT, k INT) USING parquet PARTITIONED BY (k) TBLPROPERTIES ('a' = 'b')")
    sql("INSERT INTO p VALUES (1, 1), (2, NULL)")
    sql.refused("CONVERT TO DELTA p PARTITIONED BY (k STRING)", "DELTA_UNEXPECTED_PARTITION_SCHEMA_FROM_USER")
    sql("CONVERT TO DELTA p")
    sql("CONVERT TO DELTA p")
    sql("UPDATE p SET id = id + 10 WHERE k = 1")
    assert sorted(sql("SELECT * FROM p"), key=repr) == [(11, 1), (2, None)]
    assert sql("SHOW TBLPROPERTIES p ('a')") == [("a", "b")]
    told = sql("DESCRIBE HISTORY p")[-1]
    assert dict(told[5])["catalogTable"] == "`spark_catalog`.`default`.`p`"
    assert (dict(told[5])["partitionedBy"], told[0]) == ("[]", 0)


def test_what_is_no_parquet_is_refused(sql: Sql, tmp_path: Path) -> None:
    assert "a csv source" in str(sql.refused(f"CONVERT TO DELTA csv.`{tmp_path}`", "DELTA_CONVERT_NON_PARQUET_TABLE"))
    sql.refused("CONVERT TO DELTA nonesuch", "TABLE_OR_VIEW_NOT_FOUND")
    sql.refused(f"CONVERT TO DELTA parquet.`{tmp_path / 'x'}`", "DELTA_PATH_DOES_NOT_EXIST")
    sql("CREATE VIEW v AS SELECT 1")
    sql.refused("CONVERT TO DELTA v", "WRONG_COMMAND_FOR_OBJECT_TYPE")
