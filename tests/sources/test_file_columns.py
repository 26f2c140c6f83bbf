"""The hidden column `_metadata` of file reads and `input_file_name()`, through the genuine client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from support.files import put
from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with spark_session() as session:
        yield session


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path / "in" / "a.json", '{"id": 1}\n{"id": 2}\n')
    put(tmp_path / "in" / "b c.json", '{"id": 3}\n')
    return tmp_path


def _read(spark: Any, folder: Path) -> Any:
    return spark.read.schema("id BIGINT").json(str(folder / "in"))


def test_the_column_says_which_file_a_row_is_from(spark: Any, folder: Path) -> None:
    frame = _read(spark, folder).select("*", "_metadata").orderBy("id")
    assert frame.columns == ["id", "_metadata"]
    first, _, last = frame.collect()
    path = folder / "in" / "b c.json"
    assert last["_metadata"]["file_path"] == f"file:{folder}/in/b%20c.json"
    assert last["_metadata"]["file_name"] == "b%20c.json"
    assert last["_metadata"]["file_size"] == last["_metadata"]["file_block_length"] == path.stat().st_size
    assert last["_metadata"]["file_block_start"] == 0
    assert abs(last["_metadata"]["file_modification_time"].timestamp() - path.stat().st_mtime) < 0.01
    assert first["_metadata"]["file_name"] == "a.json"


def test_a_star_does_not_include_it(spark: Any, folder: Path) -> None:
    frame = _read(spark, folder)
    assert frame.columns == ["id"]
    assert frame.select("*").columns == ["id"]
    assert frame.where("_metadata.file_name = 'a.json'").columns == ["id"]
    with pytest.raises(AnalysisException, match="UNRESOLVED_COLUMN"):
        spark.range(1).select("_metadata").collect()


def test_it_can_be_named_wherever_columns_can(spark: Any, folder: Path) -> None:
    frame = _read(spark, folder)
    names = ["a.json", "a.json", "b%20c.json"]
    by_name = F.col("_metadata.file_name")
    found = [
        frame.select(by_name.alias("n")),
        frame.withColumn("n", by_name).select("n"),
        frame.select(frame["_metadata"]["file_name"].alias("n")),
        frame.select(frame.metadataColumn("_metadata").getField("file_name").alias("n")),
        frame.filter("id > 0").limit(10).filter("id < 9").select(by_name.alias("n")),
        frame.alias("x").select(F.col("x._metadata.file_name").alias("n")),
        frame.selectExpr("_metadata.file_name AS n"),
        spark.sql(f"SELECT _metadata.file_name AS n FROM json.`{folder}/in`"),
    ]
    assert [sorted(row.n for row in one.collect()) for one in found] == [names] * len(found)
    counts = frame.groupBy("_metadata.file_name").count().collect()
    assert sorted(tuple(row) for row in counts) == [("a.json", 2), ("b%20c.json", 1)]


def test_views_and_all_formats_have_it(spark: Any, folder: Path) -> None:
    frame = _read(spark, folder)
    frame.createOrReplaceTempView("files_seen")
    assert spark.sql("SELECT DISTINCT _metadata.file_name FROM files_seen").count() == 2
    for kind in ("parquet", "csv"):
        target = str(folder / kind)
        getattr(frame.coalesce(1).write, kind)(target)
        read = spark.read.schema("id BIGINT").format(kind).load(target)
        assert all(row[0].endswith(kind) for row in read.select("_metadata.file_name").collect())
    texts = spark.read.text(str(folder / "in")).select("value", "_metadata.file_size").collect()
    assert {row.file_size for row in texts} == {20, 10}


def test_a_column_of_that_name_in_the_data_comes_first(spark: Any, tmp_path: Path) -> None:
    put(tmp_path / "a.json", '{"_metadata": "mine"}\n')
    assert spark.read.json(str(tmp_path)).select("_metadata").collect()[0][0] == "mine"


def test_the_file_name_function(spark: Any, folder: Path) -> None:
    rows = _read(spark, folder).select("id", F.input_file_name()).orderBy("id").collect()
    assert [row[1] for row in rows] == [f"file://{folder}/in/{name}" for name in ("a.json", "a.json", "b%20c.json")]
    assert spark.range(1).select(F.input_file_name()).collect()[0][0] == ""


@pytest.mark.parametrize("source", ["json", "cloudFiles"])
def test_streams_have_it(spark: Any, folder: Path, source: str) -> None:
    stream = spark.readStream.format(source).schema("id BIGINT").option("cloudFiles.format", "json")
    stream = stream.load(str(folder / "in"))
    assert stream.columns == ["id"]
    chosen = stream.select("*", "_metadata.file_name", F.input_file_name().alias("place"))
    name = f"seen_{source}"
    query = chosen.writeStream.format("memory").queryName(name).option("checkpointLocation", str(folder / "c"))
    query = query.trigger(availableNow=True).start()
    assert query.awaitTermination(60)
    assert sorted(tuple(row)[:2] for row in spark.table(name).collect()) == [
        (1, "a.json"),
        (2, "a.json"),
        (3, "b%20c.json"),
    ]
    counted = stream.groupBy("_metadata.file_name").count().writeStream.format("memory").queryName(f"n_{name}")
    counted = counted.outputMode("complete").trigger(availableNow=True).start()
    assert counted.awaitTermination(60)
    assert sorted(tuple(row) for row in spark.table(f"n_{name}").collect()) == [("a.json", 2), ("b%20c.json", 1)]
