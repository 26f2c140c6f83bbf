"""DROP FEATURE of what readers must know: the past stays readable, and nobody slips in between."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable

from headwater.crash import set_trap
from headwater.errors import SparkError
from headwater.lake import checkpoint
from headwater.lake.footers import stored_schemas
from headwater.lake.mapping import physical_type
from headwater.lake.table import LakeTable
from headwater.lake.tail import Indexed, Tail, TailRules
from headwater.lake.widening import narrower
from support.sql_session import Sql

DATA = Path(__file__).resolve().parents[2] / "data"


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    yield sql
    sql.close()


def place(sql: Sql) -> Path:
    return Path(sql("DESCRIBE DETAIL t")[0][4].removeprefix("file:"))


def operations(sql: Sql) -> list[str]:
    return [row[4] for row in sql("DESCRIBE HISTORY t")]


def protocol(sql: Sql) -> tuple[object, ...]:
    return tuple(sql("DESCRIBE DETAIL t")[0][12:15])


DROPPED = (1, 7, ["appendOnly", "checkpointProtection", "invariants"])
END = ["DROP FEATURE", "Empty Commit", "Empty Commit", "Empty Commit"]


def test_column_mapping_goes(sql: Sql) -> None:
    sql("CREATE TABLE t (id INT, v INT) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    sql("INSERT INTO t VALUES (1, 2)")
    sql("ALTER TABLE t RENAME COLUMN v TO w")
    sql("ALTER TABLE t DROP FEATURE columnMapping")
    assert operations(sql)[:5] == [*END, "REMOVE COLUMN MAPPING"]
    assert protocol(sql) == DROPPED
    assert dict(sql("DESCRIBE DETAIL t")[0][11]) == {"delta.requireCheckpointProtectionBeforeVersion": "7"}
    sql("INSERT INTO t VALUES (3, 4)")
    assert sorted(sql("SELECT id, w FROM t")) == [(1, 2), (3, 4)]
    assert sql("SELECT id, v FROM t VERSION AS OF 1") == [(1, 2)]
    log = place(sql) / "_delta_log"
    found = sorted(int(path.name[:20]) for path in log.glob("*.checkpoint.parquet"))
    assert found == [4, 5, 6, 7], "a checkpoint at each commit with nothing in it, and at the last"
    sql.refused("ALTER TABLE t DROP FEATURE columnMapping", "DELTA_FEATURE_DROP_FEATURE_NOT_PRESENT")
    protection = "DELTA_FEATURE_CAN_ONLY_DROP_CHECKPOINT_PROTECTION_WITH_HISTORY_TRUNCATION"
    sql.refused("ALTER TABLE t DROP FEATURE checkpointProtection", protection)


def test_mapping_that_is_off_already(sql: Sql) -> None:
    sql("CREATE TABLE t (id INT) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'k' = 'v')")
    sql("ALTER TABLE t SET TBLPROPERTIES ('delta.columnMapping.mode' = 'none')")
    sql("ALTER TABLE t DROP FEATURE columnMapping")
    assert protocol(sql) == DROPPED
    assert "delta.columnMapping.mode" not in dict(sql("DESCRIBE DETAIL t")[0][11])


def test_checkpoints_are_classic_again(sql: Sql) -> None:
    sql("CREATE TABLE t (id INT) USING delta TBLPROPERTIES ('delta.checkpointPolicy' = 'v2')")
    sql("INSERT INTO t VALUES (1)")
    sql("ALTER TABLE t DROP FEATURE v2Checkpoint")
    assert operations(sql)[:5] == [*END, "SET TBLPROPERTIES"]
    assert protocol(sql) == DROPPED
    assert LakeTable.open(str(place(sql))).version == 6
    assert DeltaTable(str(place(sql))).to_pyarrow_table().to_pylist() == [{"id": 1}]


def test_deletion_vectors_go_with_those_that_others_wrote(sql: Sql, tmp_path: Path) -> None:
    """The table is genuine Spark's: rows of its files are deleted by vectors, which lie in files of their own."""
    shutil.copytree(DATA / "delta_acceptance" / "deletion_vectors" / "table", tmp_path / "t")
    sql(f"CREATE TABLE t USING delta LOCATION '{tmp_path}/t'")
    before, then = sorted(sql("SELECT * FROM t"), key=repr), LakeTable.open(f"{tmp_path}/t").version
    vectors = {path.name for path in (tmp_path / "t").rglob("deletion_vector_*.bin")}
    assert vectors, "the table has files of vectors"
    sql("ALTER TABLE t DROP FEATURE deletionVectors")
    assert sorted(sql("SELECT * FROM t"), key=repr) == before
    assert protocol(sql)[0] == 1
    assert "deletionVectors" not in protocol(sql)[2]
    assert operations(sql)[:5] == [*END, "Deletion Vector Tombstones"]
    named = {gone.path.split("/")[-1] for gone in LakeTable.open(f"{tmp_path}/t").history(5)[4].removes}
    assert named == vectors
    assert sorted(sql(f"SELECT * FROM t VERSION AS OF {then}"), key=repr) == before
    assert len(DeltaTable(f"{tmp_path}/t").to_pyarrow_table()) == len(before)


def test_features_that_are_not_used_go_too(sql: Sql) -> None:
    sql("CREATE TABLE t (id INT) USING delta TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    sql("INSERT INTO t VALUES (1)")
    sql("ALTER TABLE t SET TBLPROPERTIES ('delta.checkpointPolicy' = 'v2')")
    sql("ALTER TABLE t DROP FEATURE deletionVectors")
    assert protocol(sql) == (3, 7, ["appendOnly", "checkpointProtection", "invariants", "v2Checkpoint"])
    sql("ALTER TABLE t DROP FEATURE v2Checkpoint")
    assert protocol(sql) == DROPPED
    assert sql("SELECT * FROM t") == [(1,)]


def test_wider_types_go_into_the_files(sql: Sql) -> None:
    sql(
        "CREATE TABLE t (id INT, s STRUCT<a: SMALLINT, l: ARRAY<INT>>, p INT) USING delta PARTITIONED BY (p) "
        "TBLPROPERTIES ('delta.enableTypeWidening' = 'true', 'delta.columnMapping.mode' = 'name')"
    )
    sql("INSERT INTO t SELECT 1, named_struct('a', 2S, 'l', array(3)), 1")
    sql("INSERT INTO t VALUES (2, NULL, NULL)")
    for column, kind in (("id", "BIGINT"), ("s.a", "INT"), ("s.l.element", "DECIMAL(12, 2)"), ("p", "BIGINT")):
        sql(f"ALTER TABLE t ALTER COLUMN {column} TYPE {kind}")
    sql("INSERT INTO t SELECT 3000000000, named_struct('a', 70000, 'l', array(1.5)), 1")
    wide = [file.path for file in LakeTable.open(str(place(sql))).snapshot().files][-1]
    before = sorted(sql("SELECT * FROM t"), key=repr)
    sql("ALTER TABLE t DROP FEATURE typeWidening")
    assert sorted(sql("SELECT * FROM t"), key=repr) == before
    assert operations(sql)[:7] == [*END, "DROP FEATURE", "REORG", "UNSET TBLPROPERTIES"]
    assert protocol(sql) == (3, 7, ["appendOnly", "checkpointProtection", "columnMapping", "invariants"])
    columns = json.loads(dict(sql("DESCRIBE HISTORY t")[4][5])["columns"])
    assert [one["name"] for one in columns] == ["id", "s.a", "s.l", "p"]
    assert columns[1]["metadata"]["delta.typeChanges"] == [{"toType": "integer", "fromType": "short"}]
    table = LakeTable.open(str(place(sql)))
    assert "typeChanges" not in table.metadata.schema_text
    files = table.snapshot().files
    assert wide in [file.path for file in files], "a file that has the types already stays"
    wanted = physical_type(table.metadata.schema, "name")
    for stored in stored_schemas([f"{table.path}/{file.path}" for file in files]):
        assert stored is not None
        assert not narrower(stored, wanted)
    assert sorted(sql("SELECT * FROM t VERSION AS OF 7"), key=repr) == before


def test_widening_that_changed_nothing_goes(sql: Sql) -> None:
    sql("CREATE TABLE t (id INT) USING delta TBLPROPERTIES ('delta.enableTypeWidening' = 'true')")
    sql("INSERT INTO t VALUES (1)")
    sql("ALTER TABLE t DROP FEATURE typeWidening")
    assert operations(sql)[:6] == [*END, "UNSET TBLPROPERTIES", "WRITE"]
    assert protocol(sql) == DROPPED


def test_a_stream_goes_on_where_types_were_widened(sql: Sql) -> None:
    """Neither the files written again nor the columns that say less are anything new to it."""
    sql("CREATE TABLE t (id INT) USING delta TBLPROPERTIES ('delta.enableTypeWidening' = 'true')")
    sql("INSERT INTO t VALUES (1)")
    sql("ALTER TABLE t ALTER COLUMN id TYPE BIGINT")
    tail = Tail(LakeTable.open(str(place(sql))), TailRules(), "t")
    caught_up = tail.before(3)
    sql("ALTER TABLE t DROP FEATURE typeWidening")
    sql("INSERT INTO t VALUES (2)")
    again = Tail(LakeTable.open(str(place(sql))), TailRules(), "t")
    for stream in (tail, again):
        found = [one for one in stream.after(caught_up) if isinstance(one, Indexed)]
        assert len(found) == 1, "the new row's file, and none that was written again"


def test_what_cannot_be_dropped(sql: Sql) -> None:
    sql("CREATE TABLE t (id INT) USING delta TBLPROPERTIES ('delta.feature.timestampNtz' = 'supported')")
    for text in ("timestampNtz", "timestampNtz TRUNCATE HISTORY", "appendOnly"):
        sql.refused(f"ALTER TABLE t DROP FEATURE {text}", "DELTA_FEATURE_DROP_NONREMOVABLE_FEATURE")
    assert len(operations(sql)) == 1


class Meanwhile:
    """Does something once, at a point of another's work."""

    def __init__(self, point: str, action: Callable[[], object]) -> None:
        self.point = point
        self.action: Callable[[], object] | None = action

    def spring(self, name: str) -> None:
        if name == self.point and self.action is not None:
            action, self.action = self.action, None
            action()

    def __enter__(self) -> None:
        set_trap(self)

    def __exit__(self, *_: object) -> None:
        set_trap(None)


def test_who_commits_meanwhile_keeps_the_feature(sql: Sql) -> None:
    sql("CREATE TABLE t (id INT) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    condition = "DELTA_FEATURE_DROP_CONFLICT_REVALIDATION_FAIL"
    with Meanwhile("lake.downgrade_checked", lambda: sql("INSERT INTO t VALUES (7)")):
        sql.refused("ALTER TABLE t DROP FEATURE columnMapping", condition)

    def again() -> None:
        sql("ALTER TABLE t SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")

    with Meanwhile("lake.downgrade_prepared", again), pytest.raises(SparkError, match=condition):
        sql("ALTER TABLE t DROP FEATURE columnMapping")
    assert "columnMapping" in str(protocol(sql))
    sql("ALTER TABLE t DROP FEATURE columnMapping")
    assert (protocol(sql), sql("SELECT * FROM t")) == (DROPPED, [(7,)])


def test_the_log_of_such_a_table_is_kept(sql: Sql) -> None:
    properties = "'delta.columnMapping.mode' = 'name', 'delta.logRetentionDuration' = 'interval 0 seconds'"
    sql(f"CREATE TABLE t (id INT) USING delta TBLPROPERTIES ({properties})")
    sql("INSERT INTO t VALUES (1)")
    sql("ALTER TABLE t DROP FEATURE columnMapping")
    table = LakeTable.open(str(place(sql)))
    first = table.log_versions()[0]
    for number in range(12):
        sql(f"INSERT INTO t VALUES ({number})")
    checkpoint.wait(table.path)
    checkpoint.write(table.path, table.refresh())
    assert LakeTable.open(table.path).log_versions()[0] == first
