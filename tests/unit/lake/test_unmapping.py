"""Column mapping is taken off: the rows stay, the files get the columns' names, nobody else slips in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql.types import IntegerType, StructField

from headwater.crash import set_trap
from headwater.errors import ConcurrentWriteError, SparkError
from headwater.lake import alter, renaming
from headwater.lake.table import LakeTable
from headwater.lake.tail import DeltaOffset, Indexed, Tail, TailRules
from headwater.lake.unmapping import is_mapped, remove_mapping
from headwater.types.ddl import parse_schema
from support.lake import connection, query, rows
from support.sql_session import Sql

MAPPED = "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
NONE = "SET TBLPROPERTIES ('delta.columnMapping.mode' = 'none')"
PAIRS = parse_schema("id int, v int")


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    yield sql
    sql.close()


def lake(sql: Sql) -> LakeTable:
    return LakeTable.open(sql("DESCRIBE DETAIL t")[0][4].removeprefix("file:"))


@pytest.mark.parametrize("mode", ["name", "id"])
def test_nested_and_partition_columns_get_their_names(sql: Sql, mode: str) -> None:
    sql(
        "CREATE TABLE t (id INT NOT NULL COMMENT 'key', s STRUCT<a: INT, l: ARRAY<STRUCT<y: INT>>>, p STRING) "
        f"USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.columnMapping.mode' = '{mode}', 'k' = 'v')"
    )
    sql("INSERT INTO t SELECT 1, named_struct('a', 2, 'l', array(named_struct('y', 3))), 'x'")
    sql("INSERT INTO t VALUES (2, NULL, NULL)")
    sql("ALTER TABLE t RENAME COLUMN s.a TO b")
    sql("ALTER TABLE t RENAME COLUMN p TO part")
    before = sql("SELECT * FROM t ORDER BY id")
    sql(f"ALTER TABLE t {NONE}")
    table = lake(sql)
    assert sql("SELECT * FROM t ORDER BY id") == before
    assert "columnMapping" not in table.metadata.schema_text
    assert table.metadata.configuration == {"k": "v", "delta.columnMapping.mode": "none"}
    assert [field.metadata for field in table.metadata.schema.fields] == [{"comment": "key"}, {}, {}]
    by_others = DeltaTable(table.path).to_pyarrow_table().to_pylist()
    assert sorted(row["id"] for row in by_others) == [1, 2]
    assert {row["part"] for row in by_others} == {"x", None}
    commit = table.history(1)[0]
    assert (commit.info["operation"], commit.info["isolationLevel"]) == ("REMOVE COLUMN MAPPING", "Serializable")
    assert not commit.changes_data
    assert sql("SELECT s FROM t VERSION AS OF 1") == [({"a": 2, "l": [{"y": 3}]},)]
    sql("INSERT INTO t VALUES (3, NULL, 'z')")
    sql.refused("ALTER TABLE t RENAME COLUMN part TO p", "DELTA_UNSUPPORTED_RENAME_COLUMN")


def test_it_goes_on_and_off(sql: Sql) -> None:
    sql(f"CREATE TABLE t (id INT, v INT) USING delta {MAPPED}")
    sql("INSERT INTO t VALUES (1, 2)")
    sql("ALTER TABLE t RENAME COLUMN v TO w")
    sql("ALTER TABLE t UNSET TBLPROPERTIES ('delta.columnMapping.mode')")
    assert lake(sql).metadata.configuration == {}
    sql("ALTER TABLE t SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'k' = 'v')")
    sql("ALTER TABLE t RENAME COLUMN w TO x")
    sql("ALTER TABLE t SET TBLPROPERTIES ('DELTA.columnMapping.mode' = 'NONE', 'k' = 'w')")
    assert sql("SELECT id, x FROM t") == [(1, 2)]
    assert not is_mapped(lake(sql))
    assert lake(sql).metadata.configuration["k"] == "w"
    sql("RESTORE t TO VERSION AS OF 2")
    assert sql("SELECT id, w FROM t") == [(1, 2)]


def test_names_that_files_cannot_have(sql: Sql) -> None:
    sql(f"CREATE TABLE t (id INT, s STRUCT<`a b`: INT>) USING delta {MAPPED}")
    error = sql.refused(f"ALTER TABLE t {NONE}", "DELTA_INVALID_COLUMN_NAMES_WHEN_REMOVING_COLUMN_MAPPING")
    assert "a b" in str(error)
    assert is_mapped(lake(sql))


def test_deleted_rows_and_dropped_columns_stay_away(sql: Sql) -> None:
    sql(f"CREATE TABLE t (id INT, v INT, w INT) USING delta {MAPPED}")
    sql("INSERT INTO t VALUES (1, 2, 3), (2, 3, 4)")
    sql("ALTER TABLE t DROP COLUMN v")
    sql("ALTER TABLE t ADD COLUMN v INT")
    sql("DELETE FROM t WHERE id = 1")
    sql(f"ALTER TABLE t {NONE}")
    assert sql("SELECT * FROM t") == [(2, 4, None)]


def test_clustering_columns_keep_their_names(sql: Sql) -> None:
    sql(f"CREATE TABLE t (id INT, v INT) USING delta CLUSTER BY (v) {MAPPED}")
    sql("INSERT INTO t VALUES (1, 2)")
    sql("ALTER TABLE t RENAME COLUMN v TO w")
    sql(f"ALTER TABLE t {NONE}")
    assert ("clusteringColumns", '[["w"]]') in sql("SHOW TBLPROPERTIES t")
    domain = next(iter(lake(sql).newest().domains.values()))
    assert json.loads(domain)["clusteringColumns"] == [["w"]]


# ── beside others ───────────────────────────────────────────────────────────────────────────────────────────


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


def mapped(path: Path) -> LakeTable:
    table = LakeTable.create(str(path), PAIRS, properties={"delta.columnMapping.mode": "name"})
    table.append(connection(), query("SELECT 1::INT AS id, 2::INT AS v"), PAIRS)
    renaming.rename_column(table, ("v",), "w", lambda *_: None)
    return table


def add(path: str) -> None:
    LakeTable.open(path).append(connection(), query("SELECT 5::INT AS id, 6::INT AS w"), parse_schema("id int, w int"))


def test_rows_that_come_meanwhile_are_never_lost(tmp_path: Path) -> None:
    table = mapped(tmp_path / "t")
    with (
        Meanwhile("lake.unmapped", lambda: add(table.path)),
        pytest.raises(ConcurrentWriteError, match="DELTA_CONCURRENT_WRITE"),
    ):
        remove_mapping(table, connection())
    table = LakeTable.open(table.path)
    assert sorted(rows(table)) == [(1, 2), (5, 6)]
    assert len(list(Path(table.path).rglob("*.parquet"))) == 2, "what was written again is gone"
    remove_mapping(table, connection())
    assert sorted(rows(table)) == [(1, 2), (5, 6)]


def test_files_with_the_old_names_come_too_late(tmp_path: Path) -> None:
    table = mapped(tmp_path / "t")
    with (
        Meanwhile("lake.data_written", lambda: remove_mapping(LakeTable.open(table.path), connection())),
        pytest.raises(ConcurrentWriteError, match="DELTA_METADATA_CHANGED"),
    ):
        add(table.path)
    assert rows(LakeTable.open(table.path)) == [(1, 2)]


def test_a_stream_does_not_read_files_by_names_that_they_do_not_have(tmp_path: Path) -> None:
    running = Tail(mapped(tmp_path / "t"), TailRules(), "t")
    path = str(tmp_path / "t")
    caught_up = running.before(3)
    assert len(files(running, running.before(1))) == 1
    remove_mapping(LakeTable.open(path), connection())
    add(path)
    condition = "DELTA_STREAMING_INCOMPATIBLE_SCHEMA_CHANGE_USE_SCHEMA_LOG"
    with pytest.raises(SparkError, match=condition):
        files(running, caught_up)
    again = Tail(LakeTable.open(path), TailRules(), "t")
    for behind in (again.before(0), again.before(1), again.before(2), again.before(1, snapshot=True)):
        with pytest.raises(SparkError, match=condition):
            files(Tail(LakeTable.open(path), TailRules(), "t"), behind)
    assert len(files(again, caught_up)) == 1


def files(tail: Tail, start: DeltaOffset) -> list[Indexed]:
    return [one for one in tail.after(start) if isinstance(one, Indexed)]


def test_a_stream_goes_on_where_names_stay(tmp_path: Path) -> None:
    table = mapped(tmp_path / "t")
    alter.add_columns(table, [alter.NewColumn(("x",), StructField("x", IntegerType()))])
    tail = Tail(LakeTable.open(table.path), TailRules(), "t")
    assert len(files(tail, tail.before(1))) == 1
