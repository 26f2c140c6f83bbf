"""`spark.sql`: queries, commands, parameters, DataFrames in the text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql.connect.session import SparkSession

from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


def test_a_query_runs_when_it_is_asked_for(spark: SparkSession) -> None:
    frame = spark.sql("SELECT 1 / x AS y FROM VALUES (0) AS t(x)")
    assert frame.columns == ["y"]


def test_a_command_runs_at_once_and_once(spark: SparkSession) -> None:
    spark.sql("CREATE TABLE once (id INT) USING delta")
    insert = spark.sql("INSERT INTO once VALUES (1)")
    insert.collect()
    insert.collect()
    assert spark.table("once").count() == 1


def test_a_commands_result_can_be_shown(spark: SparkSession) -> None:
    spark.range(1).createOrReplaceTempView("shown")
    frame = spark.sql("SHOW TABLES")
    assert ("shown", True) in [(row.tableName, row.isTemporary) for row in frame.collect()]
    assert frame.columns == ["namespace", "tableName", "isTemporary"]


def test_parameters_are_bound(spark: SparkSession) -> None:
    assert spark.sql("SELECT :a + :b AS c", args={"a": 1, "b": 2}).collect()[0].c == 3
    assert spark.sql("SELECT ? AS c", args=["it's"]).collect()[0].c == "it's"


def test_dataframes_can_stand_in_the_text(spark: SparkSession) -> None:
    assert spark.sql("SELECT sum(id) AS s FROM {frame}", frame=spark.range(4)).collect()[0].s == 6


def test_a_failing_command_fails_at_once(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException):
        spark.sql("DROP TABLE no_such_table")
