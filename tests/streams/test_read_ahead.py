"""Batches whose input was read beside the one before: the same rows and figures as if each had read its own."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headwater.io.file_queue import Take
from headwater.sources.base import BatchInput, Offset
from headwater.sources.files import FileStream
from headwater.streaming import read_ahead
from headwater.streaming.read_ahead import ReadAhead, Reading
from headwater.testing import session

FILES, ROWS = 12, 50
SCHEMA = "k STRING, ts TIMESTAMP, v INT"


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with session() as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of 50 rows; the row i of file f has event time 100 f + i seconds after 2026."""
    start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    for number in range(FILES):
        rows = [{"k": f"k{i % 7}", "ts": _text(start + 100 * number + i), "v": i} for i in range(ROWS)]
        path = tmp_path / "in" / f"{number:02d}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.utime(path, (1_700_000_000 + number,) * 2)
    return tmp_path


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each batch, whether it had been read."""
    seen: list[bool] = []
    take = ReadAhead.take

    def noted(self: ReadAhead, rows: BatchInput | None) -> Reading | None:
        made = take(self, rows)
        seen.append(made is not None)
        return made

    monkeypatch.setattr(ReadAhead, "take", noted)
    return seen


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(spark: SparkSession, folder: Path) -> DataFrame:
    return spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).json(str(folder / "in"))


def by_key(rows: DataFrame) -> DataFrame:
    return rows.groupBy("k").agg(F.count("*").alias("n"), F.sum("v").alias("s"))


def by_minute(rows: DataFrame) -> DataFrame:
    late = rows.withWatermark("ts", "30 seconds")
    return late.groupBy(F.window("ts", "1 minute"), "k").agg(F.count("*").alias("n"), F.max("v").alias("s"))


def totals() -> dict[str, tuple[int, int]]:
    rows = Counter(f"k{i % 7}" for i in range(ROWS))
    sums: Counter[str] = Counter()
    for i in range(ROWS):
        sums[f"k{i % 7}"] += i
    return {k: (FILES * rows[k], FILES * sums[k]) for k in rows}


def run(rows: DataFrame, folder: Path, mode: str = "complete") -> tuple[list[Any], list[dict[str, Any]]]:
    """The rows in the sink and the progress of each batch with rows."""
    name = f"sink_{len(list(folder.parent.iterdir()))}_{time.monotonic_ns()}"
    writer = rows.writeStream.format("memory").queryName(name).outputMode(mode)
    query = writer.option("checkpointLocation", str(folder / "checkpoint")).trigger(availableNow=True).start()
    query.awaitTermination()
    reports = [json.loads(p.json) if hasattr(p, "json") else dict(p) for p in query.recentProgress]
    return rows.sparkSession.table(name).collect(), [p for p in reports if p["numInputRows"]]


def test_all_batches_but_the_first_are_read_ahead(spark: SparkSession, folder: Path, taken: list[bool]) -> None:
    rows, reports = run(by_key(read(spark, folder)), folder)

    assert {row.k: (row.n, row.s) for row in rows} == totals()
    assert [report["numInputRows"] for report in reports] == [ROWS] * FILES
    assert taken[:2] == [False, True]
    assert sum(taken) >= FILES - 2


def test_event_times_and_late_rows_are_as_if_the_batch_had_read(
    spark: SparkSession, folder: Path, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = folder / "in" / "99.json"
    late.write_text('{"k":"late","ts":"2026-01-01T00:00:01Z","v":1}\n{"k":"none","v":1}\n')
    os.utime(late, (1_700_000_099,) * 2)
    ahead = run(by_minute(read(spark, folder)), folder, "append")
    assert sum(taken) >= FILES - 1

    monkeypatch.setattr(FileStream, "ahead", lambda *_: [])
    (folder / "again").mkdir()
    (folder / "in").rename(folder / "again" / "in")
    alone = run(by_minute(read(spark, folder / "again")), folder / "again", "append")

    def told(reports: list[dict[str, Any]]) -> list[Any]:
        counters = ("numRowsTotal", "numRowsUpdated", "numRowsRemoved", "numRowsDroppedByWatermark")
        return [
            (r["numInputRows"], r["eventTime"], [r["stateOperators"][0][name] for name in counters]) for r in reports
        ]

    assert sorted(ahead[0]) == sorted(alone[0])
    assert told(ahead[1]) == told(alone[1])
    assert told(ahead[1])[-1][2][-1] == 1


def other_files(self: FileStream, end: Offset | None, skip: int, most: int) -> list[BatchInput]:
    """A guess that is always wrong: the file after the next one."""
    return [self._input(tuple(files)) for files in self._queue.peek(Take(1), skip + most + 1)[skip + 1 :]]


def no_file(self: FileStream, end: Offset | None, skip: int, most: int) -> list[BatchInput]:
    """A guess that cannot be read."""
    guesses = self._queue.peek(Take(1), skip + most)[skip:]
    return [self._input(tuple(replace(file, path=file.path + ".gone") for file in files)) for files in guesses]


def left_out(self: FileStream, end: Offset | None, skip: int, most: int) -> list[BatchInput]:
    """A guess that begins well and goes wrong: the fourth batch is left out."""
    files = [file for (file,) in self._queue.peek(Take(1), FILES)]
    left = [file for file in files if not file.path.endswith("03.json")]
    return [self._input((file,)) for file in left[skip : skip + most]]


@pytest.mark.parametrize("guess", [other_files, no_file])
def test_a_wrong_guess_costs_no_row(
    spark: SparkSession, folder: Path, taken: list[bool], monkeypatch: pytest.MonkeyPatch, guess: Callable[..., Any]
) -> None:
    monkeypatch.setattr(FileStream, "ahead", guess)

    rows, reports = run(by_key(read(spark, folder)), folder)

    assert {row.k: (row.n, row.s) for row in rows} == totals()
    assert [report["numInputRows"] for report in reports] == [ROWS] * FILES
    assert taken
    assert not any(taken)


def test_what_was_read_of_a_wrong_guess_is_dropped(
    spark: SparkSession, folder: Path, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileStream, "ahead", left_out)

    rows, reports = run(by_key(read(spark, folder)), folder)

    assert {row.k: (row.n, row.s) for row in rows} == totals()
    assert [report["numInputRows"] for report in reports] == [ROWS] * FILES
    assert taken[1:4] == [True, True, False]
    assert taken[-1]


@pytest.mark.parametrize("most", [1, 8])
def test_small_batches_are_read_together_and_told_apart(
    spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    together: list[int] = []
    several = ReadAhead._read_several

    def noted(self: ReadAhead, group: Sequence[BatchInput], turn: int) -> list[Reading]:
        together.append(len(group))
        return several(self, group, turn)

    monkeypatch.setattr(ReadAhead, "_read_several", noted)
    monkeypatch.setattr(read_ahead, "_MOST", most)
    for number in range(FILES):
        empty = folder / "in" / f"{number:02d}_empty.json"
        empty.write_text("")
        os.utime(empty, (1_700_000_000 + number,) * 2)

    read_two = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 2).json(str(folder / "in"))
    rows, reports = run(by_minute(read_two), folder, "append")

    assert together == ([] if most == 1 else [2, 4, 4])
    assert [report["numInputRows"] for report in reports] == [ROWS] * FILES
    monkeypatch.setattr(FileStream, "ahead", lambda *_: [])
    (folder / "again").mkdir()
    (folder / "in").rename(folder / "again" / "in")
    read_alone = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 2).json(str(folder / "again" / "in"))
    alone, reports_alone = run(by_minute(read_alone), folder / "again", "append")
    assert sorted(rows) == sorted(alone)
    assert [report["eventTime"] for report in reports] == [report["eventTime"] for report in reports_alone]


@pytest.mark.parametrize(
    "build",
    [
        lambda rows: by_key(rows.withColumn("k", F.current_timestamp().cast("string"))),
        lambda rows: by_key(rows.join(rows.sparkSession.createDataFrame([("k1",)], "k STRING"), "k")),
        lambda rows: by_key(rows.union(rows)),
    ],
    ids=["the batch's time", "data of the client", "two streams"],
)
def test_what_does_not_depend_on_the_files_alone_is_not_read_ahead(
    spark: SparkSession, folder: Path, taken: list[bool], build: Callable[[DataFrame], DataFrame]
) -> None:
    rows, _ = run(build(read(spark, folder)), folder)

    assert rows
    assert not taken


def test_a_stopped_query_leaves_no_reader(spark: SparkSession, folder: Path, taken: list[bool]) -> None:
    before = set(threading.enumerate())
    rows = by_key(read(spark, folder))
    writer = rows.writeStream.format("noop").outputMode("update").option("checkpointLocation", str(folder / "ck"))
    query = writer.start()
    query.processAllAvailable()
    assert any(taken)
    query.stop()
    names = {thread.name for thread in set(threading.enumerate()) - before}
    assert not [name for name in names if name.startswith(("read-ahead", "offset-log", "state-table"))]
