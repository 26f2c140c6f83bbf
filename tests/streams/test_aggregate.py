"""Streaming aggregation in every output mode, through restarts; answers are genuine Spark 4.3's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from headwater.plan.expressions import Alias, Call, Column, Expression, Literal, SortOrder
from headwater.plan.relations import (
    Aggregate,
    Filter,
    Limit,
    Project,
    Relation,
    Sort,
    WithColumns,
    WithWatermark,
)
from headwater.state.store import StateStore
from headwater.streaming.operators import aggregate as operator
from support.stream import StreamTest

SCHEMA = StructType([StructField("k", StringType()), StructField("v", LongType())])
ONE = Literal(1, LongType())


def column(name: str) -> Column:
    return Column((name,))


def row(k: str | None, v: int | None) -> dict[str, object]:
    return {"k": k, "v": v}


def total(source: Relation, *keys: str) -> Aggregate:
    return aggregate(source, *keys, s=Call("sum", (column("v"),)), n=Call("count", (ONE,)))


def aggregate(source: Relation, *keys: str, **measures: Expression) -> Aggregate:
    named = tuple(Alias(call, (name,)) for name, call in measures.items())
    return Aggregate(source, "groupby", tuple(column(key) for key in keys), named)


def test_complete_mode_gives_all_groups(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s, "k"), "complete")

    stream.start().add_data([row("a", 1), row("b", 2), row(None, 5)]).check_last(("a", 1, 1), ("b", 2, 1), (None, 5, 1))
    stream.add_data([row("a", 10), row(None, None)]).check_last(("a", 11, 2), ("b", 2, 1), (None, 5, 2))


def test_update_mode_gives_the_groups_that_changed(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s, "k"), "update")

    stream.start().add_data([row("a", 1), row("b", 2)]).check_last(("a", 1, 1), ("b", 2, 1))
    stream.add_data([row("a", 10), row("c", 3)]).check_last(("a", 11, 2), ("c", 3, 1))


def test_state_survives_restarts(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s, "k"), "complete").start()
    for batch in range(12):
        stream.add_data([row("a", 1), row(f"k{batch % 3}", 2**53 + 1)]).check_last(
            ("a", batch + 1, batch + 1),
            *((f"k{k}", (2**53 + 1) * n, n) for k in range(3) if (n := len(range(k, batch + 1, 3)))),
        )
        stream.stop().start()


def test_a_batch_is_committed_only_when_its_state_is_durable(
    stream: StreamTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    changelog = StateStore.changelog
    seen: list[bool] = []

    def slow(store: StateStore, version: int, rows: pa.Table) -> Callable[[], int]:
        write = changelog(store, version, rows)

        def written() -> int:
            time.sleep(0.3)
            seen.append((stream.folder / "checkpoint" / "commits" / str(version - 1)).exists())
            return write()

        return written

    monkeypatch.setattr(StateStore, "changelog", slow)
    stream.plan(lambda s: total(s, "k"), "update").start().add_data([row("a", 1)]).check_answer(("a", 1, 1))
    assert seen == [False]


def test_a_failed_batch_is_taken_into_the_state_once(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s, "k"), "complete").start().add_data([row("a", 1)]).check_last(("a", 1, 1))
    stream.sink.error = RuntimeError("sink is down")
    stream.add_data([row("a", 2)]).expect_failure("sink is down")

    stream.sink.error = None

    stream.start().check_last(("a", 3, 2))


def test_the_plan_goes_on_above_and_below_the_aggregation(stream: StreamTest) -> None:
    def build(source: Relation) -> Relation:
        below = Filter(
            WithColumns(source, (Alias(Call("*", (column("v"), column("v"))), ("v",)),)), Call(">", (column("v"), ONE))
        )
        counted = aggregate(below, "k", s=Call("sum", (column("v"),)), m=Call("max", (column("v"),)))
        above = Project(counted, (column("k"), Alias(Call("+", (column("s"), column("m"))), ("t",))))
        return Limit(Sort(above, (SortOrder(column("t"), ascending=False, nulls_first=False),)), 2)

    stream.plan(build, "complete").start()

    stream.add_data([row("a", 1), row("a", 3), row("b", 2), row("c", 9)]).check_last(("c", 162), ("a", 18))


def test_without_keys_there_is_one_row(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s), "complete").start().add_data([row("a", 1)]).check_last((1, 1))

    stream.stop().start().add_data([row("a", 2)]).check_last((3, 2))


def test_a_projection_that_aggregates_is_an_aggregation(stream: StreamTest) -> None:
    stream.plan(lambda s: Project(s, (Alias(Call("sum", (column("v"),)), ("t",)),)), "complete").start()

    stream.add_data([row("a", 1)]).check_last((1,)).add_data([row("a", 2)]).check_last((3,))


def test_average_and_collections_are_exact_over_batches(stream: StreamTest) -> None:
    v = column("v")
    measures = {
        "avg": Call("avg", (v,)),
        "list": Call("collect_list", (v,)),
        "set": Call("size", (Call("collect_set", (v,)),)),
        "first": Call("first", (v,)),
        "last": Call("last", (v,)),
        "about": Call("approx_count_distinct", (v,)),
    }
    stream.plan(lambda s: aggregate(s, "k", **measures), "complete").start()

    for value in (1, 2, 2, 7):
        stream.add_data([row("a", value)]).running.process_all_available()
        stream.stop().start()
    stream.running.process_all_available()

    assert stream.sink.batches[max(stream.sink.batches)] == [("a", 3.0, [1, 2, 2, 7], 3, 1, 7, 3)]


def test_progress_counts_the_state(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s, "k"), "update").start()
    stream.add_data([row("a", 1), row("b", 2)]).check_last(("a", 1, 1), ("b", 2, 1))
    stream.add_data([row("a", 1)]).check_last(("a", 2, 2))

    (state,) = json.loads(stream.running.last_progress or "")["stateOperators"]

    assert {key: state[key] for key in ("operatorName", "numRowsTotal", "numRowsUpdated", "numRowsRemoved")} == {
        "operatorName": "stateStoreSave", "numRowsTotal": 2, "numRowsUpdated": 1, "numRowsRemoved": 0,
    }  # fmt: skip


def test_other_aggregates_need_another_checkpoint(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s, "k"), "complete").start().add_data([row("a", 1)]).check_last(("a", 1, 1)).stop()

    stream.plan(lambda s: aggregate(s, "k", m=Call("max", (column("v"),))), "complete").start()

    stream.expect_failure("STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE")


def test_a_stateless_query_cannot_take_the_checkpoint_of_an_aggregation(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s, "k"), "complete").start().add_data([row("a", 1)]).check_last(("a", 1, 1)).stop()

    with pytest.raises(Exception, match=r"NOT_MATCH_IN_STATE_METADATA"):
        stream.plan(lambda s: s, "append").start()


DISTINCT = Call("count", (column("v"),), distinct=True)
BY_K = (SortOrder(column("k")),)
REFUSALS: list[tuple[Callable[[Relation], Relation], str, str]] = [
    (lambda s: total(s, "k"), "append", "streaming aggregations without watermark"),
    (lambda s: aggregate(s, "k", n=DISTINCT), "update", "Consider using approx_count_distinct"),
    (lambda s: Sort(total(s, "k"), BY_K), "update", "Sorting is not supported"),
    (lambda s: Limit(total(s, "k"), 1), "update", "Limits are not supported"),
    (lambda s: aggregate(s, "k", n=Call("count_min_sketch", (column("v"),))), "update", "not supported|UNRESOLVED"),
]


@pytest.mark.parametrize(("build", "mode", "message"), REFUSALS)
def test_what_cannot_stream_is_refused(
    stream: StreamTest, build: Callable[[Relation], Relation], mode: str, message: str
) -> None:
    with pytest.raises(Exception, match=message):
        stream.plan(build, mode).start()


# ── with a watermark ────────────────────────────────────────────────────────────────────────────────────────

EVENTS = StructType([StructField("k", StringType()), StructField("ts", TimestampType()), StructField("v", LongType())])
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def events(tmp_path: Path) -> Iterator[StreamTest]:
    test = StreamTest(tmp_path, EVENTS)
    yield test
    test.close()


def event(k: str, seconds: float | None, v: int) -> dict[str, object]:
    return {"k": k, "ts": None if seconds is None else BEGIN + timedelta(seconds=seconds), "v": v}


def text(value: str) -> Literal:
    return Literal(value, StringType())


WINDOW = Call("window", (column("ts"), text("10 seconds")))


def windowed(source: Relation, *keys: Expression, delay: str = "5 seconds", **more: Any) -> Aggregate:
    late = WithWatermark(source, "ts", delay)
    return Aggregate(late, "groupby", (WINDOW, *keys), (Alias(Call("sum", (column("v"),)), ("s",)),), **more)


def starts(stream: StreamTest) -> list[tuple[object, ...]]:
    """All rows in the sink, windows as the seconds of their start, in order of arrival."""
    stream.running.process_all_available()
    batches = (stream.sink.batches[number] for number in sorted(stream.sink.batches))
    return [(int((w["start"] - BEGIN).total_seconds()), *rest) for batch in batches for w, *rest in batch]


STEPS = [
    [event("a", 1, 1), event("a", 6, 2), event("b", 12, 3), event("b", None, 9)],
    [event("a", 26, 4)],
    [event("a", 2, 5), event("b", 27, 6)],
    [event("b", 14, 7), event("a", 41, 8)],
]


@pytest.mark.parametrize("small", [0, 1000])
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("mode", "rows"),
    [
        ("append", [(0, 3), (10, 3), (20, 10)]),
        ("update", [(0, 3), (10, 3), (20, 4), (20, 10), (40, 8)]),
    ],
)
def test_groups_go_on_by_mode_and_late_ones_are_dropped(
    events: StreamTest,
    mode: str,
    rows: list[tuple[int, int]],
    restart: bool,
    small: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operator, "_SMALL", small)
    events.plan(windowed, mode).start()
    dropped = 0
    for step in STEPS:
        events.add_data(step).running.process_all_available()
        states = [json.loads(one)["stateOperators"][0] for one in events.running.recent_progress]
        dropped = sum(state["numRowsDroppedByWatermark"] for state in states) + (dropped if restart else 0)
        if restart:
            events.stop().start()
    assert sorted(starts(events)) == rows
    assert dropped == 2


def test_complete_mode_drops_and_forgets_nothing(events: StreamTest) -> None:
    events.plan(windowed, "complete").start()
    for step in STEPS:
        events.add_data(step).running.process_all_available()
    newest = events.sink.batches[max(events.sink.batches)]
    assert sorted(s for _, s in newest) == [8, 8, 10, 10]


def test_state_is_given_up_group_by_group(events: StreamTest) -> None:
    events.plan(windowed, "append").start()
    seen = []
    for seconds in range(0, 100, 10):
        events.add_data([event("a", seconds, 1)]).running.process_all_available()
        seen.append(json.loads(events.running.last_progress or "")["stateOperators"][0]["numRowsTotal"])
    assert max(seen) <= 2


def test_rows_without_a_time_are_in_no_window_whatever_is_grouped_by(events: StreamTest) -> None:
    def by_key(source: Relation) -> Relation:
        rows = Project(WithWatermark(source, "ts", "5 seconds"), (Alias(WINDOW, ("w",)), column("k"), column("v")))
        return Aggregate(rows, "groupby", (column("k"),), (Alias(Call("sum", (column("v"),)), ("s",)),))

    events.plan(by_key, "update").start()
    events.add_data([event("a", 1, 1), event("a", None, 8), event("b", None, 9)]).check_answer(("a", 1)).stop()


def test_a_total_over_windows_leaves_out_rows_without_a_time(events: StreamTest) -> None:
    def totals(source: Relation) -> Relation:
        return replace(cast(Aggregate, windowed(source)), kind="rollup")

    events.plan(totals, "update").start()
    events.add_data([event("a", 1, 1), event("b", None, 9)]).running.process_all_available()
    assert sorted(s for batch in events.sink.batches.values() for _, s in batch) == [1, 1]
    (progress,) = [json.loads(one) for one in events.running.recent_progress if json.loads(one)["numInputRows"]]
    assert progress["eventTime"]["min"] == "1970-01-01T00:00:00.000Z"  # Spark reads a NULL time as 0


def test_having_pivots_and_totals_over_windows(events: StreamTest) -> None:
    having = Call(">", (Call("sum", (column("v"),)), ONE))
    events.plan(lambda s: windowed(s, having=having, delay="0 seconds"), "append").start()
    events.add_data([event("a", 1, 1), event("a", 11, 2)]).add_data([event("a", 50, 0)])
    assert starts(events) == [(10, 2)]


def test_a_pivot_is_two_aggregations(events: StreamTest) -> None:
    def build(source: Relation) -> Relation:
        late = WithWatermark(source, "ts", "0 seconds")
        total = (Call("sum", (column("v"),)),)
        return Aggregate(late, "pivot", (WINDOW,), total, column("k"), (text("a"), text("b")))

    events.plan(build, "append").start()
    events.add_data([event("a", 1, 1), event("b", 2, 2), event("a", 3, 3), event("a", 11, 4)])
    events.add_data([event("c", 50, 0)])
    assert sorted(starts(events)) == [(0, 4, 2), (10, 4, None)]
    assert len(json.loads(events.running.last_progress or "")["stateOperators"]) == 2


def test_totals_are_told_from_nulls(stream: StreamTest) -> None:
    shown = (Alias(Call("grouping", (column("k"),)), ("g",)), Alias(Call("sum", (column("v"),)), ("s",)))
    stream.plan(lambda s: Aggregate(s, "rollup", (column("k"),), shown), "update").start()
    stream.add_data([row("a", 1), row(None, 2)]).check_last(("a", 0, 1), (None, 0, 2), (None, 1, 3))
    stream.stop().start()
    stream.add_data([row(None, 4)]).check_last((None, 0, 6), (None, 1, 7))


def test_the_order_may_aggregate_what_is_not_selected(stream: StreamTest) -> None:
    by_sum = SortOrder(Call("sum", (column("v"),)), ascending=False, nulls_first=False)
    rows = lambda s: Aggregate(s, "groupby", (column("k"),), (column("k"),), output_grouping=False)  # noqa: E731
    stream.plan(lambda s: Limit(Sort(rows(s), (by_sum,)), 1), "complete").start()
    stream.add_data([row("a", 1), row("b", 2)]).check_last(("b",))
    stream.add_data([row("a", 5)]).check_last(("a",))


def test_the_most_frequent_value_over_batches(stream: StreamTest) -> None:
    stream.plan(lambda s: aggregate(s, "k", m=Call("mode", (column("v"),))), "update").start()
    stream.add_data([row("a", 7), row("a", 1), row("a", 1)]).check_last(("a", 1))
    stream.stop().start()
    stream.add_data([row("a", 7), row("a", 7)]).check_last(("a", 7))


def test_a_sum_beyond_bigint_fails_as_in_a_batch(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s), "update").start()
    stream.add_data([row("a", 2**63 - 1)]).check_last((2**63 - 1, 1))
    stream.add_data([row("a", 1)]).expect_failure("ARITHMETIC_OVERFLOW")
