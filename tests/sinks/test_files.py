"""The file sinks: a batch counts from its entry in the folder's log."""

import json
from pathlib import Path

import pytest

from headwater.errors import AnalysisError
from headwater.sinks.base import sinks
from headwater.types.ddl import parse_schema
from support.files import SourceBench, put
from support.lake import query
from support.sinks import SinkBench

SCHEMA = parse_schema("id int, p string")


def rows(number: int, count: int = 2):
    return query(f"SELECT CAST({number} * 10 + i AS INTEGER) AS a, 'x:' || i AS b FROM range({count}) r(i)")


@pytest.fixture(params=["parquet", "json", "csv"])
def bench(request, tmp_path):
    return SinkBench(request.param, tmp_path, SCHEMA)


def read(kind: str, folder: Path):
    return SourceBench(kind, folder.parent, "id int, p string", str(folder)).batch()[0]


def test_batches_are_appended_and_read_back(bench, tmp_path):
    sink = bench.open(path=str(tmp_path / "out"))
    for number in range(12):
        bench.put(sink, number, rows(number))
    assert len(read(bench.kind, tmp_path / "out")) == 24
    assert (tmp_path / "out" / "_spark_metadata" / "9.compact").exists()
    assert not (tmp_path / "out" / "_temporary").exists()
    assert sink.description == f"FileSink[file:{tmp_path}/out]"


def test_a_batch_that_is_in_the_log_is_not_written_again(bench, tmp_path):
    bench.put(bench.open(path=str(tmp_path / "out")), 0, rows(0))
    bench.put(bench.open(path=str(tmp_path / "out")), 0, rows(7))
    assert [row[0] for row in read(bench.kind, tmp_path / "out")] == [0, 1]


def test_what_a_crash_left_behind_is_not_read(bench, tmp_path):
    bench.put(bench.open(path=str(tmp_path / "out")), 0, rows(0))
    orphan = next(path for path in (tmp_path / "out").iterdir() if path.name.startswith("part-"))
    put(tmp_path / "out" / f"part-00000-orphan-{orphan.name}", orphan.read_bytes())
    assert len(read(bench.kind, tmp_path / "out")) == 2


def test_an_entry_is_sparks_text(tmp_path):
    bench = SinkBench("parquet", tmp_path, SCHEMA)
    bench.put(bench.open(path=str(tmp_path / "out")), 0, rows(0))
    head, entry = (tmp_path / "out" / "_spark_metadata" / "0").read_text().split("\n")
    line = json.loads(entry)
    assert head == "v1"
    assert list(line) == ["path", "size", "isDir", "modificationTime", "blockReplication", "blockSize", "action"]
    written = Path(line["path"].removeprefix("file://"))
    assert written.name.startswith("part-00000-")
    assert written.name.endswith("-c000.snappy.parquet")
    assert line["size"] == written.stat().st_size


def test_partition_columns_become_folders(tmp_path):
    bench = SinkBench("json", tmp_path, SCHEMA)
    sink = bench.open(path=str(tmp_path / "out"), partition_by=("p",))
    bench.put(sink, 0, rows(0))
    bench.put(sink, 1, query("SELECT 5 AS a, CAST(NULL AS VARCHAR) AS b"))
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.name.startswith("p=")}
    assert folders == {"p=x%3A0", "p=x%3A1", "p=__HIVE_DEFAULT_PARTITION__"}
    assert read("json", tmp_path / "out") == [(0, "x:0"), (1, "x:1"), (5, None)]


def test_an_empty_batch_is_an_entry_without_files(bench, tmp_path):
    sink = bench.open(path=str(tmp_path / "out"))
    bench.put(sink, 0, rows(0, 0))
    assert (tmp_path / "out" / "_spark_metadata" / "0").read_text() == "v1"
    assert read(bench.kind, tmp_path / "out") == []


def test_a_failing_batch_leaves_no_trace(bench, tmp_path):
    sink = bench.open(path=str(tmp_path / "out"))
    with pytest.raises(Exception, match="boom"):
        bench.put(sink, 0, query("SELECT CAST(error('boom') AS INTEGER) AS a, 'x' AS b"))
    assert list((tmp_path / "out").iterdir()) == []
    bench.put(sink, 0, rows(0))
    assert len(read(bench.kind, tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("request_", "condition"),
    [
        ({}, "PATH_NOT_SPECIFIED"),
        ({"path": "x", "partition_by": ("q",)}, "PARTITION_COLUMN_NOT_FOUND_IN_SCHEMA"),
        ({"path": "x", "partition_by": ("id", "p")}, "ALL_PARTITION_COLUMNS_NOT_ALLOWED"),
    ],
)
def test_impossible_requests_are_refused(bench, request_, condition):
    with pytest.raises(AnalysisError, match=condition):
        bench.open(**request_)


def test_only_append_is_offered():
    assert sinks.get("parquet").output_modes == ("append",)
