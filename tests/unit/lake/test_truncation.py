"""DROP FEATURE … TRUNCATE HISTORY: first the newest version, then the log, then the feature; what is young stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from headwater.errors import SparkError
from headwater.lake.actions import Metadata
from headwater.lake.table import LakeTable
from headwater.lake.truncation import history_needs, truncate
from support.sql_session import Sql

WAIT = "DELTA_FEATURE_DROP_WAIT_FOR_RETENTION_PERIOD"
OLDER = "DELTA_FEATURE_DROP_HISTORICAL_VERSIONS_EXIST"
BEFORE = {
    "columnMapping": ("'delta.columnMapping.mode' = 'name'", "ALTER TABLE t RENAME COLUMN v TO w"),
    "deletionVectors": ("'delta.enableDeletionVectors' = 'true'", "DELETE FROM t WHERE id = 3"),
    "typeWidening": ("'delta.enableTypeWidening' = 'true'", "ALTER TABLE t ALTER COLUMN id TYPE BIGINT"),
    "v2Checkpoint": ("'delta.checkpointPolicy' = 'v2'", "DELETE FROM t WHERE id = 3"),
}


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    yield sql
    sql.close()


def lake(sql: Sql) -> LakeTable:
    return LakeTable.open(sql("DESCRIBE DETAIL t")[0][4].removeprefix("file:"))


def made(sql: Sql, feature: str) -> None:
    properties, change = BEFORE[feature]
    sql(f"CREATE TABLE t (id INT, v INT) USING delta TBLPROPERTIES ({properties})")
    sql("INSERT INTO t VALUES (1, 2)")
    sql(change)


def age(table: LakeTable, hours: float) -> None:
    """Let the log of the table be older."""
    for path in (Path(table.path) / "_delta_log").iterdir():
        then = path.stat().st_mtime - hours * 3600
        os.utime(path, (then, then))


@pytest.mark.parametrize("feature", BEFORE)
def test_a_feature_goes_without_a_trace(sql: Sql, feature: str) -> None:
    made(sql, feature)
    rows = sql("SELECT * FROM t")
    drop = f"ALTER TABLE t DROP FEATURE {feature} TRUNCATE HISTORY"
    sql.refused(drop, WAIT)
    assert feature in str(sql("DESCRIBE DETAIL t")[0][14])
    sql.refused(drop, OLDER)
    age(lake(sql), 25)
    sql("INSERT INTO t VALUES (7, 8)")
    sql(drop)
    table = lake(sql)
    told = sql("DESCRIBE DETAIL t")[0]
    assert tuple(told[12:15]) == (1, 2, ["appendOnly", "invariants"])
    assert [key for key in dict(told[11]) if key != "delta.checkpointPolicy"] == []
    newest = table.history(1)[0].info
    facts = {"featureName": feature, "truncateHistory": True}
    assert (newest["operation"], newest["operationParameters"]) == ("DROP FEATURE", facts)
    first, last = table.log_versions()
    assert 0 < first < last
    newest = pq.read_schema(Path(table.path) / "_delta_log" / f"{last:020}.checkpoint.parquet")
    assert "checkpointMetadata" not in newest.names, "Spark reads such a checkpoint in no table without v2Checkpoint"
    assert not history_needs(feature, table.log, last)
    assert sorted(sql("SELECT * FROM t")) == [*rows, (7, 8)]
    assert len(DeltaTable(table.path).to_pyarrow_table()) == 2
    with pytest.raises(SparkError, match="DELTA_VERSION_NOT_FOUND"):
        table.snapshot(0)
    assert table.snapshot(first).version == first


def test_what_is_young_stays_in_the_log(sql: Sql) -> None:
    made(sql, "columnMapping")
    drop = "ALTER TABLE t DROP FEATURE columnMapping TRUNCATE HISTORY"
    sql.refused(drop, WAIT)
    age(lake(sql), 23)
    with pytest.raises(SparkError) as caught:
        sql(drop)
    assert caught.value.condition == OLDER
    assert "delta.logRetentionDuration=30 days" in str(caught.value)
    assert "(24 hours)" in str(caught.value)
    assert lake(sql).log_versions()[0] == 0
    sql("ALTER TABLE t SET TBLPROPERTIES ('delta.dropFeatureTruncateHistory.retentionDuration' = 'interval 22 hours')")
    sql(drop)


def test_a_checkpoint_before_which_the_log_goes_is_old_itself(sql: Sql) -> None:
    """Old versions alone, with no checkpoint after them, all stay: the newest could not be read without them."""
    sql("CREATE TABLE t (id INT) USING delta")
    for number in range(3):
        sql(f"INSERT INTO t VALUES ({number})")
    table = lake(sql)
    age(table, 1000)
    truncate(table, table.newest())
    assert table.log_versions() == (0, 3)


def test_protection_goes_with_the_versions_that_it_protects(sql: Sql) -> None:
    made(sql, "columnMapping")
    sql("ALTER TABLE t DROP FEATURE columnMapping")
    drop = "ALTER TABLE t DROP FEATURE checkpointProtection TRUNCATE HISTORY"
    sql.refused(drop, "DELTA_FEATURE_DROP_CHECKPOINT_PROTECTION_WAIT_FOR_RETENTION_PERIOD")
    sql("INSERT INTO t VALUES (3, 4)")
    age(lake(sql), 25)
    sql(drop)
    told = sql("DESCRIBE DETAIL t")[0]
    assert (dict(told[11]), *told[12:15]) == ({}, 1, 2, ["appendOnly", "invariants"])
    assert sorted(sql("SELECT * FROM t")) == [(1, 2), (3, 4)]
    assert lake(sql).log_versions()[0] > 1


def test_who_commits_meanwhile_keeps_the_feature(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    made(sql, "columnMapping")
    drop = "ALTER TABLE t DROP FEATURE columnMapping TRUNCATE HISTORY"
    sql.refused(drop, WAIT)
    age(lake(sql), 25)

    def uses(*_: object) -> bool:
        sql("INSERT INTO t VALUES (5, 6)")
        return False

    monkeypatch.setattr("headwater.lake.truncation.history_needs", uses)
    sql.refused(drop, "DELTA_FEATURE_DROP_CONFLICT_REVALIDATION_FAIL")
    monkeypatch.undo()
    sql(drop)
    assert sorted(sql("SELECT * FROM t")) == [(1, 2), (5, 6)]


def test_a_wider_column_is_a_trace_that_it_may_be_is_none() -> None:
    from headwater.lake.truncation import _uses

    schema = '{"type":"struct","fields":[{"name":"a","type":"long","nullable":true,"metadata":%s}]}'
    changes = '{"delta.typeChanges":[{"fromType":"integer","toType":"long"}]}'
    allowed = Metadata("x", schema % "{}", configuration={"delta.enableTypeWidening": "true"})
    assert not _uses("typeWidening", allowed)
    assert _uses("typeWidening", Metadata("x", schema % changes))


def test_what_needs_no_history(sql: Sql) -> None:
    sql("CREATE TABLE t (id INT) USING delta TBLPROPERTIES ('delta.feature.checkConstraints' = 'supported')")
    drop = "ALTER TABLE t DROP FEATURE checkConstraints TRUNCATE HISTORY"
    sql.refused(drop, "DELTA_FEATURE_DROP_HISTORY_TRUNCATION_NOT_ALLOWED")
