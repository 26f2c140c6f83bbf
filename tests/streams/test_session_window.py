"""Streaming session windows: merging, late rows, eviction, through restarts; every answer is genuine Spark 4.3's."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from headwater.plan.expressions import Alias, Call, Column, Literal
from headwater.plan.relations import Aggregate, Relation, WithWatermark
from support.stream import StreamTest

SCHEMA = StructType([StructField("k", StringType()), StructField("ts", TimestampType()), StructField("v", LongType())])
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def at(seconds: int) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def row(k: str, seconds: int, v: int) -> dict[str, Any]:
    return {"k": k, "ts": at(seconds), "v": v}


def text(value: str) -> Literal:
    return Literal(value, StringType())


def sessions(source: Relation, *keys: str, delay: str = "10 seconds", gap: Any = None) -> Relation:
    late = WithWatermark(source, "ts", delay)
    session = Call("session_window", (Column(("ts",)), gap or text("5 seconds")))
    measures = (
        Alias(Call("sum", (Column(("v",)),)), ("s",)),
        Alias(Call("collect_list", (Column(("v",)),)), ("l",)),
    )
    return Aggregate(late, "groupby", (*(Column((key,)) for key in keys), session), measures)


def found(stream: StreamTest) -> list[tuple[Any, ...]]:
    """All that the sink holds, sessions as seconds."""
    stream.running.process_all_available()

    def seconds(moment: datetime) -> int:
        return int((moment - BEGIN).total_seconds())

    return sorted((k, seconds(w["start"]), seconds(w["end"]), s, tuple(values)) for k, w, s, values in stream.sink.rows)


@pytest.mark.parametrize("restart", [False, True])
def test_a_row_between_two_sessions_makes_them_one(stream: StreamTest, restart: bool) -> None:
    stream.plan(lambda s: sessions(s, "k", delay="30 seconds")).start()
    for rows in (
        [row("a", 10, 1), row("a", 18, 2), row("b", 40, 3)],
        [row("a", 14, 4)],
        [row("z", 80, 0)],
        [row("z", 81, 0)],
    ):
        stream.add_data(rows).running.process_all_available()
        if restart:
            stream.stop().start()
    assert found(stream) == [("a", 10, 23, 7, (1, 4, 2)), ("b", 40, 45, 3, (3,))]


def test_a_late_row_is_dropped_even_where_a_session_is_open(stream: StreamTest) -> None:
    stream.plan(lambda s: sessions(s, "k", delay="0 seconds")).start()
    stream.add_data([row("a", 10, 1), row("a", 14, 2)]).running.process_all_available()
    stream.add_data([row("a", 6, 3), row("a", 18, 4)]).running.process_all_available()
    dropped = [json.loads(p)["stateOperators"][0]["numRowsDroppedByWatermark"] for p in stream.running.recent_progress]
    stream.add_data([row("b", 60, 5)])
    assert found(stream) == [("a", 10, 23, 7, (1, 2, 4))]
    assert sum(dropped) == 1


def test_the_gap_may_come_from_the_row(stream: StreamTest) -> None:
    gap = Call("when", (Call("==", (Column(("k",)), text("a"))), text("2 seconds"), text("20 seconds")))
    stream.plan(lambda s: sessions(s, "k", gap=gap)).start()
    stream.add_data([row("a", 10, 1), row("a", 13, 2), row("b", 10, 3), row("b", 25, 4)])
    stream.running.process_all_available()
    stream.add_data([row("c", 100, 0)])
    assert found(stream) == [("a", 10, 12, 1, (1,)), ("a", 13, 15, 2, (2,)), ("b", 10, 45, 7, (3, 4))]


def test_complete_mode_keeps_every_session(stream: StreamTest) -> None:
    stream.plan(lambda s: sessions(s, "k"), "complete").start()
    stream.add_data([row("a", 10, 1)]).running.process_all_available()
    stream.stop().start().add_data([row("a", 12, 2), row("b", 100, 3)]).running.process_all_available()
    newest = stream.sink.batches[max(stream.sink.batches)]
    assert sorted((k, s) for k, _, s, _ in newest) == [("a", 3), ("b", 3)]


def test_a_failed_batch_is_taken_in_once(stream: StreamTest) -> None:
    stream.plan(lambda s: sessions(s, "k", delay="0 seconds")).start()
    stream.add_data([row("a", 10, 1)]).running.process_all_available()
    stream.sink.error = RuntimeError("sink is down")
    stream.add_data([row("a", 12, 2)]).expect_failure("sink is down")
    stream.sink.error = None
    stream.start().add_data([row("b", 60, 5)])
    assert found(stream) == [("a", 10, 17, 3, (1, 2))]


def test_update_mode_is_refused(stream: StreamTest) -> None:
    with pytest.raises(Exception, match="session window streaming aggregations"):
        stream.plan(lambda s: sessions(s, "k"), "update").start()


@pytest.mark.parametrize("mode", ["append", "complete"])
def test_a_session_alone_fails_at_run(stream: StreamTest, mode: str) -> None:
    stream.plan(sessions, mode).start().add_data([row("a", 10, 1)])
    stream.expect_failure("Global aggregation with session window in streaming query is not supported")
