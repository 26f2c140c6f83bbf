"""`dropDuplicates` and `dropDuplicatesWithinWatermark` on streams: the first row of each key, after restarts too."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType, TimestampType

from headwater.plan.expressions import Alias, Call, Column, Literal
from headwater.plan.relations import Aggregate, Deduplicate, Distinct, Project, Relation, SetOperation, WithWatermark
from support.kill import killed_after_each_step
from support.stream import StreamTest

SCHEMA = StructType([StructField("k", StringType()), StructField("v", LongType()), StructField("t", TimestampType())])
ONE = Literal(1, LongType())


def at(second: int | None) -> datetime | None:
    return None if second is None else datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=second)


def row(k: str | None, v: int | None, second: int | None = None) -> dict[str, object]:
    return {"k": k, "v": v, "t": at(second)}


def by_key(source: Relation) -> Relation:
    return Project(Deduplicate(source, ("k",)), (Column(("k",)), Column(("v",))))


def marked(source: Relation, seconds: int = 10) -> Relation:
    return WithWatermark(source, "t", f"{seconds} seconds")


def shown(relation: Relation) -> Relation:
    return Project(relation, (Column(("k",)), Column(("v",))))


def counters(stream: StreamTest, batch: int = -1) -> dict[str, Any]:
    reports = [json.loads(str(one)) for one in stream.running.recent_progress]
    found: dict[str, Any] = reports[batch]["stateOperators"][0]
    return found


@pytest.mark.parametrize("mode", ["append", "update"])
def test_only_the_first_row_of_a_key_goes_on(stream: StreamTest, mode: str) -> None:
    stream.plan(by_key, mode).start()

    stream.add_data([row("a", 1), row("a", 2), row(None, 3)]).check_last(("a", 1), (None, 3))
    stream.add_data([row("b", 4), row("a", 5), row(None, 6), row("b", 7)]).check_last(("b", 4))


def test_the_first_of_many_rows_in_one_batch_is_the_first_that_came(stream: StreamTest) -> None:
    stream.plan(by_key).start()

    stream.add_data([row(f"k{i % 500}", i) for i in range(20_000)])

    stream.check_last(*((f"k{i}", i) for i in range(500)))


def test_distinct_looks_at_all_columns(stream: StreamTest) -> None:
    stream.plan(lambda s: shown(Deduplicate(s, all_columns=True))).start()

    stream.add_data([row("a", 1), row("a", 1), row("a", None)]).check_last(("a", 1), ("a", None))
    stream.add_data([row("a", None), row("a", 2)]).check_last(("a", 2))


def test_keys_survive_restarts(stream: StreamTest) -> None:
    stream.plan(by_key).start()
    for batch in range(14):
        stream.add_data([row("a", batch), row(f"k{batch}", batch), row(f"k{batch // 2}", batch)])
        new = [("a", 0)] if batch == 0 else []
        stream.check_last(*new, (f"k{batch}", batch))
        stream.stop().start()
    stream.add_data([row("a", 99), row("k7", 99)]).check_last()


def test_a_failed_batch_leaves_no_trace_in_the_state(stream: StreamTest) -> None:
    stream.plan(by_key).start().add_data([row("a", 1)]).check_last(("a", 1))
    stream.sink.error = RuntimeError("sink is down")
    stream.add_data([row("a", 2), row("b", 3)]).expect_failure("sink is down")

    stream.sink.error = None

    stream.start().check_last(("b", 3))


def test_counters_tell_what_was_dropped(stream: StreamTest) -> None:
    stream.plan(by_key).start().add_data([row("a", 1), row("a", 2), row("b", 2)]).check_last(("a", 1), ("b", 2))

    found = counters(stream)

    assert (found["operatorName"], found["numRowsTotal"], found["numRowsUpdated"]) == ("dedupe", 2, 2)
    assert found["customMetrics"]["numDroppedDuplicateRows"] == 1


# ── with a watermark ────────────────────────────────────────────────────────────────────────────────────────


def test_a_watermark_among_the_keys_lets_keys_go(stream: StreamTest) -> None:
    stream.plan(lambda s: shown(Deduplicate(marked(s), ("k", "t")))).start()

    stream.add_data([row("a", 1, 10), row("a", 2, 10), row("a", 3, 40)]).check_answer(("a", 1), ("a", 3))
    assert counters(stream)["numRowsRemoved"] == 1
    assert counters(stream)["numRowsTotal"] == 1

    stream.add_data([row("a", 4, 10), row("a", 5, 40), row("b", 6, 41)]).check_answer(("a", 1), ("a", 3), ("b", 6))
    late = [found for found in (counters(stream, i) for i in (-1, -2)) if found["numRowsDroppedByWatermark"]]
    assert [found["numRowsDroppedByWatermark"] for found in late] == [1]


def test_late_rows_are_dropped_although_no_key_ever_goes(stream: StreamTest) -> None:
    stream.plan(lambda s: shown(Deduplicate(marked(s), ("k",)))).start()

    stream.add_data([row("a", 1, 60)]).check_answer(("a", 1))
    stream.add_data([row("b", 2, 10), row("c", None, None)]).check_answer(("a", 1), ("c", None))

    assert counters(stream)["numRowsTotal"] == 2
    assert sum(counters(stream, i)["numRowsDroppedByWatermark"] for i in (-1, -2)) == 1


def test_a_window_may_be_the_key(stream: StreamTest) -> None:
    window = Alias(Call("window", (Column(("t",)), Literal("10 seconds", StringType()))), ("w",))
    windows = lambda s: Project(marked(s, 0), (window, Column(("v",))))  # noqa: E731
    stream.plan(lambda s: Project(Deduplicate(windows(s), ("w",)), (Column(("v",)),))).start()

    stream.add_data([row("a", 1, 1), row("a", 2, 9), row("a", 3, 11)]).check_answer((1,), (3,))
    assert counters(stream)["numRowsTotal"] == 1
    stream.add_data([row("a", 4, 12), row("a", 5, 2), row("a", 6, 31)]).check_answer((1,), (3,), (6,))


# ── within a watermark ──────────────────────────────────────────────────────────────────────────────────────


def within(source: Relation) -> Relation:
    return shown(Deduplicate(marked(source), ("k",), within_watermark=True))


@pytest.mark.parametrize("restarted", [False, True])
def test_within_a_watermark_a_key_counts_up_to_its_first_time_and_the_delay(
    stream: StreamTest, restarted: bool
) -> None:
    stream.plan(within).start()
    seen: list[tuple[Any, ...]] = []
    for rows, new in [
        ([row("a", 1, 10), row("a", 2, 12), row("b", 3, 12)], [("a", 1), ("b", 3)]),
        ([row("a", 4, 14), row("c", 5, 30)], [("c", 5)]),
        ([row("a", 6, 31), row("b", 7, 31), row("c", 8, 39)], [("a", 6)]),
        ([row("c", 9, 51), row("a", 10, 35)], []),
        ([row("c", 11, 52), row("a", 12, 52)], [("c", 11), ("a", 12)]),
    ]:
        seen += new
        stream.add_data(rows).check_answer(*seen)
        if restarted:
            stream.stop().start()


def test_within_a_watermark_needs_one(stream: StreamTest) -> None:
    stream.plan(lambda s: Deduplicate(s, ("k",), within_watermark=True))

    with pytest.raises(Exception, match="is not supported on streaming DataFrames/DataSets without watermark"):
        stream.start()


# ── in chains, in SQL's words ───────────────────────────────────────────────────────────────────────────────


def test_what_is_left_can_be_counted(stream: StreamTest) -> None:
    counted = Alias(Call("count", (ONE,)), ("n",))
    stream.plan(lambda s: Aggregate(Deduplicate(s, ("k", "v")), "groupby", (Column(("k",)),), (counted,)), "complete")

    stream.start().add_data([row("a", 1), row("a", 1), row("a", 2)]).check_last(("a", 2))
    stream.add_data([row("a", 2), row("a", 3), row("b", 1)]).check_last(("a", 3), ("b", 1))


def test_select_distinct_is_an_aggregation(stream: StreamTest) -> None:
    keys = lambda s: Distinct(Project(s, (Column(("k",)),)))  # noqa: E731
    stream.plan(keys, "update").start().add_data([row("a", 1), row("a", 2), row("b", 1)]).check_last(("a",), ("b",))
    stream.add_data([row("a", 3), row("c", 1)]).check_last(("a",), ("c",))

    assert counters(stream)["operatorName"] == "stateStoreSave"


def test_select_distinct_of_columns_with_one_name(stream: StreamTest) -> None:
    twice = lambda s: Distinct(Project(s, (Alias(Column(("k",)), ("x",)), Alias(Column(("v",)), ("x",)))))  # noqa: E731
    stream.plan(twice, "complete").start().add_data([row("a", 1), row("a", 1)]).check_last(("a", 1))


def test_union_distinct_of_streams(tmp_path: Path) -> None:
    stream = StreamTest(tmp_path, SCHEMA, ("a", "b"))
    keys = (Column(("k",)),)
    stream.plan(lambda a, b: SetOperation(Project(a, keys), Project(b, keys), "union"), "complete").start()

    stream.add_data([row("x", 1), row("y", 1)]).add_data([row("x", 2)], 1).check_last(("x",), ("y",))
    stream.add_data([row("z", 1), row("y", 1)], 1).check_last(("x",), ("y",), ("z",))

    stream.close()


def test_equal_doubles_are_one_key(tmp_path: Path) -> None:
    stream = StreamTest(tmp_path, StructType([StructField("x", DoubleType())]))
    stream.plan(lambda s: Project(Deduplicate(s, ("x",)), (Call("isnan", (Column(("x",)),)),))).start()

    stream.add_data([{"x": float("nan")}, {"x": 0.5}, {"x": float("nan")}]).check_last((True,), (False,))
    stream.add_data([{"x": 0.5}, {"x": float("nan")}, {"x": 0.25}]).check_last((False,))

    stream.close()


# ── killed ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_killed_after_each_step_a_key_goes_on_once(tmp_path: Path) -> None:
    killed_after_each_step(tmp_path, "dedupe")
