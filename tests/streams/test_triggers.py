"""Triggers: what each allows, what it says, and that a checkpoint goes on under any of them."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any, cast

import pytest

from headwater.errors import SparkError
from headwater.plan.commands import Trigger
from headwater.plan.expressions import Alias, Call, Column
from headwater.plan.relations import (
    Aggregate,
    Deduplicate,
    Filter,
    Limit,
    Project,
    Range,
    ReadSource,
    Relation,
    SetOperation,
    WithWatermark,
)
from headwater.sources.base import sources
from headwater.sql import parse_expression
from headwater.streaming import modes
from headwater.streaming.query import StreamingQuery
from headwater.streaming.start import start_query
from headwater.types.ddl import parse_schema
from support.stream import StreamTest

SCHEMA = parse_schema("k string, v int")
CONTINUOUS = Trigger("continuous", 1000)
REAL_TIME = Trigger("real_time", 300_000)
RATE = ReadSource("rate", None, (("rowsPerSecond", "5"),), streaming=True)
COUNT = (Alias(Call("count", (parse_expression("1"),)), ("n",)),)


def started(
    stream: StreamTest, plan: Relation, trigger: Trigger, sink: str = "noop", mode: str = "append", **options: str
) -> StreamingQuery:
    command = stream.plan(lambda _: plan, mode, trigger).command()
    given = tuple({**dict(command.options), **options}.items())
    command = replace(command, format=sink, options=given, query_name="m" if sink == "memory" else None)
    return start_query(command, cast(Any, stream.session))


# ── once and switching ──────────────────────────────────────────────────────────────────────────────────────


def test_any_trigger_goes_on_where_another_stopped(stream: StreamTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modes, "_CONTINUOUS_SOURCES", {"fake"})
    monkeypatch.setattr(modes, "_CONTINUOUS_SINKS", {"fake"})
    source = stream.sources[0]
    source.per_batch = 1
    kinds = ("default", "available_now", "continuous", "processing_time", "once", "available_now")
    expected = []
    for number, kind in enumerate(kinds):
        stream.plan(lambda read: read, "append", Trigger(cast(Any, kind), 50))
        for half in range(2):
            stream.add_data([{"k": kind, "v": 2 * number + half}])
            expected.append((kind, 2 * number + half))
        stream.start()
        if kind in ("once", "available_now"):
            assert stream.running.await_termination(30)
        else:
            stream.running.process_all_available()
        stream.stop()
        assert sorted(stream.sink.rows) == sorted(expected), kind
    ids = sorted(stream.sink.batches)
    assert ids == list(range(len(ids)))


def test_once_is_one_batch_however_the_source_is_limited(stream: StreamTest) -> None:
    stream.sources[0].per_batch = 1
    for v in range(4):
        stream.add_data([{"k": "a", "v": v}])
    stream.plan(lambda read: read, "append", Trigger("once")).start()
    assert stream.running.await_termination(30)
    assert [len(rows) for rows in stream.sink.batches.values()] == [4]


def test_a_batch_longer_than_its_interval_is_told(stream: StreamTest, caplog: pytest.LogCaptureFixture) -> None:
    slow = stream.sink.add_batch

    def add_batch(batch: Any) -> Any:
        time.sleep(0.1)
        return slow(batch)

    stream.sink.add_batch = add_batch  # type: ignore[method-assign]
    stream.add_data([{"k": "a", "v": 1}])
    logging.getLogger("headwater").propagate = True
    with caplog.at_level("WARNING"):
        stream.plan(lambda read: read, "append", Trigger("processing_time", 20)).start()
        told = "Current batch is falling behind. The trigger interval is 20 milliseconds, but spent "
        deadline = time.monotonic() + 20
        while told not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    stream.stop()


# ── continuous ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_continuous_query_runs_and_says_how(stream: StreamTest, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("headwater").propagate = True
    plan = Project(Filter(RATE, parse_expression("value >= 0")), (Column(("value",)),))
    with caplog.at_level("WARNING"):
        query = started(stream, plan, CONTINUOUS, "memory")
    seen = set()
    deadline = time.monotonic() + 20
    while query.last_progress is None or not any("continuous processing" in text for text in seen):
        assert time.monotonic() < deadline, seen
        seen.add(query.status().message)
        time.sleep(0.005)
    query.stop()
    assert "continuous processing runs as micro-batches without a pause" in caplog.text
    assert query.exception() is None


WINDOWED = WithWatermark(RATE, "timestamp", "1 second")


@pytest.mark.parametrize(
    ("plan", "what"),
    [
        (Aggregate(WINDOWED, "groupby", (Column(("timestamp",)),), COUNT), "EventTimeWatermark operations"),
        (Deduplicate(RATE, ("value",)), "Deduplicate operations"),
        (WINDOWED, "EventTimeWatermark operations"),
        (SetOperation(RATE, RATE, "union", True), "Union operations"),
        (Limit(RATE, 3), "LocalLimit operations"),
        (Project(RATE, (parse_expression("current_timestamp()"),)), "current time operations"),
        (ReadSource("rate-micro-batch", None, (("rowsPerBatch", "1"),), streaming=True), "StreamingRelation"),
    ],
)  # fmt: skip
def test_what_continuous_processing_refuses(stream: StreamTest, plan: Relation, what: str) -> None:
    with pytest.raises(SparkError, match=f"Continuous processing does not support {what}"):
        started(stream, plan, CONTINUOUS)


def test_a_continuous_query_needs_a_sink_that_can_take_it(stream: StreamTest) -> None:
    with pytest.raises(SparkError, match="Data source parquet does not support continuous processing"):
        started(stream, RATE, CONTINUOUS, "parquet", path=str(stream.folder / "out"))


# ── real time ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("plan", "arguments", "condition"),
    [
        (RATE, {}, "STREAMING_REAL_TIME_MODE.OUTPUT_MODE_NOT_SUPPORTED"),
        (RATE, {"mode": "update"}, "STREAMING_REAL_TIME_MODE.OPERATOR_OR_SINK_NOT_IN_ALLOWLIST"),
        (RATE, {"mode": "update", "sink": "console"}, "STREAMING_REAL_TIME_MODE.INPUT_STREAM_NOT_SUPPORTED"),
        (SetOperation(RATE, RATE, "union", True), {"mode": "update", "sink": "console"},
         "STREAMING_REAL_TIME_MODE.IDENTICAL_SOURCES_IN_UNION_NOT_SUPPORTED"),
        (SetOperation(Deduplicate(RATE, ("value",)), RATE, "union", True), {"mode": "update", "sink": "console"},
         "STREAMING_REAL_TIME_MODE.STATEFUL_OPERATORS_BEFORE_UNION_NOT_SUPPORTED"),
        (RATE, {"mode": "update", "sink": "console", "asyncProgressTrackingEnabled": "true"},
         "STREAMING_REAL_TIME_MODE.INPUT_STREAM_NOT_SUPPORTED"),
    ],
)  # fmt: skip
def test_what_real_time_mode_refuses(
    stream: StreamTest, plan: Relation, arguments: dict[str, str], condition: str
) -> None:
    with pytest.raises(SparkError) as caught:
        started(stream, plan, REAL_TIME, **arguments)
    assert caught.value.condition == condition, caught.value


def test_a_real_time_batch_has_a_least_duration(stream: StreamTest) -> None:
    with pytest.raises(SparkError, match="The real-time trigger interval is set to 1000 ms"):
        started(stream, RATE, Trigger("real_time", 1000), "console", "update")
    stream.session.settings.set("spark.sql.streaming.realTimeMode.minBatchDuration", "500ms")
    with pytest.raises(SparkError, match="INPUT_STREAM_NOT_SUPPORTED"):
        started(stream, RATE, Trigger("real_time", 1000), "console", "update")


def test_a_real_time_query_takes_rows_as_they_come(stream: StreamTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources.get("fake"), "real_time", True, raising=False)
    stream.session.settings.set("spark.sql.streaming.realTimeMode.allowlistCheck", "false")
    stream.plan(lambda read: Filter(read, parse_expression("v > 1")), "update", REAL_TIME).start()
    for v in (1, 2, 3):
        begin = time.monotonic()
        stream.add_data([{"k": "a", "v": v}]).running.process_all_available()
        assert time.monotonic() - begin < 5
    stream.check_answer(("a", 2), ("a", 3)).stop()


def test_static_sides_are_allowed_in_real_time(stream: StreamTest, monkeypatch: pytest.MonkeyPatch) -> None:
    from headwater.plan.relations import Join

    monkeypatch.setattr(sources.get("fake"), "real_time", True, raising=False)
    stream.session.settings.set("spark.sql.streaming.realTimeMode.allowlistCheck", "false")

    def plan(read: Relation) -> Relation:
        return Project(Join(read, Range(0, 5, 1), "inner", parse_expression("v = id")), (Column(("v",)),))

    stream.plan(plan, "update", REAL_TIME).start()
    stream.add_data([{"k": "a", "v": 1}, {"k": "a", "v": 9}]).check_answer((1,)).stop()
