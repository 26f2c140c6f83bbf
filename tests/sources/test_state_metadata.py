"""Which operators a checkpoint has, through a genuine client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql.connect.session import SparkSession

from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


def test_a_row_per_store(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(2):
        (tmp_path / "in" / f"{number}.json").write_text('{"k": 1}')
    stream = spark.readStream.schema("k int").option("maxFilesPerTrigger", 1).json(str(tmp_path / "in"))
    writer = stream.dropDuplicates().groupBy("k").count().writeStream.format("noop").outputMode("update")
    writer = writer.option("checkpointLocation", str(tmp_path / "ck")).trigger(availableNow=True)
    writer.start().awaitTermination()

    found = spark.read.format("state-metadata").load(str(tmp_path / "ck"))

    assert found.columns == [
        "operatorId", "operatorName", "stateStoreName", "numPartitions", "minBatchId", "maxBatchId",
        "operatorProperties",
    ]  # fmt: skip
    assert [tuple(row) for row in found.orderBy("operatorId").collect()] == [
        (0, "stateStoreSave", "default", 1, 0, 1, None),
        (1, "dedupe", "default", 1, 0, 1, None),
    ]
    assert found.select("_numColsPrefixKey").distinct().collect() == [(0,)]


def test_no_checkpoint_is_no_rows_and_no_path_an_error(spark: SparkSession, tmp_path: Path) -> None:
    assert spark.read.format("state-metadata").load(str(tmp_path / "nowhere")).collect() == []
    with pytest.raises(PySparkException, match=r"STDS_REQUIRED_OPTION_UNSPECIFIED.*'path'"):
        spark.read.format("state-metadata").load().collect()
