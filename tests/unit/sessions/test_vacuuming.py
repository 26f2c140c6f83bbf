"""VACUUM by SQL."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("CREATE TABLE t (id INT) USING delta")
    sql("INSERT INTO t VALUES (1)")
    sql("INSERT OVERWRITE t VALUES (2)")
    yield sql
    sql.close()


def files(tmp_path: Path) -> list[str]:
    return sorted(glob.glob(str(tmp_path / "warehouse" / "t" / "*.parquet")))


def test_a_dry_run_tells_the_files_and_deletes_nothing(sql: Sql, tmp_path: Path) -> None:
    assert sql("VACUUM t DRY RUN") == []
    sql("SET spark.databricks.delta.retentionDurationCheck.enabled = false")
    ((path,),) = sql("VACUUM t RETAIN 0 HOURS DRY RUN")
    assert path.removeprefix("file:") in files(tmp_path)
    assert len(files(tmp_path)) == 2
    assert len(sql("DESCRIBE HISTORY t")) == 3


def test_vacuum_answers_with_the_tables_path(sql: Sql, tmp_path: Path) -> None:
    error = sql.refused("VACUUM t RETAIN 0 HOURS", "DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT")
    assert "at least 168 hours" in str(error)
    folder = tmp_path / "warehouse" / "t"
    assert sql("VACUUM t") == [(f"file:{folder}",)]
    assert len(files(tmp_path)) == 2
    sql("SET spark.databricks.delta.retentionDurationCheck.enabled = false")
    sql(f"VACUUM '{folder}' RETAIN 0 HOURS")
    assert len(files(tmp_path)) == 1
    assert sql("SELECT * FROM t") == [(2,)]
    assert [row[4] for row in sql("DESCRIBE HISTORY t")][:2] == ["VACUUM END", "VACUUM START"]
    assert [row[5] for row in sql("DESCRIBE HISTORY t")][3] == [
        ("retentionCheckEnabled", "true"), ("defaultRetentionMillis", "604800000")
    ]  # fmt: skip


def test_history_is_left_alone_if_the_session_says_so(sql: Sql) -> None:
    sql("SET spark.databricks.delta.vacuum.logging.enabled = false")
    sql("VACUUM t LITE")
    assert len(sql("DESCRIBE HISTORY t")) == 3


def test_only_delta_tables_are_vacuumed(sql: Sql, tmp_path: Path) -> None:
    inside = str(tmp_path / "warehouse" / "t" / "p=1")
    assert inside[:-4] in str(sql.refused(f"VACUUM '{inside}'", "DELTA_UNSUPPORTED_VACUUM_SPECIFIC_PARTITION"))
    sql.refused(f"VACUUM '{tmp_path}'", "DELTA_TABLE_NOT_FOUND")
    sql("CREATE TABLE p (id INT) USING parquet")
    sql.refused("VACUUM p", "DELTA_TABLE_ONLY_OPERATION")
    sql.refused("VACUUM nonesuch", "TABLE_OR_VIEW_NOT_FOUND")
    sql("CREATE VIEW v AS SELECT 1")
    sql.refused("VACUUM v", "WRONG_COMMAND_FOR_OBJECT_TYPE")
