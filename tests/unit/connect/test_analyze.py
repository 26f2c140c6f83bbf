"""Every analysis of a plan, asked through the client's API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark import StorageLevel
from pyspark.errors import ParseException
from pyspark.sql import types as t
from pyspark.sql.connect.session import SparkSession

from headwater.connect.analyze import _ANALYSES
from headwater.connect.proto import pb2
from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


def test_each_analysis_of_the_protocol_is_answered() -> None:
    (oneof,) = [o for o in pb2.AnalyzePlanRequest.DESCRIPTOR.oneofs if o.name == "analyze"]
    assert set(_ANALYSES) == {item.name for item in oneof.fields}


def test_schema_and_its_tree(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    frame = spark.createDataFrame([(1, [2])], "a int, b array<int>")
    assert frame.schema == t.StructType().add("a", t.IntegerType()).add("b", t.ArrayType(t.IntegerType()))
    frame.printSchema(1)
    assert capsys.readouterr().out.startswith("root\n |-- a: integer (nullable = true)\n |-- b: array")


def test_explain_names_the_parts(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    spark.range(3).filter("id > 1").explain(True)
    out = capsys.readouterr().out
    assert "== Parsed Logical Plan ==" in out
    assert "== Physical Plan ==" in out


def test_local_and_streaming(spark: SparkSession) -> None:
    assert spark.createDataFrame([(1,)], "a int").isLocal()
    assert not spark.range(3).isLocal()
    assert not spark.range(3).isStreaming
    assert spark.readStream.format("rate").load().isStreaming


def test_input_files(spark: SparkSession, tmp_path: object) -> None:
    spark.range(3).write.parquet(f"{tmp_path}/p")
    (file,) = spark.read.parquet(f"{tmp_path}/p").inputFiles()
    assert file.startswith("file://")
    assert spark.range(3).inputFiles() == []


def test_versions_types_and_ddl(spark: SparkSession) -> None:
    def parsed(text: str) -> object:
        return spark.client._analyze("ddl_parse", ddl_string=text).parsed

    pair = t.StructType().add("a", t.IntegerType()).add("b", t.StringType())
    assert spark.version.startswith("4.")
    assert parsed("a int, b string") == pair
    assert parsed("array<int>") == t.ArrayType(t.IntegerType())
    assert parsed(pair.json()) == pair
    assert pair.toDDL() == "a INT,b STRING"
    with pytest.raises(ParseException):
        parsed("a b c d")


def test_semantics(spark: SparkSession) -> None:
    frame = spark.range(3)
    assert frame.select("id").sameSemantics(frame.select("id"))
    assert not frame.select("id").sameSemantics(frame.limit(1))
    assert frame.semanticHash() == spark.range(3).semanticHash()


def test_storage_levels_are_remembered(spark: SparkSession) -> None:
    frame = spark.range(7)
    assert frame.storageLevel == StorageLevel.NONE
    frame.persist(StorageLevel.DISK_ONLY)
    assert frame.storageLevel == StorageLevel.DISK_ONLY
    frame.unpersist()
    assert frame.storageLevel == StorageLevel.NONE
