"""`df.mergeInto` through the genuine client, decoded and run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.session import SparkSession

from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


@pytest.fixture
def table(spark: SparkSession) -> Iterator[str]:
    spark.createDataFrame([(1, "a"), (2, "b"), (3, "c")], "id INT, v STRING").write.saveAsTable("target")
    yield "target"
    spark.sql("DROP TABLE target")


def rows(spark: SparkSession) -> list[tuple[int, str]]:
    return sorted(tuple(row) for row in spark.table("target").collect())


def test_the_clauses_are_tried_in_their_order(spark: SparkSession, table: str) -> None:
    source = spark.createDataFrame([(1, "x"), (2, "y"), (9, "z")], "id INT, v STRING")
    (
        source.mergeInto(table, F.expr("target.id") == source.id)
        .whenMatched(F.expr("target.v = 'a'")).update({"v": F.concat(F.expr("target.v"), source.v)})
        .whenMatched().delete()
        .whenNotMatched(source.id > 5).insert({"id": source.id, "v": F.lit("new")})
        .whenNotMatchedBySource().update({"v": F.lit("alone")})
        .merge()
    )  # fmt: skip
    assert rows(spark) == [(1, "ax"), (3, "alone"), (9, "new")]


def test_stars_and_schema_evolution(spark: SparkSession, table: str) -> None:
    source = spark.createDataFrame([(1, "x", 5), (9, "z", 6)], "id INT, v STRING, more INT").alias("s")
    merged = source.mergeInto(table, F.expr("target.id = s.id")).whenMatched().updateAll().whenNotMatched().insertAll()
    merged.withSchemaEvolution().merge()
    assert rows(spark) == [(1, "x", 5), (2, "b", None), (3, "c", None), (9, "z", 6)]


def test_without_a_clause(spark: SparkSession, table: str) -> None:
    with pytest.raises(AnalysisException, match="NO_MERGE_ACTION_SPECIFIED"):
        spark.range(1).mergeInto(table, F.lit(True)).merge()


def test_the_counts_come_back_through_sql(spark: SparkSession, table: str) -> None:
    source = spark.createDataFrame([(1, "x"), (9, "z")], "id INT, v STRING")
    (row,) = spark.sql(
        f"MERGE INTO {table} USING {{s}} ON {table}.id = {{s}}.id WHEN MATCHED THEN DELETE "
        "WHEN NOT MATCHED THEN INSERT *",
        s=source,
    ).collect()
    assert row.asDict() == {
        "num_affected_rows": 2, "num_updated_rows": 0, "num_deleted_rows": 1, "num_inserted_rows": 1
    }  # fmt: skip
    assert rows(spark) == [(2, "b"), (3, "c"), (9, "z")]


def test_a_field_of_a_struct_is_assigned(spark: SparkSession) -> None:
    spark.sql("SELECT 1 AS id, struct(1 AS a, 'x' AS b) AS s").write.saveAsTable("nested")
    source = spark.sql("SELECT 1 AS k, 5 AS a")
    source.mergeInto("nested", F.expr("nested.id = k")).whenMatched().update({"s.a": source.a}).merge()
    assert spark.table("nested").select("s.*").collect() == [(5, "x")]
    spark.sql("DROP TABLE nested")
