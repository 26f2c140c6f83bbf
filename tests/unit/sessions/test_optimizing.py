"""OPTIMIZE by SQL text: its result, its settings, its refusals."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.delta_acceptance import HOME
from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("CREATE TABLE t (id BIGINT, v STRING, p STRING) USING delta PARTITIONED BY (p)")
    for start in (0, 10, 20):
        sql(f"INSERT INTO t SELECT id, 'v' || id, 'p' || id % 2 FROM range({start}, {start + 10})")
    yield sql
    sql.close()


def metrics(sql: Sql, text: str) -> dict[str, Any]:
    ((_, found),) = sql(text)
    assert isinstance(found, dict)
    return found


def test_the_result_has_the_path_and_deltas_metrics(sql: Sql, tmp_path: Path) -> None:
    ((path, found),) = sql("OPTIMIZE t")
    assert path == f"file:{tmp_path}/warehouse/t"
    assert list(found) == [
        "numFilesAdded", "numFilesRemoved", "filesAdded", "filesRemoved", "partitionsOptimized", "zOrderStats",
        "clusteringStats", "numBins", "numBatches", "totalConsideredFiles", "totalFilesSkipped",
        "preserveInsertionOrder", "numFilesSkippedToReduceWriteAmplification",
        "numBytesSkippedToReduceWriteAmplification", "startTimeMs", "endTimeMs", "totalClusterParallelism",
        "totalScheduledTasks", "autoCompactParallelismStats", "deletionVectorStats", "numTableColumns",
        "numTableColumnsWithStats",
    ]  # fmt: skip
    assert (found["numFilesAdded"], found["numFilesRemoved"], found["partitionsOptimized"]) == (2, 6, 2)
    assert found["filesRemoved"]["totalFiles"] == 6
    assert found["filesAdded"]["avg"] == found["filesAdded"]["totalSize"] / 2
    assert (found["numTableColumns"], found["numTableColumnsWithStats"], found["totalFilesSkipped"]) == (3, 3, 0)
    assert found["startTimeMs"] <= found["endTimeMs"]
    again = metrics(sql, "OPTIMIZE t")
    assert again["filesAdded"] == {"min": None, "max": None, "avg": 0.0, "totalFiles": 0, "totalSize": 0}
    assert (again["totalConsideredFiles"], again["totalFilesSkipped"]) == (2, 2)
    assert sorted(row[0] for row in sql("SELECT id FROM t")) == list(range(30))


def test_a_condition_picks_partitions(sql: Sql) -> None:
    found = metrics(sql, "OPTIMIZE t WHERE p IN ('p1', 'zz') OR p IS NULL")
    assert (found["partitionsOptimized"], found["totalConsideredFiles"]) == (1, 3)
    assert metrics(sql, "OPTIMIZE t WHERE p = 'nothing'")["totalConsideredFiles"] == 0
    (newest, *_) = sql("DESCRIBE HISTORY t")
    assert newest[4] == "OPTIMIZE"
    assert dict(newest[5])["predicate"] == '["((p IN (p1, zz)) OR (p IS NULL))"]'
    assert dict(newest[5])["auto"] == "false"
    error = sql.refused("OPTIMIZE t WHERE p = 'p1' AND id > 3", "DELTA_NON_PARTITION_COLUMN_REFERENCE")
    assert "'id'" in error.text
    assert "[p]" in error.text
    sql.refused("OPTIMIZE t WHERE q = 1", "UNRESOLVED_COLUMN.WITH_SUGGESTION")


def test_sorting_is_told_in_the_result_and_in_history(sql: Sql) -> None:
    found = metrics(sql, "OPTIMIZE t ZORDER BY (id, v)")
    stats = found["zOrderStats"]
    assert (stats["strategyName"], stats["numOutputCubes"], stats["inputOtherFiles"]["num"]) == ("all", 2, 6)
    assert stats["mergedFiles"]["size"] == found["filesRemoved"]["totalSize"]
    (newest, *_) = sql("DESCRIBE HISTORY t")
    assert dict(newest[5])["zOrderBy"] == '["id","v"]'
    assert "SnapshotIsolation" in newest
    sql.refused("OPTIMIZE t ZORDER BY p", "DELTA_ZORDERING_ON_PARTITION_COLUMN")
    sql.refused("OPTIMIZE t ZORDER BY nope", "DELTA_ZORDERING_COLUMN_DOES_NOT_EXIST")
    sql.refused("OPTIMIZE t FULL", "DELTA_OPTIMIZE_FULL_NOT_SUPPORTED")


def test_settings_say_how_large_files_become(sql: Sql) -> None:
    sql("SET spark.databricks.delta.optimize.maxFileSize = 1k")
    assert metrics(sql, "OPTIMIZE t ZORDER BY id")["numFilesAdded"] > 2
    sql("SET spark.databricks.delta.optimize.minFileSize = 1")
    sql("INSERT INTO t SELECT 1, 'x', 'p0'")
    assert metrics(sql, "OPTIMIZE t")["numFilesRemoved"] == 0
    sql("SET spark.databricks.delta.optimize.minFileSize = small")
    sql.refused("OPTIMIZE t", "DELTA_ILLEGAL_OPTION")


def test_paths_are_tables_and_other_things_are_not(sql: Sql, tmp_path: Path) -> None:
    path = f"{tmp_path}/warehouse/t"
    assert metrics(sql, f"OPTIMIZE '{path}'")["numFilesRemoved"] == 6
    assert metrics(sql, f"OPTIMIZE delta.`{path}`")["numFilesRemoved"] == 0
    sql("CREATE TABLE plain (id INT) USING parquet")
    sql.refused("OPTIMIZE plain", "DELTA_TABLE_ONLY_OPERATION")
    sql.refused("OPTIMIZE nothing", "TABLE_OR_VIEW_NOT_FOUND")


def test_columns_without_statistics_are_refused_unless_the_session_says_otherwise(sql: Sql) -> None:
    sql("CREATE TABLE n (a INT, b INT) USING delta TBLPROPERTIES ('delta.dataSkippingNumIndexedCols' = '1')")
    sql("INSERT INTO n VALUES (1, 2)")
    sql.refused("OPTIMIZE n ZORDER BY b", "DELTA_ZORDERING_ON_COLUMN_WITHOUT_STATS")
    sql("SET spark.databricks.delta.optimize.zorder.checkStatsCollection.enabled = false")
    assert metrics(sql, "OPTIMIZE n ZORDER BY b")["numFilesAdded"] == 1


def test_a_purge_writes_files_with_deleted_rows_again(sql: Sql, tmp_path: Path) -> None:
    shutil.copytree(HOME / "deletion_vectors" / "table", tmp_path / "dv")
    before = sorted(sql(f"SELECT * FROM delta.`{tmp_path}/dv`"))
    (metrics,) = (row[1] for row in sql(f"REORG TABLE delta.`{tmp_path}/dv` APPLY (PURGE)"))
    assert metrics["numFilesRemoved"] == metrics["deletionVectorStats"]["numDeletionVectorsRemoved"] > 0
    assert sorted(sql(f"SELECT * FROM delta.`{tmp_path}/dv`")) == before
    told = sql(f"DESCRIBE HISTORY delta.`{tmp_path}/dv`")[0]
    assert (told[4], dict(told[5])) == ("REORG", {"predicate": "[]", "applyPurge": "true"})
    (metrics,) = (row[1] for row in sql(f"REORG TABLE delta.`{tmp_path}/dv` APPLY (PURGE)"))
    assert metrics["numFilesRemoved"] == 0


def test_batch_writes_end_files_and_join_them_as_asked(sql: Sql) -> None:
    sql("SET spark.sql.files.maxRecordsPerFile = 30")
    sql("CREATE TABLE m (id BIGINT) USING delta")
    sql("INSERT INTO m SELECT id FROM range(100)")
    assert detail(sql, "m") == 4
    sql("CREATE TABLE n USING delta AS SELECT id FROM range(100)")
    assert detail(sql, "n") == 4
    sql("RESET spark.sql.files.maxRecordsPerFile")
    sql("CREATE TABLE a (id BIGINT) USING delta TBLPROPERTIES ('delta.autoOptimize.autoCompact' = 'true')")
    sql("SET spark.databricks.delta.autoCompact.minNumFiles = 3")
    for start in range(5):
        sql(f"INSERT INTO a VALUES ({start})")
    assert detail(sql, "a") == 1
    assert [row[4] for row in sql("DESCRIBE HISTORY a")].count("OPTIMIZE") == 2
    assert sorted(sql("SELECT id FROM a")) == [(start,) for start in range(5)]


def detail(sql: Sql, table: str) -> object:
    """How many files a table has."""
    relation = sql.relation(f"DESCRIBE DETAIL {table}")
    assert relation is not None
    return sql.session.execute(relation).table().to_pylist()[0]["numFiles"]
