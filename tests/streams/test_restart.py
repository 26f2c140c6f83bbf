"""A query that starts itself again, as the genuine client sees it: Auto Loader's schema grows without a hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from headwater.testing import session


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with session() as opened:
        yield opened


def land(folder: Path, number: int, row: dict[str, object]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{number}.json").write_text(json.dumps(row) + "\n")


@pytest.fixture
def restarting(spark: SparkSession) -> Iterator[None]:
    spark.conf.set("headwater.query.restart.maxAttempts", "3")
    yield
    spark.conf.unset("headwater.query.restart.maxAttempts")


@pytest.mark.usefixtures("restarting")
def test_auto_loader_goes_on_with_new_columns(spark: SparkSession, tmp_path: Path) -> None:
    landing, table, checkpoint = tmp_path / "in", str(tmp_path / "bronze"), str(tmp_path / "checkpoint")
    land(landing, 1, {"id": 1})
    rows = (
        spark.readStream.format("cloudFiles")
        .options(**{"cloudFiles.format": "json", "cloudFiles.schemaLocation": checkpoint})
        .load(str(landing))
    )
    writer = rows.drop("_rescued_data").writeStream.option("checkpointLocation", checkpoint)
    query = writer.option("mergeSchema", "true").start(table, format="delta")
    query.processAllAvailable()
    land(landing, 2, {"id": 2, "name": "b"})
    query.processAllAvailable()
    land(landing, 3, {"id": 3, "name": "c", "size": 7})
    query.processAllAvailable()
    found = spark.read.format("delta").load(table).orderBy("id").collect()
    assert [row.asDict() for row in found] == [
        {"id": "1", "name": None, "size": None},
        {"id": "2", "name": "b", "size": None},
        {"id": "3", "name": "c", "size": "7"},
    ]
    assert query.isActive
    assert query.lastProgress is not None
    query.stop()


@pytest.mark.usefixtures("restarting")
def test_a_failing_function_is_not_called_again(spark: SparkSession, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    land(tmp_path / "in", 1, {"id": 1})

    def fail(_: object, number: int) -> None:
        with calls.open("a") as file:
            file.write(f"{number}\n")
        raise ValueError("no such thing")

    rows = spark.readStream.schema("id INT").json(str(tmp_path / "in"))
    query = rows.writeStream.foreachBatch(fail).option("checkpointLocation", str(tmp_path / "c")).start()
    with pytest.raises(PySparkException, match="no such thing"):
        query.processAllAvailable()
    assert calls.read_text() == "0\n"


@pytest.mark.usefixtures("restarting")
def test_a_lost_race_for_a_table_is(spark: SparkSession, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    land(tmp_path / "in", 1, {"id": 1})

    def race(_: object, number: int) -> None:
        with calls.open("a") as file:
            file.write(f"{number}\n")
        if calls.read_text() == "0\n":
            raise RuntimeError("[DELTA_CONCURRENT_APPEND.WITHOUT_HINT] Files were added")

    rows = spark.readStream.schema("id INT").json(str(tmp_path / "in"))
    query = rows.writeStream.foreachBatch(race).option("checkpointLocation", str(tmp_path / "c")).start()
    query.processAllAvailable()
    assert calls.read_text() == "0\n0\n"
    query.stop()
