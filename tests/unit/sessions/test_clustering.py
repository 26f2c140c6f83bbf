"""Clustering columns by every way a table is made or changed, as Delta's log keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.lake.clustering import columns_of
from headwater.lake.table import LakeTable
from headwater.plan.commands import Write, WriteTo
from headwater.sql import parse_query
from support.sql_session import Sql

ROWS = parse_query("SELECT id, id % 3 AS k FROM range(10)")


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    yield sql
    sql.close()


def clustering(folder: Path, name: str = "t") -> tuple[tuple[str, ...], ...]:
    state = LakeTable.open(str(folder / "warehouse" / name)).newest()
    if not columns_of(state.domains):
        return ()
    assert state.protocol is not None
    assert {"clustering", "domainMetadata"} <= set(state.protocol.writer_features)
    return columns_of(state.domains)


def test_a_statement_makes_a_clustered_table(sql: Sql, tmp_path: Path) -> None:
    sql("CREATE TABLE t (id INT, s STRUCT<a: INT, `b.c`: STRING>) USING delta CLUSTER BY (s.a, s.`b.c`, id)")
    assert clustering(tmp_path) == (("s", "a"), ("s", "b.c"), ("id",))
    assert dict(sql("DESCRIBE HISTORY t")[0][5])["clusterBy"] == '["s.a","s.`b.c`","id"]'
    sql("CREATE TABLE q USING delta CLUSTER BY (k) AS SELECT 1 AS id, 2 AS k")
    assert (clustering(tmp_path, "q"), sql("SELECT * FROM q")) == ((("k",),), [(1, 2)])
    sql("CREATE OR REPLACE TABLE q USING delta CLUSTER BY (id) AS SELECT 3 AS id, 2 AS k")
    assert clustering(tmp_path, "q") == (("id",),)
    sql("CREATE OR REPLACE TABLE q (id INT, n INT) USING delta CLUSTER BY (n)")
    assert clustering(tmp_path, "q") == (("n",),)
    sql("CREATE OR REPLACE TABLE q USING delta AS SELECT 1 AS id")
    assert clustering(tmp_path, "q") == ()


def test_a_dataframe_makes_a_clustered_table_and_agrees_with_one(sql: Sql, tmp_path: Path) -> None:
    def write(mode: str, *columns: str, **options: str) -> None:
        sql.session.run(
            Write(ROWS, "delta", mode, table=("t",), cluster_by=columns, options=tuple(options.items()))  # type: ignore[arg-type]
        )

    write("append", "k")
    write("append", "K")
    write("append")
    assert (clustering(tmp_path), sql("SELECT count(*) FROM t")) == ((("k",),), [(30,)])
    with pytest.raises(Exception, match="DELTA_CLUSTERING_COLUMNS_MISMATCH"):
        write("append", "id")
    with pytest.raises(Exception, match="DELTA_CLUSTERING_COLUMNS_MISMATCH"):
        write("overwrite", "id")
    write("overwrite", "id", overwriteSchema="true")
    assert clustering(tmp_path) == (("id",),)

    path = str(tmp_path / "warehouse" / "p")
    sql.session.run(Write(ROWS, "delta", "errorifexists", path=path, cluster_by=("id", "k")))
    assert clustering(tmp_path, "p") == (("id",), ("k",))


def test_write_to_makes_and_replaces_a_clustered_table(sql: Sql, tmp_path: Path) -> None:
    sql.session.run(WriteTo(ROWS, ("t",), "create", "delta", cluster_by=("k", "id")))
    assert clustering(tmp_path) == (("k",), ("id",))
    sql.session.run(WriteTo(ROWS, ("t",), "create_or_replace", "delta", cluster_by=("id",)))
    assert clustering(tmp_path) == (("id",),)


def test_the_columns_change_and_go_and_optimize_follows(sql: Sql, tmp_path: Path) -> None:
    sql("CREATE TABLE t (id INT, k INT) USING delta")
    sql("ALTER TABLE t CLUSTER BY (K)")
    told = sql("DESCRIBE HISTORY t")[0]
    assert (told[4], dict(told[5])) == ("CLUSTER BY", {"oldClusteringColumns": "", "newClusteringColumns": "k"})
    sql("INSERT INTO t VALUES (1, 2)")
    sql("INSERT INTO t VALUES (3, 1)")
    sql("OPTIMIZE t")
    assert clustering(tmp_path) == (("k",),)
    (file,) = LakeTable.open(str(tmp_path / "warehouse" / "t")).newest().files.values()
    assert json.loads(file.other["tags"]["ZCUBE_ZORDER_BY"]) == ["k"]
    sql("ALTER TABLE t CLUSTER BY NONE")
    assert clustering(tmp_path) == ()


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (
            "CREATE TABLE q (id INT, k INT) USING delta CLUSTER BY (id) PARTITIONED BY (k)",
            "SPECIFY_CLUSTER_BY_WITH_PARTITIONED_BY_IS_NOT_ALLOWED",
        ),
        ("CREATE TABLE q (id INT) USING delta CLUSTER BY (nope)", "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA"),
        ("CREATE TABLE q (id INT) USING parquet CLUSTER BY (id)", "UNSUPPORTED_FEATURE.HEADWATER"),
        ("CREATE TABLE q (id INT) USING delta CLUSTER BY AUTO", "UNSUPPORTED_FEATURE.HEADWATER"),
        ("ALTER TABLE t CLUSTER BY (nope)", "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA"),
        ("ALTER TABLE t CLUSTER BY AUTO", "UNSUPPORTED_FEATURE.HEADWATER"),
        ("ALTER TABLE p CLUSTER BY (id)", "DELTA_ALTER_TABLE_CLUSTER_BY_ON_PARTITIONED_TABLE_NOT_ALLOWED"),
    ],
)
def test_columns_that_cannot_cluster(sql: Sql, text: str, condition: str) -> None:
    sql("CREATE TABLE t (id INT) USING delta CLUSTER BY (id)")
    sql("CREATE TABLE p (id INT, k INT) USING delta PARTITIONED BY (k)")
    sql.refused(text, condition)
