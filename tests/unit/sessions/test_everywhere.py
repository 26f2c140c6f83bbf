"""Everything that is done with a Delta table gives the same on a disk as in S3, through the genuine client.

Each case is a function from a place to what came out of it; it runs once in a folder and once in a bucket, and both
must tell the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql.connect import functions

from headwater.lake import checkpoint
from support.places import Case, Place, Tells, both_places

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

UNCHECKED = "SET spark.databricks.delta.retentionDurationCheck.enabled = false"

CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    """Make it one of the cases."""
    CASES[function.__name__] = function
    return function


@pytest.fixture(scope="module")
def tells() -> Iterator[Tells]:
    with both_places() as both:
        yield both


# ── making tables ───────────────────────────────────────────────────────────────────────────────────────────────


@case
def creating(place: Place) -> list[Any]:
    place.sql("CREATE TABLE {t} (id BIGINT, p STRING) USING delta PARTITIONED BY (p) LOCATION '{at}/t' COMMENT 'c'")
    place.sql("INSERT INTO {t} VALUES (1, 'a b'), (2, 'c/d%'), (3, NULL)")
    first = place.table()
    place.sql("CREATE OR REPLACE TABLE {t} (k INT, v STRING) USING delta LOCATION '{at}/t'")
    empty = place.table()
    place.sql(
        "REPLACE TABLE {t} USING delta PARTITIONED BY (p) LOCATION '{at}/t' AS SELECT id, id % 2 AS p FROM range(5)"
    )
    versions = place.sql("SELECT count(*) FROM {t} VERSION AS OF 1")
    return [first, empty, place.table(), versions, place.sql("SHOW PARTITIONS {t}")]


@case
def creating_from_a_query(place: Place) -> list[Any]:
    place.sql(
        "CREATE TABLE {t} USING delta PARTITIONED BY (p) LOCATION '{at}/t' AS SELECT id, id % 3 AS p FROM range(9)"
    )
    place.sql("CREATE TABLE {t}_c USING delta CLUSTER BY (id) LOCATION '{at}/c' AS SELECT id, 'x' AS v FROM range(9)")
    place.sql("CREATE TABLE {t}_l LIKE {t} LOCATION '{at}/l'")
    told = [place.detail(name) for name in ("t", "c", "l")]
    return [place.table(), place.table("c"), place.table("l"), told]


@case
def tables_without_a_name(place: Place) -> list[Any]:
    place.sql("CREATE TABLE delta.`{at}/t` (id BIGINT, p INT) USING delta PARTITIONED BY (p)")
    place.sql("CREATE TABLE IF NOT EXISTS delta.`{at}/t` (other INT) USING delta")
    place.sql("INSERT INTO delta.`{at}/t` VALUES (1, 1)")
    place.sql("CREATE OR REPLACE TABLE delta.`{at}/u` USING delta AS SELECT id FROM range(3)")
    place.sql("CREATE OR REPLACE TABLE delta.`{at}/u` USING delta AS SELECT id + 7 AS id FROM range(2)")
    return [place.table(), place.table("u"), place.history("u")]


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────


@case
def inserting(place: Place) -> list[Any]:
    place.sql("CREATE TABLE {t} (id BIGINT, v STRING, p INT) USING delta PARTITIONED BY (p) LOCATION '{at}/t'")
    place.sql("INSERT INTO {t} (p, id) VALUES (1, 1), (2, 2), (3, 3)")
    place.sql("INSERT INTO {t} PARTITION (p = 1) SELECT 4, 'four'")
    place.sql("INSERT OVERWRITE {t} PARTITION (p = 2) VALUES (20, 'x')")
    first = place.table()
    place.sql("INSERT INTO {t} REPLACE WHERE p = 3 SELECT 30, 'y', 3")
    place.sql("INSERT INTO {t} BY NAME REPLACE USING (id) SELECT 4 AS id, 'new' AS v, 1 AS p")
    place.sql("SET spark.sql.sources.partitionOverwriteMode = dynamic")
    place.sql("INSERT OVERWRITE {t} VALUES (100, 'd', 1)")
    place.sql("SET spark.sql.sources.partitionOverwriteMode = static")
    then = place.table()
    place.sql("INSERT OVERWRITE {t} SELECT id, 'all', 9 FROM range(3)")
    return [first, then, place.table(), place.history()]


@case
def writing_frames(place: Place) -> list[Any]:
    frame = place.spark.range(10).selectExpr("id", "id % 2 AS p")
    frame.write.format("delta").partitionBy("p").save(place.path("t"))
    frame.limit(2).write.format("delta").mode("append").save(place.path("t"))
    one = place.spark.sql("SELECT 77 AS id, 1 AS p, 'new' AS more")
    one.write.format("delta").mode("append").option("mergeSchema", "true").save(place.path("t"))
    first = place.table()
    part = one.where("p = 1").write.format("delta").mode("overwrite").option("replaceWhere", "p = 1")
    part.save(place.path("t"))
    frame.write.option("path", place.path("named")).saveAsTable(place.name)
    frame.writeTo(f"{place.name}_v2").using("delta").tableProperty("location", place.path("v2")).create()
    frame.where("p = 0").writeTo(place.name).overwrite(functions.col("p") == 0)
    return [first, place.table(), place.sql("SELECT * FROM {t}"), place.sql("SELECT * FROM {t}_v2")]


@case
def changing(place: Place) -> list[Any]:
    place.sql(
        "CREATE TABLE {t} USING delta PARTITIONED BY (p) LOCATION '{at}/t' AS "
        "SELECT id, 'v' AS v, id % 3 AS p FROM range(30)"
    )
    told = [place.sql("UPDATE {t} SET v = concat(v, id) WHERE id % 4 = 0")]
    told += [place.sql("DELETE FROM {t} WHERE p = 1"), place.sql("DELETE FROM {t} WHERE id = 8")]
    told.append(
        place.sql(
            "MERGE INTO {t} t USING (SELECT explode(array(0, 2, 3, 99)) AS id) s ON t.id = s.id "
            "WHEN MATCHED AND s.id = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'm' "
            "WHEN NOT MATCHED THEN INSERT (id, v, p) VALUES (s.id, 'n', 5) "
            "WHEN NOT MATCHED BY SOURCE AND t.id > 25 THEN DELETE"
        )
    )
    place.sql(
        "MERGE WITH SCHEMA EVOLUTION INTO {t} t USING (SELECT 0 AS id, 'e' AS v, 0 AS p, struct(1 AS a) AS s) s "
        "ON t.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
    return [*told, place.table(), place.history()]


@case
def copying(place: Place) -> list[Any]:
    place.sql("CREATE TABLE {t} (id BIGINT, v STRING) USING delta LOCATION '{at}/t'")
    copy = "COPY INTO {t} FROM '{at}/in' FILEFORMAT = JSON"
    told = []
    for number in range(2):
        rows = place.spark.sql(f"SELECT {number} AS id, 'r' AS v")
        rows.coalesce(1).write.mode("append").json(place.path("in"))
        told += [place.sql(copy), place.sql(copy)]
    place.sql(
        "COPY INTO {t} FROM (SELECT id + 10 AS id, v FROM '{at}/in') FILEFORMAT = JSON COPY_OPTIONS ('force' = 'true')"
    )
    return [*told, place.table()]


@case
def rules(place: Place) -> list[Any]:
    place.sql(
        "CREATE TABLE {t} (k BIGINT GENERATED ALWAYS AS IDENTITY, id BIGINT NOT NULL, v STRING DEFAULT 'd', "
        "twice BIGINT GENERATED ALWAYS AS (id * 2)) USING delta LOCATION '{at}/t' "
        "TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')"
    )
    place.sql("INSERT INTO {t} (id) VALUES (5), (6)")
    place.sql("ALTER TABLE {t} ADD CONSTRAINT positive CHECK (id > 0)")
    refused = [
        place.refused("INSERT INTO {t} (id) VALUES (-1)"), place.refused("INSERT INTO {t} (v) VALUES ('x')")
    ]  # fmt: skip
    place.sql("ALTER TABLE {t} DROP CONSTRAINT positive")
    place.sql("INSERT INTO {t} (id, v) VALUES (-1, DEFAULT)")
    return [refused, place.table(), place.sql("SHOW TBLPROPERTIES {t}")]


# ── the definition ──────────────────────────────────────────────────────────────────────────────────────────────


@case
def altering(place: Place) -> list[Any]:
    place.sql(
        "CREATE TABLE {t} (id INT, s STRUCT<a: INT, b: INT>, p INT) USING delta PARTITIONED BY (p) LOCATION '{at}/t'"
    )
    place.sql("INSERT INTO {t} VALUES (1, struct(1, 2), 1), (2, NULL, 2)")
    for change in (
        "SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableTypeWidening' = 'true')",
        "RENAME COLUMN id TO `the key`",
        "RENAME COLUMN p TO part",
        "DROP COLUMN s.a",
        "ALTER COLUMN `the key` TYPE BIGINT",
        "ADD COLUMNS (more STRING AFTER `the key`, s.c STRING)",
        "ALTER COLUMN more COMMENT 'words'",
    ):
        place.sql(f"ALTER TABLE {{t}} {change}")
    place.sql("INSERT INTO {t} VALUES (3000000000, 'm', struct(4, 'c'), 1)")
    place.sql("UPDATE {t} SET more = 'u' WHERE part = 1")
    rows = place.sql("SELECT * FROM {t} WHERE `the key` > 0")
    place.sql("ALTER TABLE {t} DROP COLUMNS (more)")
    return [rows, place.sql("SELECT * FROM {t}"), place.sql("DESCRIBE TABLE {t}"), place.history()]


# ── upkeep ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _small_files(place: Place, count: int = 5) -> None:
    place.sql("CREATE TABLE {t} (id BIGINT, v STRING) USING delta LOCATION '{at}/t'")
    for number in range(count):
        place.sql(f"INSERT INTO {{t}} SELECT id + {number * 10}, 'v' FROM range(10)")


@case
def optimizing(place: Place) -> list[Any]:
    _small_files(place)
    (done,) = place.spark.sql(f"OPTIMIZE {place.name}").collect()
    (sorted_,) = place.spark.sql(f"OPTIMIZE {place.name} ZORDER BY (id)").collect()
    counts = [(one.metrics.numFilesAdded, one.metrics.numFilesRemoved) for one in (done, sorted_)]
    return [counts, place.plain(done.path), place.table(), place.history()]


@case
def vacuuming(place: Place) -> list[Any]:
    _small_files(place, 3)
    place.sql("OPTIMIZE {t}")
    place.sql(UNCHECKED)
    would = len(place.sql("VACUUM {t} RETAIN 0 HOURS DRY RUN"))
    before = len(place.data())
    told = place.sql("VACUUM {t} RETAIN 0 HOURS")
    place.sql("UPDATE {t} SET v = 'u'")
    lite = len(place.sql("VACUUM {t} LITE RETAIN 0 HOURS DRY RUN"))
    place.sql("VACUUM {t} LITE RETAIN 0 HOURS")
    return [would, before, told, lite, len(place.data()), place.table(), place.history()]


@case
def purging(place: Place) -> list[Any]:
    _small_files(place, 2)
    place.sql("DELETE FROM {t} WHERE id < 3")
    (done,) = place.spark.sql(f"REORG TABLE {place.name} APPLY (PURGE)").collect()
    return [done.metrics.numFilesRemoved, place.table()]


@case
def repairing(place: Place) -> list[Any]:
    _small_files(place, 3)
    place.sql("GENERATE symlink_format_manifest FOR TABLE {t}")
    manifest = place.text("t/_symlink_format_manifest/manifest")
    lost = place.data()[0]
    place.remove(f"t/{lost}")
    would, done = place.sql("FSCK REPAIR TABLE {t} DRY RUN"), place.sql("FSCK REPAIR TABLE {t}")
    left = len(place.table())
    return [len(manifest.splitlines()), place.uri in manifest, len(would), len(done), left]


@case
def restoring(place: Place) -> list[Any]:
    _small_files(place, 3)
    place.sql("DELETE FROM {t} WHERE id < 15")
    told = place.sql("RESTORE TABLE {t} TO VERSION AS OF 2")
    return [told[0][1:5], place.table(), place.history()]


@case
def travelling(place: Place) -> list[Any]:
    _small_files(place, 3)
    moment = place.spark.sql(f"DESCRIBE HISTORY {place.name}").where("version = 2").first().timestamp
    return [
        place.sql("SELECT * FROM {t} VERSION AS OF 1"),
        place.sql(f"SELECT count(*) FROM {{t}} TIMESTAMP AS OF '{moment}'"),
        place.sql("SELECT count(*) FROM delta.`{at}/t@v2`"),
        place.frame(place.spark.read.format("delta").option("versionAsOf", 1).load(place.path("t"))),
        place.frame(place.spark.read.format("delta").option("timestampAsOf", str(moment)).load(place.path("t"))),
        place.refused("SELECT * FROM {t} VERSION AS OF 9"),
        place.detail(),
    ]


@case
def converting_and_cloning(place: Place) -> list[Any]:
    frame = place.spark.sql("SELECT id, id % 2 AS day FROM range(6)")
    frame.write.partitionBy("day").parquet(place.path("t"))
    place.sql("CONVERT TO DELTA parquet.`{at}/t` PARTITIONED BY (day INT)")
    place.sql("CREATE TABLE {t} SHALLOW CLONE delta.`{at}/t` LOCATION '{at}/twin'")
    place.sql("INSERT INTO {t} VALUES (100, 1)")
    place.sql("DELETE FROM {t} WHERE id = 0")
    place.sql("CREATE TABLE delta.`{at}/old` SHALLOW CLONE delta.`{at}/t` VERSION AS OF 0")
    return [place.table(), place.table("twin"), place.sql("SELECT * FROM delta.`{at}/old`"), place.history()]


@case
def checkpoints(place: Place) -> list[Any]:
    place.sql(
        "CREATE TABLE {t} (id BIGINT) USING delta LOCATION '{at}/t' TBLPROPERTIES ('delta.checkpointInterval' = '3')"
    )
    for number in range(5):
        place.sql(f"INSERT INTO {{t}} VALUES ({number})")
        checkpoint.wait(place.path("t"))
    named = [one for one in place.files("t/_delta_log") if "checkpoint" in one]
    return [named, place.table()]


@case
def the_builder(place: Place) -> list[Any]:
    from delta.tables import DeltaTable

    made = DeltaTable.create(place.spark).location(place.path("t")).addColumn("id", "BIGINT").addColumn("v", "STRING")
    table = made.execute()
    updates = place.spark.sql("SELECT id, 'new' AS v FROM range(4)").alias("s")
    table.alias("t").merge(updates, "t.id = s.id").whenNotMatchedInsertAll().execute()
    table.update("id = 2", {"v": "'two'"})
    table.delete("id = 3")
    table.optimize().executeCompaction()
    table.restoreToVersion(2)
    table.clone(place.path("twin"), isShallow=True)
    return [place.table(), place.history(), DeltaTable.isDeltaTable(place.spark, place.path("twin"))]


# ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────────


@case
def changes(place: Place) -> list[Any]:
    place.sql(
        "CREATE TABLE {t} (id BIGINT, v STRING) USING delta LOCATION '{at}/t' "
        "TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')"
    )
    place.sql("INSERT INTO {t} SELECT id, 'a' FROM range(4)")
    place.sql("UPDATE {t} SET v = 'b' WHERE id = 1")
    place.sql("DELETE FROM {t} WHERE id = 2")
    columns = "id, v, _change_type, _commit_version"
    by_sql = place.sql(f"SELECT {columns} FROM table_changes('{{t}}', 1, 2)")
    by_path = place.sql(f"SELECT {columns} FROM table_changes_by_path('{{at}}/t', 2)")
    stream = place.spark.readStream.format("delta").option("readChangeFeed", "true").option("startingVersion", 1)
    feed = stream.option("maxFilesPerTrigger", 1).load(place.path("t")).drop("_commit_timestamp")
    ended = [place.run(feed, "copy")]
    place.sql("INSERT INTO {t} VALUES (9, 'z')")
    ended.append(place.run(feed, "copy"))
    return [by_sql, by_path, ended, place.table("copy")]


@case
def tracked_schema(place: Place) -> list[Any]:
    place.sql(
        "CREATE TABLE {t} (id BIGINT, v STRING) USING delta LOCATION '{at}/t' "
        "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
    )
    place.sql("INSERT INTO {t} VALUES (1, 'a')")
    tracking = place.path("checkpoints/copy/schema")
    reader = place.spark.readStream.format("delta").option("schemaTrackingLocation", tracking)
    reader = reader.option("allowSourceColumnRename", "always").option("allowSourceColumnDrop", "always")
    ended = [place.run(reader.load(place.path("t")), "copy", mergeSchema="true") for _ in range(2)]
    place.sql("ALTER TABLE {t} RENAME COLUMN v TO w")
    place.sql("INSERT INTO {t} VALUES (2, 'b')")
    for _ in range(3):
        ended.append(place.run(reader.load(place.path("t")), "copy", mergeSchema="true"))
    return [ended, place.table("copy")]


@case
def compacting_between_batches(place: Place) -> list[Any]:
    _small_files(place, 6)
    for name, value in (("enabled", "true"), ("minNumFiles", "3")):
        place.sql(f"SET spark.databricks.delta.autoCompact.{name} = {value}")
    stream = place.spark.readStream.format("delta").option("maxFilesPerTrigger", 1).load(place.path("t"))
    ended = place.run(stream, "copy", optimizeWrite="true")
    operations = [row[1] for row in place.history("copy")]
    return [ended, operations, place.table("copy")]


@case
def merging_in_a_stream(place: Place) -> list[Any]:
    place.sql("CREATE TABLE {t} (id BIGINT, n BIGINT) USING delta LOCATION '{at}/t'")
    for number in range(3):
        rows = place.spark.sql(f"SELECT id + {number} AS id FROM range(4)")
        rows.coalesce(1).write.mode("append").json(place.path("in"))
    name = place.name

    def upsert(batch: DataFrame, _: int) -> None:
        batch.createOrReplaceTempView("batch")
        batch.sparkSession.sql(
            f"MERGE INTO {name} t USING batch s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = n + 1 "
            "WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, 1)"
        )

    stream = place.spark.readStream.schema("id BIGINT").option("maxFilesPerTrigger", 1).json(place.path("in"))
    writer = stream.writeStream.foreachBatch(upsert).option("checkpointLocation", place.path("checkpoints/merge"))
    writer.trigger(availableNow=True).start().awaitTermination()
    return [place.table()]


@case
def totals(place: Place) -> list[Any]:
    _small_files(place, 3)
    stream = place.spark.readStream.format("delta").option("maxFilesPerTrigger", 1).load(place.path("t"))
    counts = stream.groupBy((stream.id % 3).alias("k")).count()
    writer = counts.writeStream.format("delta").outputMode("complete").trigger(availableNow=True)
    writer = writer.option("checkpointLocation", place.path("checkpoints/totals"))
    writer.option("path", place.path("totals")).toTable(f"{place.name}_totals").awaitTermination()
    return [place.table("totals")]


@pytest.mark.parametrize("name", CASES)
def test_it_gives_the_same_on_a_disk_and_in_s3(name: str, tells: Tells, tmp_path: Path) -> None:
    disk, s3 = tells(CASES[name], tmp_path)
    assert s3 == disk
