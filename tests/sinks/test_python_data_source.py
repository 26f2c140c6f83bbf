"""Python data sources over the genuine client: registered classes written as batches and as streams."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark import TaskContext
from pyspark.errors import AnalysisException, PythonException, StreamingQueryException
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceStreamArrowWriter,
    DataSourceStreamWriter,
    DataSourceWriter,
    WriterCommitMessage,
)

from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


class Written(WriterCommitMessage):
    """How many rows."""

    def __init__(self, rows: int) -> None:
        self.rows = rows


def note(path: str, *what: object) -> None:
    with open(path, "a") as file:
        file.write(json.dumps(what) + "\n")


def noted(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Notes:
    """Writes into a file what it is asked to do; fails where it is told to."""

    def __init__(self, log: str, fail: str, overwrite: bool = False) -> None:
        self.log, self.fail, self.overwrite = log, fail, overwrite

    def write(self, rows: Any) -> Any:
        found = [row.asDict() if hasattr(row, "asDict") else row.to_pylist() for row in rows]
        note(self.log, "write", found, self.overwrite)
        if self.fail == "write":
            raise ValueError("cannot write")
        if self.fail == "exit":
            sys.exit(3)
        return 5 if self.fail == "message" else Written(len(found))

    def commit(self, messages: list[Any], *batch: int) -> None:
        note(self.log, "commit", [one and one.rows for one in messages], *batch)
        if self.fail == "commit":
            raise ValueError("cannot commit")

    def abort(self, messages: list[Any], *batch: int) -> None:
        note(self.log, "abort", [one and one.rows for one in messages], *batch)


class BatchNotes(Notes, DataSourceWriter):
    """Rows of a batch."""


class BatchArrowNotes(Notes, DataSourceArrowWriter):
    """Arrow of a batch."""


class StreamNotes(Notes, DataSourceStreamWriter):
    """Rows of a stream."""


class StreamArrowNotes(Notes, DataSourceStreamArrowWriter):
    """Arrow of a stream."""


@pytest.fixture
def notes(spark: SparkSession, tmp_path: Path) -> Path:
    """Where the registered data sources `notes` and `arrow` write their notes."""
    log = str(tmp_path / "log")

    class Rows(DataSource):
        @classmethod
        def name(cls) -> str:
            return "notes"

        def writer(self, schema: Any, overwrite: bool) -> Any:
            return BatchNotes(log, self.options.get("fail", ""), overwrite)

        def streamWriter(self, schema: Any, overwrite: bool) -> Any:
            note(log, "options", sorted(self.options))
            return StreamNotes(log, self.options.get("fail", ""), overwrite)

    class Arrow(DataSource):
        @classmethod
        def name(cls) -> str:
            return "arrow"

        def writer(self, schema: Any, overwrite: bool) -> Any:
            return BatchArrowNotes(log, "", overwrite)

        def streamWriter(self, schema: Any, overwrite: bool) -> Any:
            return StreamArrowNotes(log, "", overwrite)

    spark.dataSource.register(Rows)
    spark.dataSource.register(Arrow)
    return tmp_path / "log"


# ── batch ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_rows_are_written_and_committed(spark: SparkSession, notes: Path, mode: str) -> None:
    spark.range(2).write.format("notes").mode(mode).save()

    assert noted(notes) == [["write", [{"id": 0}, {"id": 1}], mode == "overwrite"], ["commit", [2]]]


def test_arrow_writers_get_arrow(spark: SparkSession, notes: Path) -> None:
    spark.range(2).write.format("arrow").mode("append").save("/path")

    assert noted(notes) == [["write", [[{"id": 0}, {"id": 1}]], False], ["commit", [1]]]


@pytest.mark.parametrize("mode", [None, "ignore", "error"])
def test_other_modes_are_refused(spark: SparkSession, notes: Path, mode: str | None) -> None:
    writer = spark.range(2).write.format("notes")

    with pytest.raises(AnalysisException, match='either the "Append" or "Overwrite" mode') as caught:
        (writer.mode(mode) if mode else writer).save()

    assert caught.value.getCondition() == "UNSUPPORTED_DATA_SOURCE_SAVE_MODE"
    assert noted(notes) == []


@pytest.mark.parametrize(
    ("fail", "error", "calls"),
    [
        ("write", PythonException, [["abort", [None]]]),
        ("exit", PythonException, [["abort", [None]]]),
        ("message", PythonException, [["abort", [None]]]),
        ("commit", AnalysisException, [["commit", [1]], ["abort", [1]]]),
    ],
)
def test_a_failed_write_is_aborted(
    spark: SparkSession, notes: Path, fail: str, error: type[Exception], calls: list[Any]
) -> None:
    with pytest.raises(error, match=r"cannot|SystemExit: 3|DATA_SOURCE_TYPE_MISMATCH"):
        spark.range(1).write.format("notes").mode("append").option("fail", fail).save()

    assert noted(notes)[1:] == calls


def test_rows_that_fail_by_themselves_keep_their_error(spark: SparkSession, notes: Path) -> None:
    with pytest.raises(Exception, match="DIVIDE_BY_ZERO"):
        spark.range(1).selectExpr("1 / id").write.format("notes").mode("append").save()

    assert noted(notes) == [["abort", [None]]]


def test_a_writer_knows_its_task(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "tasks")

    class Tasks(DataSource):
        def writer(self, schema: Any, overwrite: bool) -> Any:
            class Writer(DataSourceWriter):
                def write(self, rows: Any) -> Any:
                    task = TaskContext.get()
                    assert task is not None
                    note(path, task.partitionId(), task.taskAttemptId())
                    return Written(0)

            return Writer()

    spark.dataSource.register(Tasks)
    for _ in range(2):
        spark.range(1).write.format("tasks").mode("append").save()

    (first, one), (second, other) = noted(tmp_path / "tasks")
    assert (first, second) == (0, 0)
    assert one != other


# ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────


class Feed:
    """A stream of JSON files."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.folder = folder
        (folder / "in").mkdir()
        self.frame = spark.readStream.schema("id INT").option("maxFilesPerTrigger", 1).json(str(folder / "in"))

    def add(self, *ids: int) -> Feed:
        rows = "".join(json.dumps({"id": i}) + "\n" for i in ids)
        (self.folder / "in" / f"{len(list((self.folder / 'in').iterdir()))}.json").write_text(rows)
        return self

    def run(self, sink: str = "notes", mode: str = "append", frame: Any = None, **options: str) -> Any:
        """Run to the end; returns the last progress."""
        writer = (frame or self.frame).writeStream.format(sink).outputMode(mode).options(**options)
        writer = writer.option("checkpointLocation", str(self.folder / "checkpoint")).queryName("feed")
        query = writer.trigger(availableNow=True).start()
        assert query.awaitTermination(60)
        return query.lastProgress


@pytest.fixture
def feed(spark: SparkSession, tmp_path: Path) -> Feed:
    return Feed(spark, tmp_path)


def without_options(notes: Path) -> list[Any]:
    return [call for call in noted(notes) if call[0] != "options"]


def test_batches_are_written_and_committed_under_their_id(feed: Feed, notes: Path) -> None:
    last = feed.add(1, 2).add(3).run()

    assert noted(notes)[0] == ["options", ["checkpointlocation", "queryname"]]
    assert without_options(notes) == [
        ["write", [{"id": 1}, {"id": 2}], False], ["commit", [2], 0],
        ["write", [{"id": 3}], False], ["commit", [1], 1],
    ]  # fmt: skip
    assert last.sink.numOutputRows == 1


def test_arrow_writers_of_streams_get_arrow(feed: Feed, notes: Path) -> None:
    feed.add(1, 2).run("arrow")

    assert noted(notes) == [["write", [[{"id": 1}, {"id": 2}]], False], ["commit", [1], 0]]


def test_complete_mode_overwrites_and_update_mode_is_refused(feed: Feed, notes: Path) -> None:
    counted = feed.add(1, 1).frame.groupBy("id").count()

    feed.run(mode="complete", frame=counted)

    assert without_options(notes)[0] == ["write", [{"id": 1, "count": 2}], True]
    with pytest.raises(AnalysisException, match="update"):
        feed.run(mode="update", frame=counted)


@pytest.mark.parametrize(
    ("fail", "message", "calls"),
    [
        ("write", "cannot write", [["abort", [None], 0]]),
        ("exit", "SystemExit: 3", [["abort", [None], 0]]),
        ("message", "DATA_SOURCE_TYPE_MISMATCH", [["abort", [None], 0]]),
        ("commit", "Failed to commit or abort Python data source write.*cannot commit", [
            ["commit", [1], 0], ["abort", [1], 0],
        ]),
    ],
)  # fmt: skip
def test_a_failed_batch_is_aborted_and_comes_again_under_its_id(
    feed: Feed, notes: Path, fail: str, message: str, calls: list[Any]
) -> None:
    with pytest.raises(StreamingQueryException, match=f"(?s){message}"):
        feed.add(1).run(fail=fail)
    assert without_options(notes)[1:] == calls
    notes.unlink()

    feed.run()

    assert without_options(notes) == [["write", [{"id": 1}], False], ["commit", [1], 0]]


def test_a_writer_that_is_none(spark: SparkSession, feed: Feed) -> None:
    class Nothing(DataSource):
        def streamWriter(self, schema: Any, overwrite: bool) -> Any:
            return pa

    spark.dataSource.register(Nothing)

    with pytest.raises(StreamingQueryException, match="an instance of DataSourceStreamWriter"):
        feed.add(1).run("nothing")
