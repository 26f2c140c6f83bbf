"""Files in S3 as batches and streams: every format, folders as partitions, Auto Loader, what goes missing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.orc as orc
import pytest

from headwater.io.file_queue import FileQueue, QueueOptions
from headwater.io.mounts import Mounts
from headwater.io.s3 import s3_storage
from support.s3_server import Emulator, emulated
from support.server import spark_session
from unit.io.formats.test_avro import field, write

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with emulated("box") as one:
        yield one


@pytest.fixture(scope="module")
def spark(server: Emulator) -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


def put(server: Emulator, key: str, *rows: dict[str, Any]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    server.client("s3").put_object(Bucket="box", Key=key, Body=gzip.compress(text) if key.endswith(".gz") else text)


def rows(frame: Any) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, frame.collect()), key=repr)


def test_json_with_folders_as_partitions_globs_and_hidden_names(spark: SparkSession, server: Emulator) -> None:
    put(server, "json/day=1/a.json", {"id": 1}, {"id": 2})
    put(server, "json/day=2/b.json.gz", {"id": 3})
    put(server, "json/day=2/_hidden.json", {"id": 9})
    put(server, "json/_tmp/c.json", {"id": 9})
    assert rows(spark.read.json("s3a://box/json")) == [(1, 1), (2, 1), (3, 2)]
    assert rows(spark.read.json("s3://box/json/day=*/[a]*.json").select("id")) == [(1,), (2,)]
    assert rows(spark.read.json("s3://box/json/{day=2,none}/").select("id")) == [(3,)]
    found = spark.read.json("s3://box/json").selectExpr("id", "_metadata.file_path", "_metadata.file_size")
    assert rows(found.where("id = 1")) == [(1, "s3://box/json/day=1/a.json", 20)]


def test_every_format_is_written_and_read(spark: SparkSession, server: Emulator) -> None:
    frame = spark.range(50).selectExpr("id", "concat('row ', id) AS name", "id % 2 AS part")
    for name in ("parquet", "json", "csv"):
        place = f"s3://box/formats/{name}"
        frame.write.partitionBy("part").format(name).option("header", True).save(place)
        back = spark.read.format(name).option("header", True).option("inferSchema", True).load(place)
        assert rows(back.select("id", "name", "part")) == rows(frame)
        assert f"formats/{name}/_SUCCESS" in server.keys("box", f"formats/{name}/")
        assert not [key for key in server.keys("box", f"formats/{name}/") if "_temporary" in key]
    spark.createDataFrame([("é",), ("b",)], "value string").write.text("s3://box/formats/text")
    assert rows(spark.read.text("s3://box/formats/text")) == [("b",), ("é",)]
    frame.limit(3).write.mode("overwrite").parquet("s3://box/formats/parquet")
    assert spark.read.parquet("s3://box/formats/parquet").count() == 3


def test_a_stream_of_files_gives_each_object_once(spark: SparkSession, server: Emulator) -> None:
    def run() -> None:
        stream = spark.readStream.schema("id bigint").option("maxFilesPerTrigger", 1).json("s3://box/stream/in")
        query = (
            stream.writeStream.format("delta")
            .option("checkpointLocation", "s3://box/stream/checkpoint")
            .trigger(availableNow=True)
            .start("s3://box/stream/out")
        )
        query.awaitTermination()

    put(server, "stream/in/a.json", {"id": 1})
    put(server, "stream/in/deep/b.json", {"id": 2})
    run()
    put(server, "stream/in/c.json", {"id": 3})
    run()
    assert rows(spark.read.format("delta").load("s3://box/stream/out")) == [(1,), (2,), (3,)]


def test_auto_loader_infers_keeps_and_evolves_its_schema_in_s3(spark: SparkSession, server: Emulator) -> None:
    def start() -> Any:
        stream = (
            spark.readStream.format("cloudFiles")
            .option("cloudFiles.format", "json")
            .option("cloudFiles.schemaLocation", "s3://box/loader/schema")
            .load("s3://box/loader/in")
        )
        return (
            stream.writeStream.format("delta")
            .option("checkpointLocation", "s3://box/loader/checkpoint")
            .option("mergeSchema", True)
            .trigger(availableNow=True)
            .start("s3://box/loader/out")
        )

    put(server, "loader/in/2026/a.json", {"id": 1})
    start().awaitTermination()
    put(server, "loader/in/2026/b.json", {"id": 2, "name": "new"})
    with pytest.raises(Exception, match="UNKNOWN_FIELD_EXCEPTION"):
        start().awaitTermination()
    start().awaitTermination()
    found = spark.read.format("delta").load("s3://box/loader/out").select("id", "name")
    assert rows(found) == [("1", None), ("2", "new")]
    assert server.keys("box", "loader/schema/_schemas/")


def test_auto_loader_moves_objects_it_has_read(spark: SparkSession, server: Emulator) -> None:
    def run() -> None:
        options = {"format": "json", "cleanSource": "MOVE", "cleanSource.retentionDuration": "0 seconds"}
        options["cleanSource.moveDestination"] = "s3://box/moved/done"
        reader = spark.readStream.format("cloudFiles").options(**{f"cloudFiles.{k}": v for k, v in options.items()})
        query = reader.load("s3://box/moved/in").writeStream.format("delta")
        query = query.option("checkpointLocation", "s3://box/moved/checkpoint").trigger(availableNow=True)
        assert query.start("s3://box/moved/out").awaitTermination(60)

    put(server, "moved/in/x/a.json", {"id": 1})
    run()
    assert server.keys("box", "moved/in/") == []
    assert server.keys("box", "moved/done/") == ["moved/done/x/a.json"]
    put(server, "moved/in/x/b.json", {"id": 2})
    run()
    assert rows(spark.read.format("delta").load("s3://box/moved/out").select("id")) == [("1",), ("2",)]
    state = spark.sql("SELECT path, ingestion_state FROM cloud_files_state('s3://box/moved/checkpoint')")
    assert [path for path, _ in rows(state)] == ["s3://box/moved/in/x/a.json", "s3://box/moved/in/x/b.json"]


def test_formats_that_go_through_arrow_or_are_whole_files(spark: SparkSession, server: Emulator, tmp_path: Any) -> None:
    write(tmp_path / "a.avro", [field("a", "int")], [{"a": 1}, {"a": 2}])
    orc.write_table(pa.table({"a": [1, 2]}), str(tmp_path / "a.orc"))
    (tmp_path / "a.xml").write_text('<r><row n="1"><a>x</a></row></r>')
    for name in ("a.avro", "a.orc", "a.xml"):
        body = (tmp_path / name).read_bytes()
        server.client("s3").put_object(Bucket="box", Key=f"more/{name}", Body=body)
    assert rows(spark.read.format("avro").load("s3://box/more/a.avro")) == [(1,), (2,)]
    assert rows(spark.read.orc("s3://box/more/a.orc")) == [(1,), (2,)]
    assert rows(spark.read.format("xml").option("rowTag", "row").load("s3://box/more/a.xml")) == [(1, "x")]
    whole = spark.read.format("binaryFile").load("s3://box/more/a.xml").selectExpr("path", "length", "string(content)")
    text = (tmp_path / "a.xml").read_text()
    assert rows(whole) == [("s3://box/more/a.xml", len(text), text)]


def test_clean_source_archives_and_deletes_objects(spark: SparkSession, server: Emulator) -> None:
    archive = {"cleanSource": "archive", "sourceArchiveDir": "s3://box/archive"}
    options = {"archive": archive, "delete": {"cleanSource": "delete"}}
    for how, given in options.items():
        for number in range(3):
            put(server, f"clean/{how}/{number}.json", {"id": number})
        for _ in range(2):
            stream = spark.readStream.schema("id bigint").option("maxFilesPerTrigger", 1).options(**given)
            query = (
                stream.json(f"s3://box/clean/{how}").writeStream.format("noop")
                .option("checkpointLocation", f"s3://box/clean-checkpoint/{how}")
                .trigger(availableNow=True).start()
            )  # fmt: skip
            query.awaitTermination()
        assert len(server.keys("box", f"clean/{how}/")) <= 1
    assert len(server.keys("box", "archive/clean/archive/")) >= 2


@pytest.mark.parametrize("name", ["json", "parquet"])
def test_a_stream_into_files_has_its_log_in_s3(spark: SparkSession, server: Emulator, name: str) -> None:
    place = f"s3://box/sink/{name}"
    put(server, f"sink/in-{name}/a.json", {"id": 1}, {"id": 2})
    stream = spark.readStream.schema("id bigint").json(f"s3://box/sink/in-{name}")
    for _ in range(2):
        query = (
            stream.writeStream.format(name).option("checkpointLocation", f"{place}-checkpoint")
            .trigger(availableNow=True).start(place)
        )  # fmt: skip
        query.awaitTermination()
    assert rows(spark.read.format(name).load(place)) == [(1,), (2,)]
    assert server.keys("box", f"sink/{name}/_spark_metadata/") == [f"sink/{name}/_spark_metadata/0"]


def test_a_path_without_objects_is_not_found(spark: SparkSession) -> None:
    with pytest.raises(Exception, match=r"PATH_NOT_FOUND.*s3://box/none"):
        spark.read.json("s3://box/none").collect()


def test_incremental_listing_asks_for_what_comes_after_the_last_key(server: Emulator) -> None:
    """Fewer requests for a hundred thousand objects; keys that come late are found by the next full listing."""
    del server  # it is where the queue looks

    def late(key: str) -> str:
        return f"s3://box/{place}/{key}"

    def found(queue: FileQueue) -> list[str]:
        queue.refresh()
        return sorted(file.path.rpartition("/")[2] for file in queue.take())

    for mode in ("false", "true", "auto"):
        place = f"listed-{mode}"
        queue = FileQueue(Mounts(), [f"s3://box/{place}"], QueueOptions(incremental=mode))
        s3_storage().create(late("d1/b"), b"1")
        assert found(queue) == ["b"]
        s3_storage().create(late("d1/c"), b"1")
        assert found(queue) == ["c"]
        s3_storage().create(late("d0/late"), b"1")
        s3_storage().create(late("d2/d"), b"1")
        first = found(queue)
        assert first == (["d", "late"] if mode == "false" else ["d"])
        times = 0
        while mode == "auto" and found(queue) != ["late"]:
            times += 1
            assert times < 7
        s3_storage().create(late("d0/later"), b"1")
        assert found(queue) == ([] if mode == "true" else ["later"]), (
            "keys are not in order, so listings are full again"
        )
        again = FileQueue(Mounts(), [f"s3://box/{place}"], QueueOptions(incremental=mode))
        for key in ("b", "c"):
            again.remember(late("d1"), key, 1)
        assert found(again) == (["d"] if mode == "true" else ["d", "late", "later"])
    due = QueueOptions(incremental="true", full_ms=0)
    again = FileQueue(Mounts(), ["s3://box/listed-true"], due)
    again.remember("s3://box/listed-true/d1", "c", 1)
    assert found(again) == ["b", "d", "late", "later"]
    assert 0 < again.full_listing[0] <= again.full_listing[1]
