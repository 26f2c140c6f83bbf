"""The genuine `delta.tables.DeltaTable` over Spark Connect: the builder, and the methods that give no rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.types import LongType, StringType, StructType

from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


def operations(table: DeltaTable) -> list[str]:
    return [row.operation for row in table.history().collect()]


def test_create(spark: SparkSession) -> None:
    made = (
        DeltaTable.create(spark)
        .tableName("made")
        .addColumn("id", "INT", nullable=False, comment="the key")
        .addColumns(StructType().add("v", StringType()).add("day", LongType()))
        .partitionedBy("day")
        .property("owner", "me")
        .comment("made here")
        .execute()
    )
    assert [(f.name, f.dataType.simpleString(), f.nullable) for f in made.toDF().schema] == [
        ("id", "int", False), ("v", "string", True), ("day", "bigint", True)
    ]  # fmt: skip
    (detail,) = made.detail().collect()
    assert (detail.description, detail.partitionColumns, detail.properties["owner"]) == ("made here", ["day"], "me")
    assert spark.sql("DESCRIBE made").first().comment == "the key"
    assert operations(made) == ["CREATE TABLE"]
    with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
        DeltaTable.create(spark).tableName("made").addColumn("id", "INT").execute()
    kept = DeltaTable.createIfNotExists(spark).tableName("made").addColumn("other", "INT").execute()
    assert kept.toDF().columns == ["id", "v", "day"]


def test_replace(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException, match="DELTA_CANNOT_REPLACE_MISSING_TABLE"):
        DeltaTable.replace(spark).tableName("again").addColumn("id", "INT").execute()
    DeltaTable.createOrReplace(spark).tableName("again").addColumn("id", "INT").execute()
    spark.sql("INSERT INTO again VALUES (1)")
    made = DeltaTable.replace(spark).tableName("again").addColumn("name", "STRING").execute()
    assert (made.toDF().columns, made.toDF().count()) == (["name"], 0)
    DeltaTable.createOrReplace(spark).tableName("again").addColumn("more", "STRING").execute()
    assert made.toDF().columns == ["more"]
    assert len(operations(made)) == 4


def test_a_table_with_a_name_and_a_location(spark: SparkSession, tmp_path: Path) -> None:
    place = str(tmp_path / "both")
    made = DeltaTable.create(spark).tableName("both").location(place).addColumn("id", "INT").execute()
    assert made.detail().first().location == f"file:{place}"
    assert DeltaTable.isDeltaTable(spark, place)


def test_without_a_name_and_a_location(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException, match="DELTA_CREATE_TABLE_MISSING_TABLE_NAME_OR_LOCATION"):
        DeltaTable.create(spark).addColumn("id", "INT").execute()


def test_generate_names_its_modes(spark: SparkSession) -> None:
    table = DeltaTable.createIfNotExists(spark).tableName("listed").addColumn("id", "INT").execute()
    with pytest.raises(PySparkException, match=r"'nope' is not supported\. Supported modes are: 'symlink"):
        table.generate("nope")
    with pytest.raises(PySparkException, match=r"UNSUPPORTED_FEATURE.*DeltaTable.generate"):
        table.generate("symlink_format_manifest")
