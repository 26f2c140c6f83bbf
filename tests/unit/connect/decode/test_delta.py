"""The genuine `delta.tables.DeltaTable` over Spark Connect: reading, changing rows, what history tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from delta.tables import DeltaTable
from pyspark.errors import AnalysisException
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.session import SparkSession

from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


@pytest.fixture
def table(spark: SparkSession) -> Iterator[DeltaTable]:
    spark.createDataFrame([(1, "a"), (2, "b"), (3, "c")], "id INT, v STRING").write.saveAsTable("target")
    yield DeltaTable.forName(spark, "target")
    spark.sql("DROP TABLE target")


def rows(table: DeltaTable) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in table.toDF().collect())


def version(table: DeltaTable) -> int:
    return table.history(1).collect()[0].version


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_by_name_by_path_and_by_a_name_that_is_a_path(spark: SparkSession, table: DeltaTable) -> None:
    path = table.detail().collect()[0].location
    expected = [(1, "a"), (2, "b"), (3, "c")]
    assert rows(table) == expected
    assert rows(DeltaTable.forPath(spark, path)) == expected
    assert rows(DeltaTable.forName(spark, f"delta.`{path}`")) == expected
    assert rows(DeltaTable.forName(spark, "spark_catalog.default.target")) == expected
    assert [row.id for row in table.alias("t").toDF().where("t.id > 2").collect()] == [3]


def test_what_is_no_delta_table(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(1).write.mode("overwrite").parquet(str(tmp_path / "p"))
    spark.range(1).createOrReplaceTempView("view")
    for missing in (
        DeltaTable.forName(spark, "nope"),
        DeltaTable.forName(spark, "view"),
        DeltaTable.forPath(spark, str(tmp_path / "p")),
    ):
        for use in (missing.toDF().collect, missing.history().collect, missing.delete, missing.vacuum):
            with pytest.raises(AnalysisException, match="DELTA_MISSING_DELTA_TABLE"):
                use()


def test_is_delta_table(spark: SparkSession, table: DeltaTable, tmp_path: Path) -> None:
    assert DeltaTable.isDeltaTable(spark, table.detail().collect()[0].location)
    assert not DeltaTable.isDeltaTable(spark, str(tmp_path))


def test_history_and_detail(spark: SparkSession, table: DeltaTable) -> None:
    table.delete("id = 1")
    assert [(row.version, row.operation) for row in table.history().collect()] == [
        (1, "DELETE"),
        (0, "CREATE TABLE AS SELECT"),
    ]
    assert table.history(1).count() == 1
    (detail,) = table.detail().collect()
    assert (detail.format, detail.name) == ("delta", "spark_catalog.default.target")


# ── changing rows ───────────────────────────────────────────────────────────────────────────────────────────


def test_delete_is_done_once_and_tells_how_many(table: DeltaTable) -> None:
    assert table.delete("id > 1").collect()[0].num_affected_rows == 2
    assert (rows(table), version(table)) == ([(1, "a")], 1)
    assert table.delete(F.col("v") == "zz").collect()[0].num_affected_rows == 0
    assert table.delete().collect()[0].num_affected_rows == 1
    assert rows(table) == []


def test_update(table: DeltaTable) -> None:
    found = table.alias("t").update("t.id = 2", {"v": "concat(t.v, '!')"})
    assert found.collect()[0].num_affected_rows == 1
    table.update(set={"id": F.col("id") * 10})
    assert (rows(table), version(table)) == ([(10, "a"), (20, "b!"), (30, "c")], 2)
    with pytest.raises(AnalysisException, match="UNRESOLVED_COLUMN"):
        table.update("id = 1", {"nope": "1"})


def test_all_clauses_of_merge(spark: SparkSession, table: DeltaTable) -> None:
    source = spark.createDataFrame([(1, "x"), (2, "y"), (9, "z"), (8, "w")], "id INT, v STRING")
    counts = (
        table.alias("t")
        .merge(source.alias("s"), "t.id = s.id")
        .whenMatchedDelete("t.v = 'b'")
        .whenMatchedUpdate(set={"v": F.concat("t.v", "s.v")})
        .whenNotMatchedInsert("s.id > 8", {"id": "s.id", "v": "'new'"})
        .whenNotMatchedInsertAll()
        .whenNotMatchedBySourceUpdate("t.id > 5", {"v": "'never'"})
        .whenNotMatchedBySourceDelete()
        .execute()
    )
    assert counts.collect()[0].asDict() == {
        "num_affected_rows": 5, "num_updated_rows": 1, "num_deleted_rows": 2, "num_inserted_rows": 2
    }  # fmt: skip
    assert (rows(table), version(table)) == ([(1, "ax"), (8, "w"), (9, "new")], 1)


def test_stars_and_schema_evolution(spark: SparkSession, table: DeltaTable) -> None:
    source = spark.createDataFrame([(1, "x", 5), (9, "z", 6)], "id INT, v STRING, more INT")
    merge = table.alias("t").merge(source.alias("s"), "t.id = s.id").whenMatchedUpdateAll().whenNotMatchedInsertAll()
    merge.withSchemaEvolution().execute()
    assert rows(table) == [(1, "x", 5), (2, "b", None), (3, "c", None), (9, "z", 6)]


@pytest.mark.parametrize("alias", [None, "t"])
def test_columns_taken_from_the_tables_own_dataframe(spark: SparkSession, table: DeltaTable, alias: str | None) -> None:
    target = table.alias(alias) if alias else table
    source = spark.createDataFrame([(1, "x"), (9, "z")], "id INT, v STRING")
    old = target.toDF()
    (
        target.merge(source, (old.id == source.id) & (old["v"] != "q"))
        .whenMatchedUpdate(set={"v": F.concat(old.v, source.v)})
        .whenNotMatchedInsert(values={"id": source.id})
        .execute()
    )
    assert rows(DeltaTable.forName(spark, "target")) == [(1, "ax"), (2, "b"), (3, "c"), (9, None)]


def test_a_path_is_changed_like_a_name(spark: SparkSession, tmp_path: Path) -> None:
    spark.createDataFrame([(1,), (2,)], "id INT").write.format("delta").save(str(tmp_path / "t"))
    table = DeltaTable.forPath(spark, str(tmp_path / "t"))
    table.merge(table.toDF().alias("s"), "s.id = 7").whenNotMatchedInsertAll().execute()
    table.update("id = 1", {"id": "5"})
    table.delete(table.toDF().id == 2)
    assert rows(table) == [(5,), (5,)]


def test_merge_without_a_clause(spark: SparkSession, table: DeltaTable) -> None:
    with pytest.raises(AnalysisException, match="DELTA_MERGE_MISSING_WHEN"):
        table.merge(spark.range(1), "true").execute()


def test_upsert_of_a_stream_s_batches(spark: SparkSession, table: DeltaTable, tmp_path: Path) -> None:
    spark.createDataFrame([(1, "x"), (9, "z")], "id INT, v STRING").write.json(str(tmp_path / "in"))

    def upsert(batch: Any, _: int) -> None:
        from delta.tables import DeltaTable

        target = DeltaTable.forName(batch.sparkSession, "target").alias("t")
        merge = target.merge(batch.alias("s"), "t.id = s.id")
        merge.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()

    lines = spark.readStream.schema("id INT, v STRING").json(str(tmp_path / "in"))
    stream = lines.writeStream.foreachBatch(upsert).option("checkpointLocation", str(tmp_path / "checkpoint"))
    stream.trigger(availableNow=True).start().awaitTermination(60)
    assert rows(table) == [(1, "x"), (2, "b"), (3, "c"), (9, "z")]


def test_hadoop_settings_are_refused_by_name() -> None:
    from headwater.connect.decode.delta import table_name
    from headwater.connect.decode.delta_messages import _classes
    from headwater.errors import UnsupportedError

    message = _classes()["DeltaTable"]()
    message.path.path = "/t"
    assert table_name(message) == ("delta", "/t")
    message.path.hadoop_conf.add(key="fs.s3a.access.key", value="x")
    with pytest.raises(UnsupportedError, match="hadoopConf"):
        table_name(message)


def test_fields_of_structs_are_set(spark: SparkSession) -> None:
    spark.sql("SELECT 1 AS id, struct(1 AS a, struct('x' AS c) AS b) AS s").write.saveAsTable("nested")
    table = DeltaTable.forName(spark, "nested")
    table.update(set={"s.a": "s.a + id", "s.b.c": "'y'"})
    assert table.toDF().select("s.a", "s.b.c").collect() == [(2, "y")]
    source = spark.sql("SELECT 1 AS id, 7 AS a").alias("u")
    table.alias("t").merge(source, "t.id = u.id").whenMatchedUpdate(set={"t.s.a": "u.a"}).execute()
    assert table.toDF().select("s.a", "s.b.c").collect() == [(7, "y")]
    spark.sql("DROP TABLE nested")
