"""RESTORE by SQL."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.sessions.commands.restoring import instant
from support.sql_session import Sql

COUNTS = [
    "table_size_after_restore",
    "num_of_files_after_restore",
    "num_removed_files",
    "num_restored_files",
    "removed_files_size",
    "restored_files_size",
]


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("SET spark.sql.session.timeZone = UTC")
    sql("CREATE TABLE t (id INT) USING delta")
    sql("INSERT INTO t VALUES (1)")
    sql("INSERT OVERWRITE t VALUES (2)")
    for version, day in enumerate((1, 2, 3)):
        path = tmp_path / "warehouse" / "t" / "_delta_log" / f"{version:020}.json"
        os.utime(path, (1767225600 + day * 86400, 1767225600 + day * 86400))
    yield sql
    sql.close()


def test_restore_answers_with_deltas_counts(sql: Sql, tmp_path: Path) -> None:
    relation = sql.relation("RESTORE TABLE t TO VERSION AS OF 1")
    assert relation is not None
    result = sql.session.execute(relation).table()
    assert result.schema.names == COUNTS
    (row,) = result.to_pylist()
    sizes = {os.path.getsize(path) for path in glob.glob(str(tmp_path / "warehouse" / "t" / "*.parquet"))}
    assert sizes == {row["restored_files_size"], row["removed_files_size"]}
    assert [row[name] for name in COUNTS[1:4]] == [1, 1, 1]
    assert sql("SELECT * FROM t") == [(1,)]
    told = sql("DESCRIBE HISTORY t")[0]
    assert (told[4], dict(told[5])) == ("RESTORE", {"version": "1", "timestamp": None})


def test_a_time_means_the_version_of_that_time(sql: Sql) -> None:
    sql("RESTORE t TO TIMESTAMP AS OF '2026-01-03 12:00:00'")
    assert sql("SELECT * FROM t") == [(1,)]
    assert dict(sql("DESCRIBE HISTORY t")[0][5])["timestamp"] == "2026-01-03 12:00:00.0"
    early = sql.refused("RESTORE t TO TIMESTAMP AS OF '2025-01-01'", "DELTA_CANNOT_RESTORE_TIMESTAMP_EARLIER")
    assert "(2026-01-02 00:00:00.0)" in str(early)
    sql.refused("RESTORE t TO TIMESTAMP AS OF '2101-01-01'", "DELTA_CANNOT_RESTORE_TIMESTAMP_GREATER")
    assert "('xx')" in str(sql.refused("RESTORE t TO TIMESTAMP AS OF 'xx'", "DELTA_TIMESTAMP_INVALID"))


def test_what_cannot_be_restored_is_refused(sql: Sql, tmp_path: Path) -> None:
    sql.refused("RESTORE t TO VERSION AS OF 9", "DELTA_CANNOT_RESTORE_TABLE_VERSION")
    sql.refused("RESTORE nonesuch TO VERSION AS OF 9", "TABLE_OR_VIEW_NOT_FOUND")
    sql("CREATE TABLE p (id INT) USING parquet")
    sql.refused("RESTORE p TO VERSION AS OF 0", "DELTA_TABLE_ONLY_OPERATION")
    for path in glob.glob(str(tmp_path / "warehouse" / "t" / "*.parquet")):
        os.unlink(path)
    assert "ignoreMissingFiles" in str(sql.refused("RESTORE t TO VERSION AS OF 1", "_LEGACY_ERROR_TEMP_3102"))
    sql("SET spark.sql.files.ignoreMissingFiles = true")
    assert sql("RESTORE t TO VERSION AS OF 1")[0][1:4] == (1, 1, 1)


@pytest.mark.parametrize(
    ("moment_ms", "zone", "text"),
    [
        (0, "UTC", "1970-01-01 00:00:00.0"),
        (1_500, "UTC", "1970-01-01 00:00:01.5"),
        (123, "America/New_York", "1969-12-31 19:00:00.123"),
    ],
)
def test_a_time_is_told_as_java_prints_it(moment_ms: int, zone: str, text: str) -> None:
    assert instant(moment_ms, zone) == text
