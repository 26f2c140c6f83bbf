"""The genuine `delta.tables.DeltaTable` over Spark Connect: the builder, and the methods that give no rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from delta.tables import DeltaTable, IdentityGenerator
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
    with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
        DeltaTable.replace(spark).tableName("again").addColumn("id", "INT").execute()
    DeltaTable.createOrReplace(spark).tableName("again").addColumn("id", "INT").execute()
    spark.sql("INSERT INTO again VALUES (1)")
    made = DeltaTable.replace(spark).tableName("again").addColumn("name", "STRING").execute()
    assert (made.toDF().columns, made.toDF().count()) == (["name"], 0)
    DeltaTable.createOrReplace(spark).tableName("again").addColumn("more", "STRING").execute()
    assert made.toDF().columns == ["more"]
    assert operations(made) == ["CREATE OR REPLACE TABLE", "REPLACE TABLE", "WRITE", "CREATE TABLE"]


def test_a_table_with_a_name_and_a_location(spark: SparkSession, tmp_path: Path) -> None:
    place = str(tmp_path / "both")
    made = DeltaTable.create(spark).tableName("both").location(place).addColumn("id", "INT").execute()
    assert made.detail().first().location == f"file:{place}"
    assert DeltaTable.isDeltaTable(spark, place)


def test_a_table_with_a_location_only(spark: SparkSession, tmp_path: Path) -> None:
    place = str(tmp_path / "no name")
    with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
        DeltaTable.replace(spark).location(place).addColumn("id", "INT").execute()
    made = DeltaTable.create(spark).location(place).addColumn("id", "INT").comment("by path").execute()
    made.merge(spark.sql("SELECT 1 AS id"), "false").whenNotMatchedInsertAll().execute()
    with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
        DeltaTable.create(spark).location(place).addColumn("id", "INT").execute()
    DeltaTable.createIfNotExists(spark).location(place).addColumn("other", "INT").execute()
    assert (made.toDF().collect(), made.detail().first().description) == ([(1,)], "by path")
    DeltaTable.replace(spark).tableName(f"delta.`{place}`").addColumn("v", "STRING").execute()
    with pytest.raises(AnalysisException, match="DELTA_CREATE_TABLE_SCHEME_MISMATCH"):  # as in Delta
        DeltaTable.createOrReplace(spark).location(place).addColumn("w", "STRING").execute()
    DeltaTable.replace(spark).location(place).addColumn("w", "STRING").partitionedBy("w").addColumn(
        "x", "INT"
    ).execute()
    assert (made.toDF().columns, made.toDF().count()) == (["w", "x"], 0)
    assert operations(made) == ["REPLACE TABLE", "REPLACE TABLE", "MERGE", "CREATE TABLE"]
    with pytest.raises(AnalysisException, match="DELTA_CREATE_TABLE_IDENTIFIER_LOCATION_MISMATCH"):
        DeltaTable.create(spark).tableName(f"delta.`{place}`").location("/other").addColumn("id", "INT").execute()


def test_without_a_name_and_a_location(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException, match="DELTA_CREATE_TABLE_MISSING_TABLE_NAME_OR_LOCATION"):
        DeltaTable.create(spark).addColumn("id", "INT").execute()


def test_generate_names_its_modes(spark: SparkSession) -> None:
    table = DeltaTable.createIfNotExists(spark).tableName("listed").addColumn("id", "INT").execute()
    with pytest.raises(PySparkException, match=r"'nope' is not supported\. Supported modes are: symlink"):
        table.generate("nope")
    table.generate("symlink_format_manifest")
    assert "symlink" not in operations(table)[0]


def test_a_feature_is_dropped(spark: SparkSession) -> None:
    table = DeltaTable.createIfNotExists(spark).tableName("dropped").addColumn("id", "INT").execute()
    with pytest.raises(PySparkException, match="DELTA_FEATURE_DROP_FEATURE_NOT_PRESENT"):
        table.dropFeatureSupport("timestampNtz")
    table.addFeatureSupport("checkConstraints")
    table.dropFeatureSupport("checkConstraints")
    assert operations(table)[0] == "DROP FEATURE"


def test_protocol_and_features(spark: SparkSession) -> None:
    table = DeltaTable.create(spark).tableName("raised").addColumn("id", "INT").execute()
    table.upgradeTableProtocol(1, 3)
    assert table.detail().first().minWriterVersion == 3
    table.addFeatureSupport("timestampNtz")
    (detail,) = table.detail().collect()
    assert (detail.minReaderVersion, detail.minWriterVersion) == (3, 7)
    assert "timestampNtz" in detail.tableFeatures
    assert operations(table)[:2] == ["SET TBLPROPERTIES", "SET TBLPROPERTIES"]
    with pytest.raises(PySparkException, match="nobody"):
        table.addFeatureSupport("nobody")


def test_vacuum_restore_and_clone(spark: SparkSession, tmp_path: Path) -> None:
    table = DeltaTable.create(spark).tableName("kept").addColumn("id", "INT").execute()
    spark.sql("INSERT INTO kept VALUES (1), (2)")
    table.delete("id = 1")
    table.vacuum()
    with pytest.raises(PySparkException, match="DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT"):
        table.vacuum(0.5)
    assert operations(table)[:2] == ["VACUUM END", "VACUUM START"]
    assert table.restoreToVersion(1).first().num_restored_files == 1
    assert sorted(row.id for row in table.toDF().collect()) == [1, 2]
    clone = table.clone("cloned", isShallow=True, properties={"made": "here"})
    assert (clone.toDF().count(), clone.detail().first().properties["made"]) == (2, "here")
    assert table.cloneAtVersion(2, f"delta.`{tmp_path}/c`", isShallow=True).toDF().collect() == [(2,)]
    time = table.history().where("version = 2").first().timestamp
    assert table.cloneAtTimestamp(str(time), f"{tmp_path}/d.e", isShallow=True).toDF().collect() == [(2,)]
    assert table.restoreToTimestamp(str(time)).count() == 1
    assert table.toDF().collect() == [(2,)]
    with pytest.raises(PySparkException, match="DELTA_MISSING_DELTA_TABLE"):
        DeltaTable.forPath(spark, str(tmp_path)).clone("nothing", isShallow=True)


def test_optimize_compacts_and_orders(spark: SparkSession) -> None:
    table = (
        DeltaTable.create(spark).tableName("small").addColumn("id", "INT").addColumn("day", "STRING")
        .partitionedBy("day").execute()
    )  # fmt: skip
    for day in ("x", "x", "y", "y"):
        spark.sql(f"INSERT INTO small VALUES (1, '{day}')")
    told = table.optimize().where("day >= 'x'").where("day = 'x'").executeCompaction().first()
    assert (told.metrics.numFilesAdded, told.metrics.numFilesRemoved) == (1, 2)
    assert table.detail().first().numFiles == 3
    table.optimize().executeZOrderBy("id")
    assert (table.detail().first().numFiles, table.toDF().count()) == (2, 4)
    assert operations(table)[:2] == ["OPTIMIZE", "OPTIMIZE"]


def test_convert_to_delta(spark: SparkSession, tmp_path: Path) -> None:
    place = str(tmp_path / "files")
    spark.range(3).selectExpr("id", "id % 2 AS part").write.partitionBy("part").parquet(place)
    table = DeltaTable.convertToDelta(spark, f"parquet.`{place}`", "part BIGINT")
    assert sorted(row.id for row in table.toDF().collect()) == [0, 1, 2]
    assert operations(table) == ["CONVERT"]
    other = str(tmp_path / "others")
    spark.range(3).selectExpr("id", "id % 2 AS part").write.partitionBy("part").parquet(other)
    by = StructType().add("part", LongType())
    assert DeltaTable.convertToDelta(spark, f"parquet.`{other}`", by).detail().first().partitionColumns == ["part"]


def test_generated_columns_with_a_name_and_without(spark: SparkSession, tmp_path: Path) -> None:
    builder = DeltaTable.create(spark).tableName("computed").addColumn("id", "INT")
    table = builder.addColumn("twice", "INT", generatedAlwaysAs="id * 2").execute()
    table.merge(spark.sql("SELECT 4 AS id"), "false").whenNotMatchedInsert(values={"id": "4"}).execute()
    assert table.toDF().collect() == [(4, 8)]
    unnamed = DeltaTable.create(spark).location(f"{tmp_path}/g").addColumn("id", "INT")
    table = unnamed.addColumn("twice", "INT", generatedAlwaysAs="id * 2").execute()
    table.merge(spark.sql("SELECT 4 AS id"), "false").whenNotMatchedInsert(values={"id": "5"}).execute()
    assert table.toDF().collect() == [(5, 10)]


def test_the_builder_makes_identity_and_clustering_columns(spark: SparkSession, tmp_path: Path) -> None:
    builder = DeltaTable.create(spark).location(f"{tmp_path}/n").addColumn("v", "INT").clusterBy("v")
    builder = builder.addColumn("n", "BIGINT", generatedAlwaysAs=IdentityGenerator(5, 2))
    table = builder.addColumn("m", "BIGINT", generatedByDefaultAs=IdentityGenerator()).execute()
    spark.sql("SELECT 1 AS v UNION ALL SELECT 2").write.format("delta").mode("append").save(f"{tmp_path}/n")
    assert sorted(table.toDF().select("n", "m").collect()) == [(5, 1), (7, 2)]
    assert table.detail().first().clusteringColumns == ["v"]
