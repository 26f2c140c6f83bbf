"""Python data sources over the genuine client: registered classes read as batches and as streams."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.errors import AnalysisException, PythonException, StreamingQueryException
from pyspark.sql import Row
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.datasource import (
    DataSource,
    DataSourceReader,
    DataSourceStreamReader,
    InputPartition,
    SimpleDataSourceStreamReader,
)
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit, ReadMaxRows, SupportsTriggerAvailableNow

from headwater.connect.server import Server
from support.server import connected, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture(scope="module")
def spark(server: Server) -> Iterator[SparkSession]:
    with connected(server) as session:
        yield session


class Span(InputPartition):
    """Numbers from `begin` to before `end`."""

    def __init__(self, begin: int, end: int) -> None:
        self.begin, self.end = begin, end


def numbers(span: Any) -> Iterator[tuple[int, str]]:
    return ((i, str(i)) for i in range(span.begin, span.end))


def note(path: str, *what: object) -> None:
    with open(path, "a") as file:
        file.write(json.dumps(what, default=str) + "\n")


def noted(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def source(name: str, **members: Any) -> type[DataSource]:
    """A data source class of that name with the columns `id INT, s STRING`."""
    defaults: dict[str, Any] = {"name": classmethod(lambda _: name), "schema": lambda _: "id INT, s STRING"}
    return type(f"Source_{name}", (DataSource,), {**defaults, **members})


def reading(name: str, read: Any, **members: Any) -> type[DataSource]:
    """A data source whose batch reader reads by `read(partition)`."""
    reader = type("Reader", (DataSourceReader,), {"read": lambda _, partition: read(partition), **members})
    return source(name, reader=lambda _, schema: reader())


# ── batch reads ─────────────────────────────────────────────────────────────────────────────────────────────


def test_rows_come_partition_by_partition(spark: SparkSession) -> None:
    spark.dataSource.register(reading("numbers", numbers, partitions=lambda _: [Span(0, 2), Span(2, 3)]))

    frame = spark.read.format("NUMBERS").load()

    assert [tuple(row) for row in frame.collect()] == [(0, "0"), (1, "1"), (2, "2")]
    assert frame.schema.simpleString() == "struct<id:int,s:string>"
    assert frame.where("id > 0").join(frame, "id").count() == 2


def test_options_are_without_case_and_paths_are_among_them(spark: SparkSession) -> None:
    class Seen(DataSource):
        def schema(self) -> str:
            return "text STRING"

        def reader(self, schema: Any) -> Any:
            options = self.options

            class Reader(DataSourceReader):
                def read(self, partition: Any) -> Any:
                    yield (json.dumps({**options, "again": options["OPTION"]}),)

            return Reader()

    spark.dataSource.register(Seen)

    def seen(*paths: str) -> Any:
        reader = spark.read.format("seen").option("Option", "x")
        return json.loads(reader.load(list(paths) if len(paths) > 1 else paths[0] if paths else None).first()[0])

    assert seen() == {"option": "x", "again": "x"}
    assert seen("/a") == {"option": "x", "again": "x", "path": "/a"}
    assert seen("/a", "/b") == {"option": "x", "again": "x", "paths": '["/a","/b"]'}


@pytest.mark.parametrize(
    "rows",
    [
        [(1, "a"), (None, None)],
        [[1, "a"], [None, None]],
        [Row(s="a", id=1), Row(s=None, id=None)],
        [pa.record_batch({"id": pa.array([1, None], pa.int32()), "s": pa.array(["a", None])})],
    ],
    ids=["tuples", "lists", "named rows", "arrow"],
)
def test_rows_may_be_tuples_lists_rows_and_arrow(spark: SparkSession, rows: list[Any]) -> None:
    spark.dataSource.register(reading("shapes", lambda _: iter(rows)))

    assert [tuple(row) for row in spark.read.format("shapes").load().collect()] == [(1, "a"), (None, None)]


def test_a_schema_of_the_user_wins(spark: SparkSession) -> None:
    class Wide(DataSource):
        def reader(self, schema: Any) -> Any:
            class Reader(DataSourceReader):
                def read(self, partition: Any) -> Any:
                    yield tuple(range(len(schema.fields)))

            return Reader()

    spark.dataSource.register(Wide)

    assert tuple(spark.read.format("wide").schema("a INT, b LONG, c DOUBLE").load().first()) == (0, 1, 2.0)
    with pytest.raises(AnalysisException, match=r"(?s)create Python data source instance:.*schema is not impl"):
        spark.read.format("wide").load().collect()


NESTED = "a ARRAY<INT>, m MAP<STRING, INT>, r STRUCT<x: DATE, y: DECIMAL(5,2)>, t TIMESTAMP, n TIMESTAMP_NTZ, b BINARY"


def test_all_types_of_values(spark: SparkSession) -> None:
    from datetime import date, datetime
    from decimal import Decimal

    moment = datetime(2024, 5, 6, 7, 8, 9)
    row = ([1, None], {"k": 1}, Row(x=date(2024, 1, 1), y=Decimal("1.25")), moment, moment, bytearray(b"x"))
    spark.dataSource.register(
        source("nested", schema=lambda _: NESTED, reader=reading("x", lambda _: iter([row])).reader)
    )

    assert tuple(spark.read.format("nested").load().first()) == (*row[:-1], b"x")


@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        ({}, AnalysisException, "Failed to initialize Python data source reader:.*reader is not implemented"),
        ({"reader": lambda *_, **__: 1 / 0}, AnalysisException, "initialize Python data source reader:.*by zero"),
        ({"reader": lambda *_, **__: None}, AnalysisException, "an instance of DataSourceReader.*NoneType"),
        ({"schema": lambda _: sys.exit(3)}, AnalysisException, "create Python data source instance:.*SystemExit: 3"),
        ({"schema": lambda _: 1 / 0}, AnalysisException, "create Python data source instance:.*ZeroDivisionError"),
    ],
)  # fmt: skip
def test_what_the_user_gets_wrong_in_planning(
    spark: SparkSession, members: dict[str, Any], error: type[Exception], message: str
) -> None:
    spark.dataSource.register(source("wrong", **members))

    with pytest.raises(error, match=f"(?s){message}") as caught:
        spark.read.format("wrong").load().collect()

    assert caught.value.getCondition() == "PYTHON_DATA_SOURCE_ERROR"


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda _: 1 / 0, r"in <lambda>.*ZeroDivisionError: division by zero"),
        (lambda _: sys.exit(3), r"in <lambda>.*SystemExit: 3"),
        (lambda _: [(1, "a")], "DATA_SOURCE_INVALID_RETURN_TYPE.*iterator"),
        (lambda _: iter([(1,)]), "DATA_SOURCE_RETURN_SCHEMA_MISMATCH"),
        (lambda _: iter([{"id": 1, "s": "a"}]), "DATA_SOURCE_INVALID_RETURN_TYPE.*tuple, list"),
        (lambda _: iter([pa.record_batch({"id": [1]})]), "DATA_SOURCE_RETURN_SCHEMA_MISMATCH"),
    ],
)
def test_what_the_user_gets_wrong_in_reading(spark: SparkSession, read: Any, message: str) -> None:
    spark.dataSource.register(reading("wrong", read))

    with pytest.raises(PythonException, match=f"(?s){message}"):
        spark.read.format("wrong").load().collect()


def test_partitions_must_be_a_list_and_none_is_one(spark: SparkSession) -> None:
    spark.dataSource.register(reading("parts", lambda p: iter([(1, str(p))]), partitions=lambda _: []))
    assert spark.read.format("parts").load().first().s == "InputPartition(value=None)"

    spark.dataSource.register(reading("parts", numbers, partitions=lambda _: (Span(0, 1),)))
    with pytest.raises(AnalysisException, match=r"(?s)generate Python data source read partitions:.*to return a list"):
        spark.read.format("parts").load().collect()


# ── filters ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def pushing(spark: SparkSession, tmp_path: Path) -> Iterator[Path]:
    """Where a data source `pushed` notes the filters it is offered; it takes all, and applies none."""
    log = tmp_path / "log"

    def push(_: Any, filters: list[Any]) -> list[Any]:
        note(str(log), *map(str, filters))
        return []

    rows = [(1, "ab"), (2, "cb"), (None, None)]
    spark.dataSource.register(reading("pushed", lambda _: iter(rows), pushFilters=push))
    spark.conf.set("spark.sql.python.filterPushdown.enabled", "true")
    yield log
    spark.conf.unset("spark.sql.python.filterPushdown.enabled")


NOT_NULL = "IsNotNull(attribute=('id',))"


@pytest.mark.parametrize(
    ("condition", "offered", "rows"),
    [
        ("id = 1", [NOT_NULL, "EqualTo(attribute=('id',), value=1)"], 1),
        (
            "id > 0 AND s = 'ab'",
            [
                NOT_NULL, "IsNotNull(attribute=('s',))",
                "GreaterThan(attribute=('id',), value=0)", "EqualTo(attribute=('s',), value='ab')",
            ],
            1,
        ),
        ("1 < id", [NOT_NULL, "GreaterThan(attribute=('id',), value=1)"], 1),
        ("id IN (1, 2)", ["In(attribute=('id',), value=(1, 2))"], 2),
        ("NOT (id = 1)", [NOT_NULL, "Not(child=EqualTo(attribute=('id',), value=1))"], 1),
        ("id IS NULL", ["IsNull(attribute=('id',))"], 1),
        ("s LIKE '%b'", ["IsNotNull(attribute=('s',))", "StringEndsWith(attribute=('s',), value='b')"], 2),
        ("s LIKE 'a%b' OR id = 1", None, 1),
        ("true", None, 3),
    ],
)  # fmt: skip
def test_filters_are_offered(
    spark: SparkSession, pushing: Path, condition: str, offered: list[str] | None, rows: int
) -> None:
    frame = spark.read.format("pushed").load()

    assert frame.select("s", "id").alias("x").where(condition).count() == rows

    assert noted(pushing) == ([] if offered is None else [offered])


def test_filters_that_were_not_offered_cannot_come_back(spark: SparkSession, pushing: Path) -> None:
    from pyspark.sql.datasource import EqualTo

    other = lambda *_: [EqualTo(("id",), 5)]  # noqa: E731
    spark.dataSource.register(reading("pushed", lambda _: iter([]), pushFilters=other))

    with pytest.raises(AnalysisException, match="DATA_SOURCE_EXTRANEOUS_FILTERS"):
        spark.read.format("pushed").load().where("id = 1").collect()


def test_a_reader_that_filters_needs_the_setting(spark: SparkSession) -> None:
    spark.dataSource.register(reading("pushed", lambda _: iter([]), pushFilters=lambda _, filters: filters))

    with pytest.raises(AnalysisException, match="DATA_SOURCE_PUSHDOWN_DISABLED"):
        spark.read.format("pushed").load().collect()


# ── registration ────────────────────────────────────────────────────────────────────────────────────────────


def test_names_of_spark_cannot_be_taken(spark: SparkSession) -> None:
    for name in ("csv", "Rate", "noop", "kafka", "delta"):
        with pytest.raises(AnalysisException, match="already exists"):
            spark.dataSource.register(source(name))


def test_an_unknown_name(spark: SparkSession) -> None:
    with pytest.raises(Exception, match="DATA_SOURCE_NOT_FOUND"):
        spark.read.format("nobody").load().collect()


def test_the_newest_registration_counts_and_belongs_to_the_session(server: Server, spark: SparkSession) -> None:
    spark.dataSource.register(reading("versions", lambda _: iter([(1, "old")])))
    spark.dataSource.register(reading("versions", lambda _: iter([(1, "new")])))

    assert spark.read.format("versions").load().first().s == "new"
    assert spark.cloneSession().read.format("versions").load().first().s == "new"
    with connected(server) as other, pytest.raises(Exception, match="DATA_SOURCE_NOT_FOUND"):
        other.read.format("versions").load().collect()


# ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────


class Six(DataSourceStreamReader):
    """Six rows, at most two a batch; notes what it is asked."""

    def __init__(self, log: str) -> None:
        self.log = log

    def initialOffset(self) -> dict[str, int]:
        return {"offset": 0}

    def getDefaultReadLimit(self) -> ReadLimit:
        return ReadMaxRows(2)

    def latestOffset(self, start: dict[str, int], limit: ReadLimit) -> dict[str, int]:
        step = 10 if isinstance(limit, ReadAllAvailable) else limit.max_rows  # type: ignore[attr-defined]
        return {"offset": min(start["offset"] + step, 6)}

    def reportLatestOffset(self) -> dict[str, int]:
        return {"offset": 6}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> list[Span]:
        note(self.log, "partitions", start, end)
        return [Span(i, i + 1) for i in range(start["offset"], end["offset"])]

    def read(self, partition: Any) -> Iterator[tuple[int, str]]:
        return numbers(partition)

    def commit(self, end: dict[str, int]) -> None:
        note(self.log, "commit", end)

    def stop(self) -> None:
        note(self.log, "stop")


class SixNow(Six, SupportsTriggerAvailableNow):
    """As `Six`, with an end of its own."""

    def prepareForTriggerAvailableNow(self) -> None:
        note(self.log, "prepare")


class SixOld(Six):
    """As `Six`, in the way of Spark 4.0."""

    seen = 0

    def latestOffset(self) -> dict[str, int]:  # type: ignore[override]
        self.seen = min(self.seen + 2, 6)
        return {"offset": self.seen}


class SixSimple(SimpleDataSourceStreamReader):
    """Six rows, two at a time."""

    def __init__(self, log: str) -> None:
        self.log = log

    def initialOffset(self) -> dict[str, Any]:
        return {"p": {"offset": 0}}

    def read(self, start: dict[str, Any]) -> tuple[Iterator[Any], dict[str, Any]]:
        note(self.log, "read", start)
        begin = start["p"]["offset"]
        end = min(begin + 2, 6)
        return numbers(Span(begin, end)), {"p": {"offset": end}}

    def readBetweenOffsets(self, start: dict[str, Any], end: dict[str, Any]) -> Iterator[Any]:
        note(self.log, "between", start, end)
        return numbers(Span(start["p"]["offset"], end["p"]["offset"]))

    def commit(self, end: dict[str, Any]) -> None:
        note(self.log, "commit", end)


class SixSimpleNow(SixSimple, SupportsTriggerAvailableNow):
    """As `SixSimple`, with an end of its own."""

    def prepareForTriggerAvailableNow(self) -> None:
        note(self.log, "prepare")


SIX = [(i, str(i)) for i in range(6)]


class Run:
    """One query over a reader into a memory table, and what it left."""

    def __init__(self, spark: SparkSession, reader: type, folder: Path, name: str = "six") -> None:
        self.spark, self.folder, self.log = spark, folder, folder / "log"
        method = "simpleStreamReader" if issubclass(reader, SimpleDataSourceStreamReader) else "streamReader"
        log = str(self.log)
        spark.dataSource.register(source(name, **{method: lambda _, schema: reader(log)}))
        self.frame = spark.readStream.format(name).load()

    def to_the_end(self, sink: str = "delta", **trigger: Any) -> list[Any]:
        """The progress of all batches."""
        writer = self.frame.writeStream.format(sink).option("checkpointLocation", f"{self.folder}/checkpoint")
        query = writer.trigger(**(trigger or {"availableNow": True})).start(f"{self.folder}/out")
        assert query.awaitTermination(60)
        return [json.loads(one.json) for one in query.recentProgress]

    def rows(self) -> list[tuple[Any, ...]]:
        return sorted(tuple(row) for row in self.spark.read.format("delta").load(f"{self.folder}/out").collect())

    def offsets(self) -> list[str]:
        files = sorted((self.folder / "checkpoint" / "offsets").glob("[0-9]*"), key=lambda file: int(file.name))
        return [file.read_text().splitlines()[-1] for file in files]

    def undo_commit(self, batch: int) -> None:
        """As if the process had died before the batch's commit was logged."""
        (self.folder / "checkpoint" / "commits" / str(batch)).unlink()
        (self.folder / "checkpoint" / "commits" / f".{batch}.crc").unlink(missing_ok=True)


def test_a_reader_with_limits_runs_batch_by_batch(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(spark, SixNow, tmp_path)

    batches = run.to_the_end()

    assert run.rows() == SIX
    assert run.offsets() == ['{"offset": 2}', '{"offset": 4}', '{"offset": 6}']
    assert [batch["numInputRows"] for batch in batches] == [2, 2, 2]
    (told,) = batches[1]["sources"]
    assert told["description"].startswith(
        "org.apache.spark.sql.execution.datasources.v2.python.PythonMicroBatchStreamWithTriggerAvailableNow@"
    )
    assert [told[key] for key in ("startOffset", "endOffset", "latestOffset")] == [
        {"offset": 2}, {"offset": 4}, {"offset": 6},
    ]  # fmt: skip
    calls = noted(run.log)
    assert calls[0] == ["prepare"]
    assert [call for call in calls if call[0] == "commit"] == [["commit", {"offset": end}] for end in (2, 4, 6)]
    assert calls[-1] == ["stop"]


@pytest.mark.parametrize("reader", [Six, SixOld])
def test_available_now_is_one_batch_where_the_reader_knows_no_end(
    spark: SparkSession, tmp_path: Path, reader: type
) -> None:
    run = Run(spark, reader, tmp_path)

    run.to_the_end()

    assert run.offsets() == (['{"offset": 6}'] if reader is Six else ['{"offset": 2}'])
    assert run.rows() == (SIX if reader is Six else SIX[:2])


def test_once_reads_all_there_is(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(spark, SixNow, tmp_path)

    run.to_the_end(once=True)

    assert (run.offsets(), run.rows()) == (['{"offset": 6}'], SIX)


def test_an_uncommitted_batch_is_read_again_between_its_offsets(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(spark, SixNow, tmp_path)
    run.to_the_end()
    run.undo_commit(2)
    run.log.unlink()

    run.to_the_end()

    assert run.rows() == SIX
    assert ["partitions", {"offset": 4}, {"offset": 6}] in noted(run.log)


def test_a_simple_reader_is_read_once_per_batch(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(spark, SixSimpleNow, tmp_path)

    batches = run.to_the_end()

    assert (run.rows(), [batch["numInputRows"] for batch in batches]) == (SIX, [2, 2, 2])
    assert batches[0]["sources"][0]["latestOffset"] is None
    assert run.offsets()[0] == '{"p": {"offset": 2}}'
    calls = [call[0] for call in noted(run.log)]
    assert calls == ["prepare", *["read", "commit"] * 3, "read"]


def test_a_simple_reader_replays_by_reading_between_offsets(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(spark, SixSimpleNow, tmp_path)
    run.to_the_end("noop")
    run.undo_commit(2)
    run.log.unlink()

    (batch,) = run.to_the_end("noop")

    assert batch["numInputRows"] == 2
    assert ["between", {"p": {"offset": 4}}, {"p": {"offset": 6}}] in noted(run.log)


def failing(reader: type, method: str, fail: Any = lambda *_: 1 / 0) -> type:
    return type("Failing", (reader,), {method: fail})


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("initialOffset", "data source perform initialOffset: .*ZeroDivisionError"),
        ("latestOffset", "data source perform latestOffset: .*ZeroDivisionError"),
        ("partitions", "data source perform planPartitions: .*ZeroDivisionError"),
        ("commit", "data source perform commitSource: .*ZeroDivisionError"),
        ("read", "PYTHON_EXCEPTION.*test_python_data_source.py.*ZeroDivisionError"),
        ("__init__", "Failed to plan Python data source initialize source: .*ZeroDivisionError"),
    ],
)
def test_failures_of_a_stream_name_what_failed(spark: SparkSession, tmp_path: Path, method: str, message: str) -> None:
    run = Run(spark, failing(SixNow, method), tmp_path)

    with pytest.raises(StreamingQueryException, match=f"(?s){message}"):
        run.to_the_end()


def test_leaving_the_program_is_a_failure_of_the_reader(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(spark, failing(SixNow, "latestOffset", lambda *_: sys.exit(3)), tmp_path)

    with pytest.raises(StreamingQueryException, match=r"(?s)perform latestOffset: .*SystemExit: 3"):
        run.to_the_end()


def test_a_simple_reader_must_advance_with_its_rows(spark: SparkSession, tmp_path: Path) -> None:
    stuck = type("Stuck", (SixSimple,), {"read": lambda _, start: (iter([(1, "a")]), start)})

    with pytest.raises(StreamingQueryException, match="SIMPLE_STREAM_READER_OFFSET_DID_NOT_ADVANCE"):
        Run(spark, stuck, tmp_path).to_the_end()


def test_without_any_reader(spark: SparkSession, tmp_path: Path) -> None:
    spark.dataSource.register(source("nothing"))
    frame = spark.readStream.format("nothing").load()
    query = frame.writeStream.format("noop").option("checkpointLocation", str(tmp_path)).start()

    with pytest.raises(StreamingQueryException, match="simpleStreamReader is not implemented"):
        query.awaitTermination(60)


def test_a_stream_joined_with_itself_and_a_view(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(spark, SixNow, tmp_path)
    run.frame.createOrReplaceTempView("six_view")
    run.frame = spark.sql("WITH x AS (SELECT * FROM six_view) SELECT id, s FROM x UNION ALL SELECT id + 10, s FROM x")

    run.to_the_end()

    assert len(run.rows()) == 12
