"""The state of streaming queries read as tables, through a genuine client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import functions as F
from pyspark.sql.connect.session import SparkSession

from support.server import spark_session

DDL = "k string, v int, t timestamp"


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    (folder / "in").mkdir()
    put(folder, 1, {"k": "a", "v": 1, "t": "2024-01-01T00:00:00"}, {"k": "b", "v": 2, "t": "2024-01-01T00:01:00"})
    put(folder, 2, {"k": "a", "v": 5, "t": "2024-01-01T00:02:00"}, {"k": "c", "v": 7, "t": "2024-01-01T00:01:00"})
    return folder


def put(folder: Path, number: int, *rows: dict[str, Any]) -> None:
    (folder / "in" / f"{number}.json").write_text("\n".join(json.dumps(row) for row in rows))


def source(spark: SparkSession, folder: Path) -> Any:
    rows = spark.readStream.schema(DDL).option("maxFilesPerTrigger", 1).json(str(folder / "in"))
    return rows.withWatermark("t", "10 seconds")


def run(query: Any, folder: Path, name: str, mode: str = "update") -> str:
    checkpoint = str(folder / name)
    writer = query.writeStream.format("noop").outputMode(mode).option("checkpointLocation", checkpoint)
    writer.trigger(availableNow=True).start().awaitTermination()
    return checkpoint


@pytest.fixture(scope="module")
def counted(spark: SparkSession, folder: Path) -> str:
    rows = source(spark, folder).groupBy("k")
    return run(rows.agg(F.count("*").alias("n"), F.sum("v"), F.avg("v"), F.max("t"), F.first("v")), folder, "counted")


def read(spark: SparkSession, checkpoint: str, **options: Any) -> Any:
    return spark.read.format("statestore").options(**options).load(checkpoint)


def flat(frame: Any) -> list[Any]:
    """Rows as tuples of plain values."""

    def plain(value: Any) -> Any:
        return tuple(plain(v) for v in value) if isinstance(value, tuple) else value

    return sorted((plain(row) for row in frame.collect()), key=str)


def test_an_aggregation_shows_the_values_of_its_aggregates(spark: SparkSession, counted: str) -> None:
    frame = read(spark, counted)

    assert frame.columns == ["key", "value", "partition_id"]
    assert frame.schema["key"].dataType.simpleString() == "struct<k:string>"
    assert [f.dataType.simpleString() for f in frame.schema["value"].dataType.fields][1:] == [
        "decimal(38,0)", "double", "timestamp", "int",
    ]  # fmt: skip
    assert flat(frame) == [
        (("a",), (2, 6, 3.0, datetime(2024, 1, 1, 0, 2), 1), 0),
        (("b",), (1, 2, 2.0, datetime(2024, 1, 1, 0, 1), 2), 0),
        (("c",), (1, 7, 7.0, datetime(2024, 1, 1, 0, 1), 7), 0),
    ]


def test_an_earlier_batch_can_be_read(spark: SparkSession, counted: str) -> None:
    assert [row[0] for row in flat(read(spark, counted, batchId=0))] == [("a",), ("b",)]
    frame = read(spark, counted, batchId=1, snapshotStartBatchId=0, snapshotPartitionId=0)
    assert [row[0] for row in flat(frame)] == [("a",), ("b",), ("c",)]


def test_changes_are_told_batch_by_batch(spark: SparkSession, folder: Path) -> None:
    checkpoint = run(source(spark, folder).dropDuplicates(["k", "t"]), folder, "changes")
    frame = read(spark, checkpoint, readChangeFeed=True, changeStartBatchId=0, changeEndBatchId=1)

    assert frame.columns == ["batch_id", "change_type", "key", "value", "partition_id"]
    first, second = datetime(2024, 1, 1, 0, 0), datetime(2024, 1, 1, 0, 1)
    got = [(batch, kind, key) for batch, kind, key, *_ in flat(frame)]
    assert got[:2] == [(0, "update", ("a", first)), (0, "update", ("b", second))]
    later = flat(read(spark, checkpoint, readChangeFeed=True, changeStartBatchId=1))
    assert ("delete", ("a", first), None) in [(kind, key, value) for _, kind, key, value, _ in later]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batchId": 9}, "STDS_COMMITTED_BATCH_UNAVAILABLE"),
        ({"batchId": -1}, "STDS_INVALID_OPTION_VALUE.IS_NEGATIVE.*'batchId'"),
        ({"batchId": "x"}, "STDS_INVALID_OPTION_VALUE.WITH_MESSAGE.*'batchId'"),
        ({"operatorId": 1}, r"STDS_FAILED_TO_READ_STATE_SCHEMA.*operatorId=1, storeName=default, joinSide=none, "),
        ({"storeName": ""}, "STDS_INVALID_OPTION_VALUE.IS_EMPTY.*'storeName'"),
        ({"storeName": "x"}, "STDS_FAILED_TO_READ_STATE_SCHEMA.*storeName=x"),
        ({"joinSide": "left"}, "STDS_FAILED_TO_READ_STATE_SCHEMA.*joinSide=left"),
        ({"joinSide": "bad"}, "'joinSide'.*Valid values are left,right,none"),
        ({"joinSide": "left", "storeName": "x"}, "STDS_CONFLICT_OPTIONS.*'joinSide', 'storeName'"),
        ({"readChangeFeed": True}, "STDS_REQUIRED_OPTION_UNSPECIFIED.*'changeStartBatchId'"),
        ({"changeStartBatchId": 0}, "'changeStartBatchId'.*Only specify this option when readChangeFeed"),
        ({"readChangeFeed": True, "changeStartBatchId": 1, "changeEndBatchId": 0}, "cannot be smaller than"),
        ({"readChangeFeed": True, "changeStartBatchId": 0, "batchId": 1}, "'batchId', 'readChangeFeed'"),
        ({"readChangeFeed": True, "changeStartBatchId": 0, "joinSide": "left"}, "'joinSide', 'readChangeFeed'"),
        ({"snapshotStartBatchId": 0}, "STDS_REQUIRED_OPTION_UNSPECIFIED.*'snapshotPartitionId'"),
        ({"snapshotStartBatchId": 5, "snapshotPartitionId": 0}, "should be less than or equal to"),
        ({"snapshotStartBatchId": 0, "snapshotPartitionId": 3}, "SNAPSHOT_PARTITION_ID_NOT_FOUND"),
        ({"stateVarName": "x"}, "'stateVarName'.*only supported with the transformWithState operator"),
        ({"readRegisteredTimers": True}, "'readRegisteredTimers'.*only supported with the transformWithState"),
        ({"readRegisteredTimers": True, "stateVarName": "x"}, "'readRegisteredTimers', 'stateVarName'"),
        ({"flattenCollectionTypes": "zz"}, "'flattenCollectionTypes'.*Boolean value is expected"),
    ],
)
def test_options_that_do_not_fit_are_refused_as_spark_does(
    spark: SparkSession, counted: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(PySparkException, match=f"(?s){message}"):
        read(spark, counted, **options).collect()


def test_a_path_is_needed_and_a_schema_refused(spark: SparkSession, folder: Path, counted: str) -> None:
    with pytest.raises(PySparkException, match=r"STDS_REQUIRED_OPTION_UNSPECIFIED.*'path'"):
        spark.read.format("statestore").load().collect()
    with pytest.raises(PySparkException, match="STDS_COMMITTED_BATCH_UNAVAILABLE"):
        read(spark, str(folder / "nowhere")).collect()
    with pytest.raises(PySparkException, match="statestore"):
        spark.read.format("statestore").schema("a int").load(counted).collect()


def test_windows_sessions_and_totals(spark: SparkSession, folder: Path) -> None:
    windows = source(spark, folder).groupBy(F.window("t", "1 minute"), "k").count()
    sessions = source(spark, folder).groupBy(F.session_window("t", "1 minute"), "k").count()
    total = source(spark, folder).groupBy().count()

    frame = read(spark, run(windows, folder, "windows"))
    assert (
        frame.schema["key"].dataType.simpleString() == "struct<window:struct<start:timestamp,end:timestamp>,k:string>"
    )
    assert flat(read(spark, run(sessions, folder, "sessions", "append"))) != []
    assert flat(read(spark, run(total, folder, "total"))) == [((None,), (4,), 0)]


def test_limits_and_duplicates(spark: SparkSession, folder: Path) -> None:
    within = run(source(spark, folder).dropDuplicatesWithinWatermark(["k"]), folder, "within")
    assert read(spark, within).schema["value"].dataType.simpleString() == "struct<expiresAtMicros:bigint>"
    limit = run(spark.readStream.schema(DDL).json(str(folder / "in")).limit(3), folder, "limit", "append")
    assert [row[1] for row in flat(read(spark, limit))] == [(3,)]


def test_the_sides_of_a_join(spark: SparkSession, folder: Path) -> None:
    left, right = source(spark, folder).alias("a"), source(spark, folder).alias("b")
    checkpoint = run(left.join(right, F.expr("a.k = b.k AND a.t >= b.t")), folder, "join", "append")

    frame = read(spark, checkpoint, joinSide="right")
    assert frame.schema["value"].dataType.simpleString() == "struct<k:string,v:int,t:timestamp>"
    assert flat(frame.select("value.k").distinct())[0] == ("a",)
    with pytest.raises(PySparkException, match="STDS_FAILED_TO_READ_STATE_SCHEMA"):
        read(spark, checkpoint).collect()
    metadata = spark.read.format("state-metadata").load(checkpoint)
    assert [row[1:3] for row in flat(metadata)] == [("symmetricHashJoin", "left"), ("symmetricHashJoin", "right")]


def kept() -> Any:
    from pyspark.sql import Row
    from pyspark.sql.streaming import StatefulProcessor

    class Kept(StatefulProcessor):
        def init(self, handle):  # type: ignore[no-untyped-def]
            self.handle = handle
            self.sum = handle.getValueState("sum", "n LONG, s LONG")
            self.all = handle.getListState("all", "v INT")
            self.seen = handle.getMapState("seen", "v INT", "n INT")

        def handleInputRows(self, key, rows, timerValues):  # type: ignore[no-untyped-def]
            for row in rows:
                n, s = self.sum.get() or (0, 0)
                self.sum.update((n + 1, s + row.v))
                self.all.appendValue((row.v,))
                self.seen.updateValue((row.v,), (n,))
            self.handle.registerTimer(timerValues.getCurrentProcessingTimeInMs() + 3_600_000)
            yield Row(k=key[0])

        def close(self):  # type: ignore[no-untyped-def]
            pass

    return Kept()


def test_the_variables_and_timers_of_a_processor(spark: SparkSession, folder: Path) -> None:
    rows = source(spark, folder).groupBy("k").transformWithState(kept(), "k string", "update", "ProcessingTime")
    checkpoint = run(rows, folder, "processor")

    assert flat(read(spark, checkpoint, stateVarName="sum")) == [
        (("a",), (2, 6), 0), (("b",), (1, 2), 0), (("c",), (1, 7), 0),
    ]  # fmt: skip
    elements = read(spark, checkpoint, stateVarName="all")
    assert elements.columns == ["key", "list_element", "partition_id"]
    assert flat(elements)[:2] == [(("a",), (1,), 0), (("a",), (5,), 0)]
    whole = read(spark, checkpoint, stateVarName="all", flattenCollectionTypes=False)
    assert whole.columns == ["key", "list_value", "partition_id"]
    assert [[v for (v,) in row.list_value] for row in whole.where("key.k = 'a'").collect()] == [[1, 5]]
    entries = read(spark, checkpoint, stateVarName="seen")
    assert entries.columns == ["key", "user_map_key", "user_map_value", "partition_id"]
    assert flat(entries)[:2] == [(("a",), (1,), (0,), 0), (("a",), (5,), (1,), 0)]
    mapped = read(spark, checkpoint, stateVarName="seen", flattenCollectionTypes=False)
    assert mapped.columns == ["key", "map_value", "partition_id"]
    assert mapped.count() == 3
    timers = read(spark, checkpoint, readRegisteredTimers=True)
    assert timers.columns == ["key", "expiration_timestamp_ms", "partition_id"]
    assert {row.key.k for row in timers.collect()} == {"a", "b", "c"}
    with pytest.raises(PySparkException, match=r"'stateVarName'.*State variable none is not defined"):
        read(spark, checkpoint, stateVarName="none").collect()
    with pytest.raises(PySparkException, match=r"STDS_REQUIRED_OPTION_UNSPECIFIED.*'stateVarName'"):
        read(spark, checkpoint).collect()
