"""`read_files`, `STREAM read_files`, `cloud_files` and `cloud_files_state` in SQL, through the genuine client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PySparkException

from support.files import put
from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with spark_session() as session:
        yield session


def rows(frame: Any) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in frame.collect()), key=repr)


def drained(spark: Any, query: str, folder: Path, **options: str) -> list[tuple[Any, ...]]:
    stream = spark.sql(query)
    assert stream.isStreaming
    writer = stream.writeStream.format("delta").options(checkpointLocation=str(folder / "checkpoint"), **options)
    assert writer.trigger(availableNow=True).start(str(folder / "out")).awaitTermination(60)
    return rows(spark.read.format("delta").load(str(folder / "out")))


def test_a_batch_infers_types_format_and_partitions_and_rescues(spark: Any, tmp_path: Path) -> None:
    put(tmp_path / "in" / "day=2024-01-02" / "a.json", '{"id":1,"v":1.5,"n":{"q":1}}\n')
    path = put(tmp_path / "in" / "day=2024-01-03" / "b.json", '{"id":"x","v":2}\n')
    frame = spark.sql(f"SELECT * FROM read_files('{tmp_path}/in', schemaHints => 'id INT')")
    fields = "struct<id:int,n:struct<q:bigint>,v:double,_rescued_data:string,day:date>"
    assert frame.schema.simpleString() == fields
    found = rows(frame.selectExpr("id", "n.q", "v", "_rescued_data", "cast(day AS string)"))
    rescued = f'{{"id":"x","_file_path":"file:{path}"}}'
    assert found == [(1, 1, 1.5, None, "2024-01-02"), (None, None, 2.0, rescued, "2024-01-03")]
    with_file = spark.sql(
        f"SELECT id, _metadata.file_name f FROM read_files('{tmp_path}/in', format => 'json') WHERE v > 1.7"
    )
    assert rows(with_file) == [("x", "b.json")]


def test_a_batch_with_a_schema_and_options_of_the_format(spark: Any, tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.txt", "1|x\n2|y\n")
    text = "format => 'csv', header => false, sep => '|', schema => 'id INT, k STRING'"
    query = f"SELECT sum(id), max(k) FROM read_files('{tmp_path}/in', {text}) AS f"
    assert rows(spark.sql(query)) == [(3, "y")]


def test_a_stream_of_read_files_takes_each_file_once(spark: Any, tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.json", '{"id":1}\n')
    query = f"SELECT id + 1 AS n FROM STREAM read_files('{tmp_path}/in', format => 'json', maxFilesPerTrigger => 1)"
    assert drained(spark, query, tmp_path) == [(2,)]
    put(tmp_path / "in" / "b.json", '{"id":2}\n')
    assert drained(spark, query, tmp_path) == [(2,), (3,)]


def test_the_older_function_is_a_stream(spark: Any, tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.csv", "id;k\n1;x\n")
    options = "map('sep', ';', 'cloudFiles.inferColumnTypes', 'true')"
    query = f"SELECT id, k FROM cloud_files('{tmp_path}/in', 'csv', {options})"
    assert drained(spark, query, tmp_path) == [(1, "x")]


def test_the_state_of_a_checkpoint(spark: Any, tmp_path: Path) -> None:
    path = put(tmp_path / "in" / "a.json", '{"id":1}\n')
    drained(spark, f"SELECT id FROM STREAM read_files('{tmp_path}/in')", tmp_path)
    query = f"""SELECT path, size, commit_time >= discovery_time, archive_time, ingestion_state
        FROM cloud_files_state('{tmp_path}/checkpoint')"""
    assert rows(spark.sql(query)) == [(f"file:{path}", 9, True, None, "COMMITTED")]


def test_progress_says_what_waits(spark: Any, tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / "in" / f"{number}.json", '{"id":1}\n')
    options = {"cloudFiles.format": "json", "cloudFiles.maxFilesPerTrigger": "1"}
    stream = spark.readStream.format("cloudFiles").options(**options).load(str(tmp_path / "in"))
    writer = stream.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "checkpoint"))
    query = writer.trigger(availableNow=True).start(str(tmp_path / "out"))
    assert query.awaitTermination(60)
    found = [json.loads(json.dumps(one["sources"][0])) for one in map(_plain, query.recentProgress)]
    waiting = [(one["metrics"]["numFilesOutstanding"], one["metrics"]["numBytesOutstanding"]) for one in found]
    assert waiting[:3] == [("2", "18"), ("1", "9"), ("0", "0")]
    assert {one["metrics"]["approximateQueueSize"] for one in found} == {"0"}
    offset = found[0]["endOffset"]
    offset = json.loads(offset) if isinstance(offset, str) else offset
    keys = "seqNum sourceVersion lastBackfillStartTimeMs lastBackfillFinishTimeMs lastInputPath"
    assert list(offset) == keys.split()


def _plain(progress: Any) -> Any:
    return json.loads(progress.json) if hasattr(progress, "json") else progress


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("read_files()", "INCORRECT_NUMBER_OF_ARGUMENTS"),
        ("read_files('{}', 'json')", "INCORRECT_NUMBER_OF_ARGUMENTS"),
        ("read_files('{}', format => concat('js', 'on'))", "no constant"),
        ("read_files('{}', format => 'json', useNotifications => true)", "useNotifications"),
        ("read_files('{}/nowhere', format => 'json')", "PATH_NOT_FOUND"),
        ("read_files('{}')", "CF_SOURCE_FORMAT_MISSING"),
        ("cloud_files('{}')", "INCORRECT_NUMBER_OF_ARGUMENTS"),
        ("cloud_files('{}', 'json', 'sep')", "no map"),
        ("cloud_files_state('{}')", "PATH_NOT_FOUND"),
    ],
)
def test_calls_that_cannot_be_are_refused(spark: Any, tmp_path: Path, call: str, message: str) -> None:
    with pytest.raises((AnalysisException, PySparkException), match=message):
        spark.sql(f"SELECT * FROM {call.format(tmp_path)}").collect()
