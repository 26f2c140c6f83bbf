"""What DESCRIBE and SHOW tell beyond Spark's, and what cannot be compared; tests/spark/test_describing has the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"), **{"spark.sql.session.timeZone": "UTC"})
    sql("CREATE TABLE c (id INT, s STRUCT<a: INT COMMENT 'in'>) USING delta CLUSTER BY (id, s.a)")
    sql("CREATE TABLE e (id INT, p STRING, q INT) USING delta PARTITIONED BY (p, q)")
    sql("INSERT INTO e VALUES (1, 'x', 2), (2, 'y', 2), (3, 'y', 3)")
    yield sql
    sql.close()


def test_clustering_columns_are_a_section(sql: Sql) -> None:
    section = [
        ("# Clustering Information", "", ""),
        ("# col_name", "data_type", "comment"),
        ("id", "int", None),
        ("s.a", "int", "in"),
    ]
    assert sql("DESCRIBE c")[2:] == section
    assert sql("DESCRIBE EXTENDED c")[2:6] == section
    assert ("clusteringColumns", '[["id"],["s","a"]]') in sql("SHOW TBLPROPERTIES c")


def test_a_renamed_clustering_column_has_its_name(sql: Sql) -> None:
    sql("ALTER TABLE c SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    sql("ALTER TABLE c RENAME COLUMN id TO number")
    assert ("number", "int", None) in sql("DESCRIBE c")[3:]
    assert ("clusteringColumns", '[["number"],["s","a"]]') in sql("SHOW TBLPROPERTIES c")


def test_the_statement_that_makes_it_makes_it_again(sql: Sql) -> None:
    for name in ("c", "e"):
        before = sql(f"DESCRIBE {name}")
        (text,) = sql(f"SHOW CREATE TABLE {name}")[0]
        sql(f"DROP TABLE {name}")
        sql(text)
        assert sql(f"DESCRIBE {name}") == before


def test_partitions_of_a_delta_table(sql: Sql) -> None:
    assert sql("SHOW PARTITIONS e PARTITION (Q = 2)") == [("p=x/q=2",), ("p=y/q=2",)]
    assert sql("SHOW PARTITIONS e PARTITION (p = 'y', q = 3)") == [("p=y/q=3",)]
    sql.refused("SHOW PARTITIONS e PARTITION (id = 1)", "PARTITIONS_NOT_FOUND")


def test_a_partition_that_is_not_there(sql: Sql) -> None:
    sql("CREATE TABLE f (id INT, p STRING, q INT) USING parquet PARTITIONED BY (p, q)")
    sql("INSERT INTO f VALUES (1, 'a b', 2)")
    ((*_, text),) = sql("SHOW TABLE EXTENDED LIKE 'f' PARTITION (q = 2, p = 'a b')")
    assert text.startswith("Partition Values: [p=a b, q=2]\nLocation: file:")
    for partition in ("p = 'zz', q = 2", "p = 'a b'", "zz = 1"):
        sql.refused(f"SHOW TABLE EXTENDED LIKE 'f' PARTITION ({partition})", "PARTITIONS_NOT_FOUND")
        sql.refused(f"DESCRIBE EXTENDED f PARTITION ({partition})", "PARTITIONS_NOT_FOUND")


def test_a_table_without_a_name(sql: Sql, tmp_path: Path) -> None:
    sql(f"CREATE TABLE delta.`{tmp_path}/d` (id INT) USING delta COMMENT 'words'")
    told = {name: value for name, value, _ in sql(f"DESCRIBE EXTENDED delta.`{tmp_path}/d`")}
    assert (told["Name"], told["Comment"]) == (f"delta.`file:{tmp_path}/d`", "words")
    assert sql(f"DESCRIBE delta.`{tmp_path}/d` ID") == [("col_name", "ID"), ("data_type", "int"), ("comment", "NULL")]


def test_temporary_views_come_last(sql: Sql) -> None:
    sql("CREATE TEMP VIEW a AS SELECT id FROM e")
    found = sql("SHOW TABLE EXTENDED LIKE 'a|c|e'")
    assert [row[:3] for row in found] == [("default", "c", False), ("default", "e", False), ("", "a", True)]
    assert "Type: VIEW\nView Text: SELECT id FROM e\nSchema: root\n |-- id: integer" in found[-1][3]
