"""Bad input, through the genuine client: Spark's behaviour or an error that names file and remedy.

Invariant of every test: the good rows arrive once; after the cause is removed the query goes on from its checkpoint.
"""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import AnalysisException, PySparkException, StreamingQueryException

from support.server import spark_session

SOURCES = ("json", "cloudFiles")


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with spark_session() as session:
        yield session


@dataclass
class Pipe:
    """A folder of files into a Delta table, by a checkpoint that stays."""

    spark: Any
    folder: Path
    source: str = "json"
    schema: str = "id BIGINT, k STRING"
    options: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.input.mkdir(exist_ok=True)

    @property
    def input(self) -> Path:
        return self.folder / "in"

    def run(self) -> None:
        """Everything there is, one file a batch."""
        start = self.start()
        assert start.awaitTermination(60)

    def start(self) -> Any:
        per_batch = "cloudFiles.maxFilesPerTrigger" if self.source == "cloudFiles" else "maxFilesPerTrigger"
        options = {per_batch: "1", **self.options}
        if self.source == "cloudFiles":
            options.setdefault("cloudFiles.format", "json")
        stream = self.spark.readStream.format(self.source).options(**options).schema(self.schema).load(str(self.input))
        writer = stream.writeStream.format("delta").option("checkpointLocation", str(self.folder / "checkpoint"))
        return writer.trigger(availableNow=True).start(str(self.folder / "out"))

    def fails(self) -> str:
        """Run into an error; its text."""
        with pytest.raises(StreamingQueryException) as caught:
            self.run()
        return str(caught.value)

    def rows(self) -> list[tuple[Any, ...]]:
        out = self.folder / "out"
        if not out.exists():
            return []
        rows = [tuple(row) for row in self.spark.read.format("delta").load(str(out)).collect()]
        return sorted(rows, key=repr)

    def put(self, name: str, *lines: Any) -> Path:
        """A whole file, renamed into place."""
        hidden = self.input / f".{name}"
        hidden.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return hidden.rename(self.input / name)


def ids(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": number, "k": f"k{number}"} for number in numbers]


def rows(*numbers: int) -> list[tuple[Any, ...]]:
    return sorted(((number, f"k{number}") for number in numbers), key=repr)


NULLS = (None, None)


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_being_written_under_a_hidden_name_is_read_once_it_has_its_name(
    spark: Any, tmp_path: Path, source: str
) -> None:
    pipe = Pipe(spark, tmp_path, source)
    pipe.put("a.json", *ids(1))
    (pipe.input / "_b.json").write_text('{"id": 2, "k": "k2"}\n{"id": 3, "k"')
    pipe.run()
    assert pipe.rows() == rows(1)
    (pipe.input / "_b.json").unlink()
    pipe.put("b.json", *ids(2, 3))
    pipe.run()
    pipe.run()
    assert pipe.rows() == rows(1, 2, 3)


@pytest.mark.parametrize("source", SOURCES)
def test_a_half_written_last_line_is_a_row_of_nulls_and_the_lines_before_it_are_kept(
    spark: Any, tmp_path: Path, source: str
) -> None:
    pipe = Pipe(spark, tmp_path, source)
    half = pipe.input / "a.json"
    half.write_text('{"id": 1, "k": "k1"}\n{"id": 2, "k')
    pipe.run()
    assert pipe.rows() == sorted([*rows(1), NULLS], key=repr)
    half.write_text('{"id": 1, "k": "k1"}\n{"id": 2, "k": "k2"}\n')
    pipe.put("rest.json", *ids(2))
    pipe.run()
    assert pipe.rows() == sorted([*rows(1, 2), NULLS], key=repr), "a path is read once; the rest came by another name"


@pytest.mark.parametrize("source", SOURCES)
def test_an_empty_file_gives_no_rows_and_stops_nothing(spark: Any, tmp_path: Path, source: str) -> None:
    pipe = Pipe(spark, tmp_path, source)
    pipe.put("a.json")
    pipe.put("b.json", *ids(1))
    pipe.put("c.json", "", "")
    pipe.run()
    assert pipe.rows() == rows(1)


def test_an_empty_csv_file_and_one_of_a_header_alone_give_no_rows(spark: Any, tmp_path: Path) -> None:
    pipe = Pipe(spark, tmp_path, "csv", options={"header": "true"})
    pipe.put("a.csv")
    pipe.put("b.csv", "id,k")
    pipe.put("c.csv", "id,k", "1,k1")
    pipe.run()
    assert pipe.rows() == rows(1)


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_that_vanishes_before_it_is_read_is_named_and_the_query_goes_on_when_it_is_back(
    spark: Any, tmp_path: Path, source: str
) -> None:
    pipe = Pipe(spark, tmp_path, source)
    pipe.put("a.json", *ids(1))
    pipe.run()
    lost = _given_but_gone(pipe, "b.json")
    pipe.put("c.json", *ids(3))
    failure = pipe.fails()
    assert "b.json" in failure
    assert "FAILED_READ_FILE.FILE_NOT_EXIST" in failure
    assert pipe.rows() == rows(1)
    lost.write_text('{"id": 2, "k": "k2"}\n')
    pipe.run()
    assert pipe.rows() == rows(1, 2, 3)


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_that_vanishes_is_passed_over_with_ignore_missing_files(spark: Any, tmp_path: Path, source: str) -> None:
    pipe = Pipe(spark, tmp_path, source)
    pipe.put("a.json", *ids(1))
    pipe.run()
    _given_but_gone(pipe, "b.json")
    pipe.put("c.json", *ids(3))
    assert "b.json" in pipe.fails()
    pipe.options = {"ignoreMissingFiles": "true"}
    pipe.run()
    assert pipe.rows() == rows(1, 3)


def _given_but_gone(pipe: Pipe, name: str) -> Path:
    """A file that the source's log gave to the next batch and that has gone since."""
    log = pipe.folder / "checkpoint" / "sources" / "0"
    number = max(int(entry.name) for entry in log.iterdir() if entry.name.isdecimal()) + 1
    gone = pipe.input / name
    line = {"path": f"file://{gone}", "timestamp": 1, "batchId": number}
    (log / str(number)).write_text("v1\n" + json.dumps(line, separators=(",", ":")))
    return gone


@pytest.mark.parametrize("source", SOURCES)
def test_garbage_between_good_lines_is_a_row_of_nulls_each(spark: Any, tmp_path: Path, source: str) -> None:
    pipe = Pipe(spark, tmp_path, source)
    pipe.put("a.json", *ids(1), "garbage", '{"id": ', *ids(2), "\x00\x01", '{"id": "x", "k": "k3"}', *ids(4))
    pipe.run()
    assert pipe.rows() == sorted([*rows(1, 2, 4), NULLS, NULLS, NULLS, (None, "k3")], key=repr)


def test_garbage_is_kept_in_the_rescued_data_column(spark: Any, tmp_path: Path) -> None:
    pipe = Pipe(spark, tmp_path, "cloudFiles", options={"rescuedDataColumn": "_rescued_data"})
    path = pipe.put("a.json", *ids(1), "garbage", '{"id": 2, "k": "k2", "new": 5}', '{"id": "x", "k": "k3"}')
    pipe.run()
    found = {row[:2]: row[2] and json.loads(row[2]) for row in pipe.rows()}
    place = {"_file_path": f"file:{path}"}
    assert found == {
        (1, "k1"): None,
        NULLS: {"_corrupt_record": "garbage", **place},
        (2, "k2"): {"new": 5, **place},
        (None, "k3"): {"id": "x", **place},
    }


def test_fail_fast_names_the_record_and_goes_on_when_the_file_is_mended(spark: Any, tmp_path: Path) -> None:
    pipe = Pipe(spark, tmp_path, options={"mode": "FAILFAST"})
    pipe.put("a.json", *ids(1))
    pipe.put("b.json", *ids(2), "garbage")
    failure = pipe.fails()
    assert "MALFORMED_RECORD_IN_PARSING" in failure
    assert "garbage" in failure
    assert "b.json" in failure
    assert pipe.rows() == rows(1)
    pipe.put("b.json", *ids(2))
    pipe.run()
    assert pipe.rows() == rows(1, 2)


@pytest.mark.parametrize("source", ["csv", "cloudFiles"])
def test_csv_rows_with_too_many_or_too_few_cells_lose_nothing_else(spark: Any, tmp_path: Path, source: str) -> None:
    pipe = Pipe(spark, tmp_path, source, options={"cloudFiles.format": "csv"} if source == "cloudFiles" else {})
    pipe.put("a.csv", "1,k1", "2,k2,surplus,more", "3", '4,"k4', "5,k5", "x,k6")
    pipe.run()
    assert pipe.rows() == sorted([*rows(1, 2, 4, 5), (3, None), (None, "k6")], key=repr)


def test_csv_rows_of_another_width_are_dropped_or_refused_as_the_mode_says(spark: Any, tmp_path: Path) -> None:
    pipe = Pipe(spark, tmp_path, "csv", options={"mode": "DROPMALFORMED"})
    pipe.put("a.csv", "1,k1", "2,k2,surplus", "3", "x,k4", "5,k5")
    pipe.run()
    assert pipe.rows() == rows(1, 5)
    pipe.options = {"mode": "FAILFAST"}
    bad = pipe.put("b.csv", "6,k6", "7,k7,surplus")
    failure = pipe.fails()
    assert "7,k7,surplus" in failure
    assert "b.csv" in failure
    bad.write_text("6,k6\n7,k7\n")
    pipe.run()
    assert pipe.rows() == rows(1, 5, 6, 7)


@pytest.mark.parametrize("source", ["parquet", "cloudFiles"])
def test_parquet_of_another_type_names_the_file_and_goes_on_when_it_is_gone(
    spark: Any, tmp_path: Path, source: str
) -> None:
    pipe = Pipe(spark, tmp_path, source, options={"cloudFiles.format": "parquet"} if source == "cloudFiles" else {})
    _parquet(pipe.input / "a.parquet", [1])
    pipe.run()
    _parquet(pipe.input / "b.parquet", ["not a number"])
    assert "b.parquet" in pipe.fails()
    assert pipe.rows() == rows(1)
    _parquet(pipe.input / "b.parquet", [2])
    _parquet(pipe.input / "c.parquet", [3])
    pipe.run()
    assert pipe.rows() == rows(1, 2, 3)


def test_a_file_that_is_no_parquet_is_named(spark: Any, tmp_path: Path) -> None:
    pipe = Pipe(spark, tmp_path, "parquet")
    _parquet(pipe.input / "a.parquet", [1])
    pipe.run()
    (pipe.input / "b.parquet").write_text("not parquet")
    failure = pipe.fails()
    assert "FAILED_READ_FILE" in failure
    assert "b.parquet" in failure
    _parquet(pipe.input / "b.parquet", [2])
    pipe.run()
    assert pipe.rows() == rows(1, 2)


def _parquet(path: Path, numbers: Sequence[Any]) -> None:
    hidden = path.with_name(f".{path.name}")
    pq.write_table(pa.table({"id": numbers, "k": [f"k{number}" for number in numbers]}), hidden)
    hidden.rename(path)


@pytest.mark.parametrize("source", SOURCES)
def test_a_broken_archive_is_named_and_the_query_goes_on_when_it_is_whole(
    spark: Any, tmp_path: Path, source: str
) -> None:
    pipe = Pipe(spark, tmp_path, source)
    pipe.put("a.json", *ids(1))
    whole = gzip.compress("".join(json.dumps(row) + "\n" for row in ids(*range(2, 500))).encode())
    (pipe.input / "b.json.gz").write_bytes(whole[: len(whole) // 2])
    failure = pipe.fails()
    assert "FAILED_READ_FILE" in failure
    assert "b.json.gz" in failure
    assert pipe.rows() == rows(1)
    (pipe.input / "b.json.gz").write_bytes(whole)
    pipe.run()
    assert pipe.rows() == rows(*range(1, 500))


@pytest.mark.parametrize("source", SOURCES)
def test_a_broken_archive_is_passed_over_with_ignore_corrupt_files(spark: Any, tmp_path: Path, source: str) -> None:
    pipe = Pipe(spark, tmp_path, source, options={"ignoreCorruptFiles": "true"})
    pipe.put("a.json", *ids(1))
    (pipe.input / "b.json.gz").write_bytes(gzip.compress(b'{"id": 7}\n' * 500)[:30])
    (pipe.input / "c.json.gz").write_bytes(b"no archive at all")
    pipe.put("d.json", *ids(2))
    pipe.run()
    assert pipe.rows() == rows(1, 2)


# ── starts that are refused ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("source", SOURCES)
def test_a_missing_folder_is_refused_at_the_start_and_named(spark: Any, tmp_path: Path, source: str) -> None:
    pipe = Pipe(spark, tmp_path, source)
    pipe.input.rmdir()
    with pytest.raises(AnalysisException, match=r"PATH_NOT_FOUND.*/in"):
        pipe.start()
    assert not (tmp_path / "checkpoint").exists()
    pipe.input.mkdir()
    pipe.put("a.json", *ids(1))
    pipe.run()
    assert pipe.rows() == rows(1)


def test_a_stream_of_files_without_a_schema_is_refused_at_the_start(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"id": 1}\n')
    with pytest.raises(PySparkException, match=r"[Ss]chema must be specified"):
        spark.readStream.format("json").load(str(tmp_path)).writeStream.format("noop").start()


def test_auto_loader_without_a_schema_needs_a_first_file(spark: Any, tmp_path: Path) -> None:
    stream = spark.readStream.format("cloudFiles").option("cloudFiles.format", "json")
    stream = stream.option("cloudFiles.schemaLocation", str(tmp_path / "schema"))
    (tmp_path / "in").mkdir()
    with pytest.raises(PySparkException, match="CF_EMPTY_DIR_FOR_SCHEMA_INFERENCE"):
        stream.load(str(tmp_path / "in")).schema  # noqa: B018
    (tmp_path / "in" / "a.json").write_text('{"id": 1}\n')
    assert stream.load(str(tmp_path / "in")).schema.names == ["id", "_rescued_data"]


# ── checkpoints ─────────────────────────────────────────────────────────────────────────────────────────────


def test_of_two_servers_on_one_checkpoint_one_survives(spark: Any, tmp_path: Path) -> None:
    pipe = Pipe(spark, tmp_path)
    for number in range(40):
        pipe.put(f"{number:03}.json", *ids(number))
    failures: list[str] = []

    def race(session: Any, gate: threading.Barrier) -> None:
        rival = Pipe(session, tmp_path)
        gate.wait()
        try:
            rival.run()
        except StreamingQueryException as error:
            failures.append(str(error))

    with spark_session() as other:
        gate = threading.Barrier(2)
        rivals = [threading.Thread(target=race, args=(session, gate)) for session in (spark, other)]
        for rival in rivals:
            rival.start()
        for rival in rivals:
            rival.join(60)
    assert len(failures) <= 1, failures
    assert all("CONCURRENT_STREAM_LOG_UPDATE" in failure for failure in failures)
    pipe.run()
    assert pipe.rows() == rows(*range(40))


def test_a_checkpoint_of_another_query_is_refused_before_data_is_touched(spark: Any, tmp_path: Path) -> None:
    pipe = Pipe(spark, tmp_path)
    pipe.put("a.json", *ids(1))
    pipe.run()
    pipe.put("b.json", *ids(2))
    checkpoint = str(tmp_path / "checkpoint")
    before = _tree(tmp_path / "checkpoint")
    stream = spark.readStream.format("json").schema(pipe.schema).load(str(pipe.input))
    elsewhere = stream.writeStream.format("delta").option("checkpointLocation", checkpoint)
    counted = stream.groupBy("k").count().writeStream.format("memory").queryName("other").outputMode("complete")
    both = stream.union(stream).writeStream.format("delta").option("checkpointLocation", checkpoint)
    refused: list[Callable[[], Any]] = [
        lambda: elsewhere.start(str(tmp_path / "elsewhere")),
        lambda: counted.option("checkpointLocation", checkpoint).start(),
        lambda: both.start(str(tmp_path / "out")),
    ]
    for start in refused:
        with pytest.raises(PySparkException, match=r"CHECKPOINT|checkpoint"):
            start().awaitTermination(30)
    assert not (tmp_path / "elsewhere").exists()
    assert _tree(tmp_path / "checkpoint") == before
    pipe.run()
    assert pipe.rows() == rows(1, 2)


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ── a full disk ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=512k tmpfs '{disk}' 2>/dev/null") != 0:
        pytest.skip("mounting is not allowed here")
    try:
        yield disk
    finally:
        os.system(f"umount -l '{disk}'")


def _fill(disk: Path) -> Path:
    """Take all room that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


@pytest.mark.parametrize("part", ["out", "checkpoint"])
@pytest.mark.parametrize("sink", ["delta", "parquet"])
def test_a_full_disk_fails_the_query_and_with_room_again_it_goes_on(
    spark: Any, tmp_path: Path, small_disk: Path, part: str, sink: str
) -> None:
    (tmp_path / part).symlink_to(small_disk / part)
    (small_disk / part).mkdir()
    folder, source = tmp_path, tmp_path / "in"
    source.mkdir()

    def run() -> None:
        stream = spark.readStream.schema("id BIGINT, k STRING").json(str(source))
        writer = stream.writeStream.format(sink).option("checkpointLocation", str(folder / "checkpoint"))
        assert writer.trigger(availableNow=True).start(str(folder / "out")).awaitTermination(60)

    def found() -> list[tuple[Any, ...]]:
        return sorted((tuple(row) for row in spark.read.format(sink).load(str(folder / "out")).collect()), key=repr)

    def put(name: str, *numbers: int) -> None:
        (source / name).write_text("".join(json.dumps(row) + "\n" for row in ids(*numbers)))

    put("a.json", 1, 2)
    run()
    assert found() == rows(1, 2)
    for room in (0, 1, 2, 3):
        ballast = _fill(small_disk)
        with ballast.open("r+b") as file:
            file.truncate(ballast.stat().st_size - room * 4096)
        put(f"b{room}.json", 3 + room)
        try:
            run()
        except PySparkException as error:
            assert "No space" in str(error)  # noqa: PT017
        else:
            assert room > 0, "with no room at all the query must fail"
        ballast.unlink()
        run()
        assert found() == rows(1, 2, *range(3, 4 + room))
