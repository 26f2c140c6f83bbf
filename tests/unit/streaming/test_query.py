"""A run's life: stop in the middle, failure, waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import LongType, StructField, StructType

from headwater.duck import DuckError
from headwater.errors import StreamingQueryError
from headwater.plan.commands import Trigger
from headwater.sinks.base import Batch, SinkResult
from support.fakes import FakeSink
from support.stream import StreamTest

SCHEMA = StructType([StructField("v", LongType())])


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[StreamTest]:
    test = StreamTest(tmp_path, SCHEMA)
    yield test
    test.close()


class SlowSink(FakeSink):
    """Runs a query that takes minutes."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()

    def add_batch(self, batch: Batch) -> SinkResult:
        self.entered.set()
        batch.connection.execute("SELECT count(*) FROM range(100000000000) WHERE range % 7 = 3").fetchall()
        return super().add_batch(batch)


def use(stream: StreamTest, sink: FakeSink) -> None:
    from support import stream as language

    stream.sink = sink
    language._sinks[str(stream.folder)] = sink


def test_stop_interrupts_a_long_batch_which_runs_again_at_the_next_start(stream: StreamTest) -> None:
    slow = SlowSink()
    use(stream, slow)
    stream.start().add_data([{"v": 1}])
    assert slow.entered.wait(20)

    begin = time.monotonic()
    stream.stop()

    assert time.monotonic() - begin < 15
    assert stream.running.exception() is None
    assert stream.running.status().message == "Stopped"
    assert slow.batches == {}
    use(stream, FakeSink())
    stream.start().check_answer((1,))


def test_stop_is_quick_while_waiting_for_a_trigger(stream: StreamTest) -> None:
    stream.plan(lambda s: s, trigger=Trigger("processing_time", 3_600_000)).start()
    stream.add_data([{"v": 1}])

    begin = time.monotonic()
    stream.stop()

    assert time.monotonic() - begin < 5
    assert not stream.running.is_active


def test_stopping_twice_does_no_harm(stream: StreamTest) -> None:
    stream.start().stop().stop()


def test_a_failing_source_ends_the_query_with_its_error(stream: StreamTest) -> None:
    stream.start()
    stream.sources[0].error = DuckError("IO Error: the folder is gone")

    stream.expect_failure("the folder is gone")

    with pytest.raises(StreamingQueryError, match="STREAM_FAILED"):
        stream.running.await_termination(5)
    assert stream.sources[0].stopped
    assert stream.sink.stopped


def test_await_termination_returns_false_while_it_runs(stream: StreamTest) -> None:
    stream.start()

    assert stream.running.await_termination(0.01) is False


def test_the_terminated_event_names_the_condition(stream: StreamTest) -> None:
    import json

    told: list[dict[str, Any]] = []
    stream.session.streams.add_listener(lambda e: told.append(json.loads(e.json)) if e.kind == "terminated" else None)
    stream.start()
    stream.sources[0].error = RuntimeError("boom")
    stream.expect_failure("boom")
    stream.stop()

    assert stream.session.streams.active() == []
    assert "boom" in told[0]["exception"]
    assert told[0]["errorClassOnException"] == "INTERNAL_ERROR"


def test_the_temporary_checkpoint_of_a_memory_sink_goes_with_the_query(stream: StreamTest) -> None:
    from dataclasses import replace

    from headwater.streaming.start import start_query

    command = replace(stream.command("kept"), format="memory", options=())
    query = start_query(command, stream.session)  # type: ignore[arg-type]
    folder = Path(query._parts.checkpoint.path)
    assert (folder / "metadata").exists()

    query.stop()

    assert not folder.exists()
