"""More of what is done with a Delta table, on a disk and in S3: features dropped, others' tables, streams' options.

The cases are as in `test_everywhere`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.connect import functions

from headwater.lake import checkpoint
from support.places import Case, Place, Tells, both_places

CASES: dict[str, Case] = {}
TABLES = Path(__file__).resolve().parents[2] / "data" / "delta_acceptance"


def case(function: Case) -> Case:
    """Make it one of the cases."""
    CASES[function.__name__] = function
    return function


@pytest.fixture(scope="module")
def tells() -> Iterator[Tells]:
    with both_places() as both:
        yield both


def kept(place: Place) -> tuple[Any, ...]:
    """Rows, history and definition: nothing of them may depend on the place."""
    return place.table(), place.history(), place.detail()


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────


@case
def replacing_what_matches(place: Place) -> list[Any]:
    place.sql("CREATE TABLE {t} (id INT, v STRING, p INT) USING delta PARTITIONED BY (p) LOCATION '{at}/t'")
    place.sql("INSERT INTO {t} VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 2), (4, 'd', NULL)")
    place.sql("INSERT INTO {t} AS t REPLACE ON t.p <=> s.p (SELECT 20 AS id, 'new' AS v, 2 AS p) AS s")
    first = place.table()
    place.sql("INSERT INTO {t} AS t REPLACE ON t.id = s.id AND s.v > 'x' (SELECT 1 AS id, 'y' AS v, 7 AS p) AS s")
    return [first, *kept(place)]


@case
def evolving_inserts(place: Place) -> list[Any]:
    place.sql(
        "CREATE TABLE {t} (id INT, s STRUCT<a: INT>) USING delta LOCATION '{at}/t' "
        "TBLPROPERTIES ('delta.enableTypeWidening' = 'true')"
    )
    place.sql("INSERT INTO {t} VALUES (1, struct(1))")
    place.sql("INSERT WITH SCHEMA EVOLUTION INTO {t} SELECT 5000000000, named_struct('a', 2, 'b', 'x'), 'more' AS m")
    place.sql("INSERT WITH SCHEMA EVOLUTION INTO {t} BY NAME SELECT 'n' AS n, 3L AS id")
    return [place.sql("SELECT * FROM {t}"), place.history(), place.detail(), place.sql("DESCRIBE {t}")]


@case
def copying_into_a_table_without_columns(place: Place) -> list[Any]:
    place.spark.sql("SELECT 1 AS id, 'a' AS v").coalesce(1).write.json(place.path("in"))
    place.sql("CREATE TABLE {t} USING delta LOCATION '{at}/t'")
    copy = "COPY INTO {t} FROM '{at}/in' FILEFORMAT = JSON"
    told = [place.refused(copy), place.sql(copy + " COPY_OPTIONS ('mergeSchema' = 'true')"), place.sql(copy)]
    place.sql("CREATE TABLE delta.`{at}/u` USING delta")
    shown = place.sql(
        "COPY INTO delta.`{at}/u` FROM '{at}/in' FILEFORMAT = JSON VALIDATE COPY_OPTIONS ('mergeSchema' = 'true')"
    )
    return [told, shown, *kept(place)]


@case
def writing_once(place: Place) -> list[Any]:
    frame = place.spark.range(3)
    for _ in range(2):
        writer = frame.write.format("delta").mode("append").option("txnAppId", "job").option("txnVersion", 7)
        writer.option("userMetadata", "words").save(place.path("t"))
    said = place.spark.sql(f"DESCRIBE HISTORY delta.`{place.path('t')}`").first().userMetadata
    other = place.spark.sql("SELECT 'x' AS other, 1 AS p")
    other.write.format("delta").mode("overwrite").option("overwriteSchema", "true").partitionBy("p").save(
        place.path("t")
    )
    return [said, *kept(place)]


@case
def merging_a_frame(place: Place) -> list[Any]:
    place.sql("CREATE TABLE {t} (id BIGINT, v STRING) USING delta CLUSTER BY (id) LOCATION '{at}/t'")
    place.sql("INSERT INTO {t} VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    source = place.spark.sql("SELECT explode(array(2L, 9L)) AS id, 'new' AS v").alias("s")
    merge = source.mergeInto(place.name, functions.expr(f"s.id = {place.name}.id"))
    merge.whenMatched().updateAll().whenNotMatched().insertAll().merge()
    (done,) = place.spark.sql(f"OPTIMIZE {place.name} FULL").collect()
    place.sql("ALTER TABLE {t} CLUSTER BY (v)")
    return [done.metrics.clusteringStats.inputOtherFiles.numFiles, *kept(place)]


# ── the definition ──────────────────────────────────────────────────────────────────────────────────────────────


@case
def column_mapping_off(place: Place) -> list[Any]:
    place.sql(
        "CREATE TABLE {t} (id INT, s STRUCT<a: INT>, p STRING) USING delta PARTITIONED BY (p) LOCATION '{at}/t' "
        "TBLPROPERTIES ('delta.columnMapping.mode' = 'id')"
    )
    place.sql("INSERT INTO {t} VALUES (1, struct(1), 'x'), (2, NULL, NULL)")
    place.sql("ALTER TABLE {t} RENAME COLUMN p TO q")
    place.sql("ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'none')")
    place.sql("INSERT INTO {t} VALUES (3, struct(3), 'y')")
    return [*kept(place), sorted({re.sub("/.*|-.*(?==)", "", one) for one in place.data()})]


def _dropping(place: Place, feature: str, change: str) -> list[Any]:
    properties = {
        "columnMapping": "'delta.columnMapping.mode' = 'name'",
        "deletionVectors": "'delta.enableDeletionVectors' = 'true'",
        "v2Checkpoint": "'delta.checkpointPolicy' = 'v2'",
        "checkConstraints": "'delta.feature.checkConstraints' = 'supported'",
    }[feature]
    place.sql("CREATE TABLE {t} (id INT, v STRING) USING delta LOCATION '{at}/t' " + f"TBLPROPERTIES ({properties})")
    place.sql("INSERT INTO {t} VALUES (1, 'a'), (2, 'b')")
    place.sql(change)
    place.sql("ALTER TABLE {t} DROP FEATURE " + feature)
    place.sql("INSERT INTO {t} VALUES (7, 'c')")
    checkpoint.wait(place.path("t"))
    named = [one for one in place.files("t/_delta_log") if "checkpoint" in one]
    return [*kept(place), named, place.sql("SELECT * FROM {t} VERSION AS OF 1")]


@case
def dropping_column_mapping(place: Place) -> list[Any]:
    return _dropping(place, "columnMapping", "ALTER TABLE {t} RENAME COLUMN v TO w")


@case
def dropping_deletion_vectors(place: Place) -> list[Any]:
    return _dropping(place, "deletionVectors", "DELETE FROM {t} WHERE id = 2")


@case
def dropping_v2_checkpoints(place: Place) -> list[Any]:
    return _dropping(place, "v2Checkpoint", "UPDATE {t} SET v = 'u' WHERE id = 2")


@case
def dropping_constraints(place: Place) -> list[Any]:
    return _dropping(place, "checkConstraints", "UPDATE {t} SET v = 'u'")


@case
def shown(place: Place) -> list[Any]:
    place.sql("CREATE TABLE {t} (id INT, p STRING) USING delta PARTITIONED BY (p) COMMENT 'c' LOCATION '{at}/t'")
    place.sql("INSERT INTO {t} VALUES (1, 'x'), (2, 'y')")
    told = [place.sql(one) for one in (
        "SHOW TABLE EXTENDED LIKE '{t}'",
        "SHOW PARTITIONS {t} PARTITION (p = 'x')",
        "SHOW CREATE TABLE {t}",
        "DESCRIBE EXTENDED {t}",
        "SHOW COLUMNS IN {t}",
        "SHOW TBLPROPERTIES delta.`{at}/t`",
    )]  # fmt: skip
    return [_timeless(told[:4]), told[4:], place.detail(), place.sql("SELECT DISTINCT p FROM {t}")]


def _timeless(told: Any) -> Any:
    if isinstance(told, list | tuple):
        return [] if told and told[0] == "Created Time" else [_timeless(one) for one in told]
    return re.sub(r"Created Time: .*", "", told) if isinstance(told, str) else told


@case
def managed_and_external(place: Place) -> list[Any]:
    place.sql("CREATE SCHEMA IF NOT EXISTS {t}_s LOCATION '{at}/schema'")
    place.sql("CREATE TABLE {t}_s.a (id INT) USING delta")
    place.sql("INSERT INTO {t}_s.a VALUES (1)")
    rows = place.sql("SELECT * FROM spark_catalog.{t}_s.a")
    place.sql("CREATE TABLE {t} USING delta LOCATION '{at}/t' AS SELECT * FROM {t}_s.a")
    place.sql("TRUNCATE TABLE {t}_s.a")
    empty = place.sql("SELECT count(*) FROM {t}_s.a")
    place.sql("DROP SCHEMA {t}_s CASCADE")
    place.sql("ALTER TABLE {t} RENAME TO {t}_other")
    place.sql("DROP TABLE {t}_other")
    place.sql("DROP TABLE delta.`{at}/t`")
    left = [*place.data(), *place.files("schema")]
    place.sql("CREATE TABLE {t} USING delta LOCATION '{at}/t'")
    return [rows, empty, len(left), *kept(place)]


# ── upkeep ──────────────────────────────────────────────────────────────────────────────────────────────────────


@case
def cloning(place: Place) -> list[Any]:
    place.sql(
        "CREATE TABLE {t} USING delta PARTITIONED BY (p) LOCATION '{at}/t' AS SELECT id, id % 2 AS p FROM range(6)"
    )
    place.sql("DELETE FROM {t} WHERE id = 5")
    told = place.sql(
        "CREATE TABLE {t}_c SHALLOW CLONE {t} VERSION AS OF 0 TBLPROPERTIES ('purpose' = 'test') LOCATION '{at}/c'"
    )
    place.sql("UPDATE {t}_c SET id = 100 WHERE id = 1")
    place.sql("OPTIMIZE {t}_c")
    place.sql("RESTORE TABLE {t}_c TO VERSION AS OF 1")
    return [told[0][1:5], place.table("c"), place.history("c"), place.detail("c"), *kept(place)]


@case
def converting_a_table(place: Place) -> list[Any]:
    place.sql("CREATE TABLE {t} (id INT, d DATE) USING parquet PARTITIONED BY (d) LOCATION '{at}/t'")
    place.sql("INSERT INTO {t} VALUES (1, DATE '2026-03-01'), (2, NULL)")
    place.sql("CONVERT TO DELTA {t} NO STATISTICS")
    place.sql("INSERT INTO {t} VALUES (3, DATE '2026-03-02')")
    return [*kept(place)]


@case
def restoring_a_time(place: Place) -> list[Any]:
    for number in range(3):
        place.spark.range(2).selectExpr(f"id + {number} AS id").write.format("delta").mode("append").save(
            place.path("t")
        )
    moment = place.spark.sql(f"DESCRIBE HISTORY delta.`{place.path('t')}`").where("version = 1").first().timestamp
    told = place.sql(f"RESTORE delta.`{{at}}/t` TO TIMESTAMP AS OF '{moment}'")
    rows = place.table()
    added = re.findall(r'"add":{"path":"([^"]+)"', place.text(f"t/_delta_log/{2:020}.json"))
    place.remove(f"t/{added[0]}")
    return [told[0][1:5], rows, place.refused("RESTORE delta.`{at}/t` TO VERSION AS OF 2")]


@case
def others_deletion_vectors(place: Place) -> list[Any]:
    """A table of genuine Spark's, whose files lose rows by vectors."""
    place.put(TABLES / "deletion_vectors" / "table", "t")
    place.sql("CREATE TABLE {t} USING delta LOCATION '{at}/t'")
    before = place.sql("SELECT * FROM {t}")
    (done,) = place.spark.sql(f"REORG TABLE {place.name} APPLY (PURGE)").collect()
    place.sql("ALTER TABLE {t} DROP FEATURE deletionVectors")
    return [before, done.metrics.numFilesRemoved, place.table() == before, len(place.history()), place.detail()]


# ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────────


@case
def what_a_stream_passes_over(place: Place) -> list[Any]:
    place.sql("CREATE TABLE {t} (id INT, p INT) USING delta PARTITIONED BY (p) LOCATION '{at}/t'")
    place.sql("INSERT INTO {t} VALUES (1, 1), (2, 2)")
    place.sql("INSERT INTO {t} VALUES (3, 1)")
    place.sql("DELETE FROM {t} WHERE p = 2")
    place.sql("UPDATE {t} SET id = 30 WHERE id = 3")
    told = []
    for number, options in enumerate((
        {}, {"ignoreDeletes": "true"}, {"skipChangeCommits": "true"}, {"ignoreChanges": "true"}
    )):  # fmt: skip
        reader = place.spark.readStream.format("delta").options(startingVersion="1", **options)
        told.append([place.run(reader.load(place.path("t")), f"copy{number}"), _rows_of(place, f"copy{number}")])
    return told


def _rows_of(place: Place, name: str) -> list[Any]:
    if not any("_delta_log" in one for one in place.files(name)):
        return []
    return place.frame(place.spark.read.format("delta").load(place.path(name)).select("id"))


@case
def where_a_stream_begins(place: Place) -> list[Any]:
    for number in range(4):
        frame = place.spark.sql(f"SELECT {number} AS id, timestamp '2026-03-0{4 - number} 00:00:00' AS at")
        frame.coalesce(1).write.format("delta").mode("append").save(place.path("t"))
    moment = place.spark.sql(f"DESCRIBE HISTORY delta.`{place.path('t')}`").where("version = 2").first().timestamp
    told = []
    reader = place.spark.readStream.format("delta")
    ways = {
        "time": reader.option("startingTimestamp", str(moment)).load(place.path("t")),
        "bytes": place.spark.readStream.format("delta").option("maxBytesPerTrigger", "1b").load(place.path("t")),
        "excluded": place.spark.readStream.format("delta").option("excludeRegex", "part-").load(place.path("t")),
        "latest": place.spark.readStream.format("delta").option("startingVersion", "latest").load(place.path("t")),
    }
    for name, frame in ways.items():
        told.append([name, place.run(frame, name), _rows_of(place, name), _batches(place, name)])
    ordered = place.spark.readStream.format("delta").option("withEventTimeOrder", "true")
    ordered = ordered.option("maxFilesPerTrigger", 1).load(place.path("t")).withWatermark("at", "0 seconds")
    told.append([place.run(ordered, "ordered"), _rows_of(place, "ordered"), _batches(place, "ordered")])
    return told


def _batches(place: Place, name: str) -> int:
    return len([one for one in place.files(f"checkpoints/{name}/commits") if one.isdigit()])


@case
def what_a_stream_lost(place: Place) -> list[Any]:
    place.sql("CREATE TABLE {t} (id INT) USING delta LOCATION '{at}/t'")
    for number in range(3):
        place.sql(f"INSERT INTO {{t}} VALUES ({number})")
    checkpoint.write(place.path("t"), 3)
    place.remove("t/_delta_log/" + f"{1:020}.json")
    told = []
    for lossy in ("true", "false"):
        reader = place.spark.readStream.format("delta").options(startingVersion="0", failOnDataLoss=lossy)
        told.append([place.run(reader.load(place.path("t")), f"copy_{lossy}"), _rows_of(place, f"copy_{lossy}")])
    return told


@case
def a_partitioned_sink(place: Place) -> list[Any]:
    for number in range(2):
        place.spark.sql(f"SELECT {number} AS id, 'a b' AS p").coalesce(1).write.mode("append").json(place.path("in"))
    stream = place.spark.readStream.schema("id INT, p STRING").option("maxFilesPerTrigger", 1).json(place.path("in"))
    writer = stream.writeStream.format("delta").partitionBy("p").option("userMetadata", "from a stream")
    writer = writer.option("checkpointLocation", place.path("checkpoints/t")).trigger(availableNow=True)
    writer.start(place.path("t")).awaitTermination()
    said = {row.userMetadata for row in place.spark.sql(f"DESCRIBE HISTORY delta.`{place.path('t')}`").collect()}
    log = [one for one in place.files("checkpoints/t/commits") if one.isdigit()]
    (txn,) = {
        json.loads(line)["txn"]["version"]
        for line in place.text(f"t/_delta_log/{1:020}.json").splitlines() if "txn" in json.loads(line)
    }  # fmt: skip
    return [sorted(said), log, txn, place.table(), place.detail()]


@pytest.mark.parametrize("name", CASES)
def test_it_gives_the_same_on_a_disk_and_in_s3(name: str, tells: Tells, tmp_path: Path) -> None:
    disk, s3 = tells(CASES[name], tmp_path)
    assert s3 == disk
