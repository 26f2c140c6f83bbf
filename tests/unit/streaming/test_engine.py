"""The eight steps: order, replay, and what a trigger leaves behind."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType
from sqlglot import exp

from headwater.clock import ManualClock
from headwater.duck import Database
from headwater.errors import ConcurrentWriteError, RuntimeSparkError
from headwater.io.local import LocalStorage
from headwater.plan.commands import Trigger
from headwater.sinks.base import Batch, SinkResult
from headwater.streaming.checkpoint import Checkpoint
from headwater.streaming.dataflow import Dataflow
from headwater.streaming.engine import MicroBatchEngine, Parts
from headwater.streaming.logs import PINNED, BatchLog, Entry
from headwater.streaming.progress import BatchReport
from headwater.streaming.protocol import Action
from support.fakes import FakeSink, FakeSource

SCHEMA = StructType([StructField("k", StringType()), StructField("v", LongType())])


class Harness:
    """An engine over fakes, restarted at will on one checkpoint."""

    def __init__(self, path: Path, trigger: Trigger | None = None, sources: int = 1) -> None:
        self.path = str(path)
        self.database = Database(threads=1)
        self.sources = [FakeSource(SCHEMA, str(i)) for i in range(sources)]
        self.sink = FakeSink()
        self.clock = ManualClock(1_700_000_000_000)
        self.reports: list[BatchReport] = []
        self.trigger = trigger or Trigger()
        self.retain = 100

    def open(self) -> MicroBatchEngine:
        first = exp.select("k", "v").from_("stream_0").where("v % 2 = 0")
        query: exp.Query = first
        for index in range(1, len(self.sources)):
            query = exp.union(query, exp.select("k", "v").from_(f"stream_{index}"), distinct=False)
        stream = Dataflow(query, SCHEMA, (("k", "v"),) * len(self.sources))
        parts = Parts(
            stream,
            tuple(self.sources),
            self.sink,
            Checkpoint(LocalStorage("none"), self.path),
            self.database,
            self.database.connect(),
            self.clock,
            "append",
            self.trigger,
            self.retain,
            dict(PINNED),
        )
        engine = MicroBatchEngine(parts, lambda _: None, self.reports.append)
        engine.prepare()
        engine.open()
        return engine


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path / "ck")


def numbers(*values: int) -> list[dict[str, object]]:
    return [{"k": f"k{v}", "v": v} for v in values]


def test_a_batch_reaches_the_sink_and_both_logs(harness: Harness) -> None:
    engine = harness.open()
    harness.sources[0].add(numbers(1, 2, 3, 4))

    assert engine.trigger() is Action.RUN
    assert engine.trigger() is Action.WAIT

    assert harness.sink.rows == [("k2", 2), ("k4", 4)]
    ck = Path(harness.path)
    assert (ck / "offsets/0").read_text().splitlines()[0::2] == ["v1", '{"chunk":1}']
    assert (ck / "commits/0").read_text() == 'v1\n{"nextBatchWatermarkMs":0}'
    assert harness.sources[0].committed == ['{"chunk":1}']


def test_a_planned_batch_is_run_again_with_its_own_offsets(harness: Harness) -> None:
    engine = harness.open()
    harness.sources[0].add(numbers(2))
    harness.sink.error = RuntimeError("boom")
    with pytest.raises(RuntimeError, match="boom"):
        engine.trigger()

    harness.sink.error = None
    harness.sources[0].add(numbers(4))
    engine = harness.open()

    assert engine.trigger() is Action.REPLAY
    assert harness.sink.rows == [("k2", 2)]
    assert engine.trigger() is Action.RUN
    assert harness.sink.rows == [("k2", 2), ("k4", 4)]


def test_a_finished_query_goes_on_behind_its_last_commit(harness: Harness) -> None:
    engine = harness.open()
    harness.sources[0].add(numbers(2))
    assert [engine.trigger(), engine.trigger()] == [Action.RUN, Action.WAIT]
    engine = harness.open()

    assert engine.trigger() is Action.WAIT
    harness.sources[0].add(numbers(6))
    assert engine.trigger() is Action.RUN
    assert sorted(harness.sink.batches) == [0, 1]


def test_a_source_without_news_keeps_its_offset(tmp_path: Path) -> None:
    harness = Harness(tmp_path / "ck", sources=2)
    engine = harness.open()
    harness.sources[1].add(numbers(1))
    engine.trigger()
    harness.sources[0].add(numbers(2))
    engine.trigger()

    assert Path(harness.path, "offsets/0").read_text().splitlines()[2:] == ["-", '{"chunk":1}']
    assert Path(harness.path, "offsets/1").read_text().splitlines()[2:] == ['{"chunk":1}', '{"chunk":1}']
    assert harness.sink.rows == [("k1", 1), ("k2", 2)]


def test_two_runs_on_one_checkpoint_end_with_one(harness: Harness) -> None:
    first, second = harness.open(), harness.open()
    harness.sources[0].add(numbers(2))
    first.trigger()

    with pytest.raises(ConcurrentWriteError, match="CONCURRENT_STREAM_LOG_UPDATE"):
        second.trigger()
    assert harness.sink.rows == [("k2", 2)]


def test_another_number_of_sources_is_refused(harness: Harness) -> None:
    engine = harness.open()
    harness.sources[0].add(numbers(2))
    engine.trigger()

    harness.sources.append(FakeSource(SCHEMA))
    with pytest.raises(RuntimeSparkError, match=r"\[1\] sources in the checkpoint offsets and now there are \[2\]"):
        harness.open()


def test_once_runs_one_batch_and_ignores_the_limit(tmp_path: Path) -> None:
    harness = Harness(tmp_path / "ck", Trigger("once"))
    harness.sources[0].per_batch = 1
    for value in (2, 4, 6):
        harness.sources[0].add(numbers(value))
    engine = harness.open()

    assert [engine.trigger(), engine.trigger()] == [Action.RUN, Action.STOP]
    assert len(harness.sink.rows) == 3


def test_available_now_takes_what_was_there_in_limited_batches(tmp_path: Path) -> None:
    harness = Harness(tmp_path / "ck", Trigger("available_now"))
    harness.sources[0].per_batch = 1
    harness.sources[0].add(numbers(2))
    harness.sources[0].add(numbers(4))
    engine = harness.open()
    harness.sources[0].add(numbers(6))

    assert [engine.trigger() for _ in range(3)] == [Action.RUN, Action.RUN, Action.STOP]
    assert harness.sink.rows == [("k2", 2), ("k4", 4)]


def test_the_report_counts_rows_and_names_offsets(harness: Harness) -> None:
    engine = harness.open()
    harness.sources[0].add(numbers(1, 2))
    engine.trigger()
    harness.clock.advance(1000)
    harness.sources[0].add(numbers(3, 4))
    engine.trigger()

    report = harness.reports[1].json(("id", "run", None))

    assert report["numInputRows"] == 2
    assert report["inputRowsPerSecond"] == 2.0
    assert report["sources"][0]["startOffset"] == {"chunk": 1}
    assert report["sink"] == {"description": "FakeSink", "numOutputRows": 1}
    assert json.loads(json.dumps(report)) == report


def test_old_entries_are_purged(harness: Harness) -> None:
    harness.retain = 2
    engine = harness.open()
    for value in range(6):
        harness.sources[0].add(numbers(value))
        engine.trigger()

    for log in ("offsets", "commits"):
        names = sorted(path.name for path in Path(harness.path, log).iterdir())
        assert [name for name in names if name.isdecimal()] == ["3", "4", "5"]
        assert [name for name in names if name.endswith(".crc")] == [".3.crc", ".4.crc", ".5.crc"]


def test_the_sink_gets_a_batch_only_when_its_offsets_are_in_the_log(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, seen = BatchLog.add, []

    def slow(log: BatchLog[Entry], batch_id: int, entry: Entry) -> None:
        time.sleep(0.2)
        add(log, batch_id, entry)

    def look(batch: Batch) -> SinkResult:
        seen.append(Path(harness.path, "offsets", str(batch.batch_id)).exists())
        return FakeSink.add_batch(harness.sink, batch)

    monkeypatch.setattr(BatchLog, "add", slow)
    monkeypatch.setattr(harness.sink, "add_batch", look)
    engine = harness.open()
    harness.sources[0].add(numbers(2))
    engine.trigger()
    assert seen == [True]
