"""`transformWithState` and `…InPandas` on a stream: straight, restarted, killed, refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row
from pyspark.sql.streaming import StatefulProcessor
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from headwater.plan.expressions import Column
from headwater.plan.relations import LocalData, WithWatermark
from support.kill import killed_after_each_step
from support.stateful import transform
from support.stream import StreamTest

SCHEMA = StructType([StructField("k", StringType()), StructField("v", LongType()), StructField("ts", TimestampType())])
START = 1_704_067_200


def row(k: str | None, v: int | None, second: int = 0) -> dict[str, Any]:
    return {"k": k, "v": v, "ts": datetime.fromtimestamp(START + second, UTC)}


def processor(init: Any, rows: Any, expired: Any = None, initial: Any = None) -> StatefulProcessor:
    """A processor of functions; each gives texts, which go out as rows (k, s)."""

    class Made(StatefulProcessor):
        def init(self, handle: Any) -> None:
            self.handle = handle
            init(self)

        def handleInputRows(self, key: Any, rows_: Any, timerValues: Any) -> Any:
            for text in rows(self, key, list(rows_), timerValues):
                yield Row(k=key[0], s=str(text))

        def handleExpiredTimer(self, key: Any, timerValues: Any, expiredTimerInfo: Any) -> Any:
            for text in expired(self, key, expiredTimerInfo.getExpiryTimeInMs(), timerValues) if expired else ():
                yield Row(k=key[0], s=str(text))

        def handleInitialState(self, key: Any, initialState: Any, timerValues: Any) -> None:
            if initial:
                initial(self, key, initialState)

        def close(self) -> None:
            pass

    return Made()


def stateful(made: StatefulProcessor, time_mode: str = "none", **more: Any) -> Any:
    return lambda source: transform(source, made, "k STRING, s STRING", "update", time_mode, **more)


def counting() -> StatefulProcessor:
    def rows(self: Any, key: Any, rows: Any, times: Any) -> Any:
        n = (self.n.get()[0] if self.n.exists() else 0) + len(rows)
        self.n.update((n,))
        yield n

    return processor(lambda self: setattr(self, "n", self.handle.getValueState("n", "n INT")), rows)


def report(stream: StreamTest) -> dict[str, Any]:
    operators: list[dict[str, Any]] = json.loads(str(stream.running.last_progress))["stateOperators"]
    return operators[0]


# ── state ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_value_per_group_outlives_batches_and_restarts(stream: StreamTest) -> None:
    stream.plan(stateful(counting()), "update")

    stream.start().add_data([row("a", 1), row("b", 2), row("a", 3)]).check_last(("a", "2"), ("b", "1"))
    stream.add_data([row(None, 5)]).check_last((None, "1"))
    stream.stop().start().add_data([row(None, 1), row("a", 1)]).check_last((None, "2"), ("a", "3"))


def test_lists_and_maps_outlive_restarts_and_keep_their_order(stream: StreamTest) -> None:
    def init(self: Any) -> None:
        self.all = self.handle.getListState("all", "v BIGINT, at TIMESTAMP")
        self.by = self.handle.getMapState("by", "v BIGINT", "n INT")

    def rows(self: Any, key: Any, rows: Any, times: Any) -> Any:
        for one in rows:
            if one.v is None:
                self.all.put([(0, one.ts)])
                self.by.removeKey((256,))
            else:
                self.all.appendValue((one.v, one.ts))
                known = self.by.getValue((one.v,))
                self.by.updateValue((one.v,), ((known[0] if known else 0) + 1,))
        yield [v for v, _ in self.all.get()], list(self.by.iterator())

    stream.plan(stateful(processor(init, rows)), "update").start()

    stream.add_data([row("a", 1), row("a", 256), row("a", 1)])
    stream.check_last(("a", "([1, 256, 1], [((256,), (1,)), ((1,), (2,))])"))
    stream.stop().start().add_data([row("a", 5)])
    stream.check_last(("a", "([1, 256, 1, 5], [((256,), (1,)), ((1,), (2,)), ((5,), (1,))])"))
    stream.add_data([row("a", None)]).check_last(("a", "([0], [((1,), (2,)), ((5,), (1,))])"))
    stream.stop().start().add_data([row("a", 1)]).check_last(("a", "([0, 1], [((1,), (3,)), ((5,), (1,))])"))


def test_values_of_every_type_come_back_as_they_were(stream: StreamTest) -> None:
    ddl = (
        "a TIMESTAMP, b DATE, c DECIMAL(10,2), d STRUCT<x: INT, y: STRUCT<z: DATE>>, e ARRAY<INT>, "
        "f MAP<STRING, INT>, g DOUBLE, h BINARY, i BOOLEAN, j SMALLINT, l TIMESTAMP_NTZ, m STRING"
    )

    def rows(self: Any, key: Any, rows: Any, times: Any) -> Any:
        import datetime as dt
        import decimal

        yield self.all.get()
        day = dt.date(2024, 1, 2)
        self.all.update(
            (dt.datetime(2024, 1, 1, 3), day, decimal.Decimal("1.25"), (7, (day,)), [1, None], {"z": 1}, 1.5, b"x",
             True, 3, dt.datetime(2024, 1, 1, 3), "é")
        )  # fmt: skip

    made = processor(lambda self: setattr(self, "all", self.handle.getValueState("all", ddl)), rows)
    stream.plan(stateful(made), "update").start().add_data([row("a", 1)]).check_last(("a", "None")).stop()

    stream.start().add_data([row("a", 1)]).check_last((
        "a",
        "(datetime.datetime(2024, 1, 1, 3, 0), datetime.date(2024, 1, 2), Decimal('1.25'), "
        "Row(x=7, y=Row(z=datetime.date(2024, 1, 2))), [1, None], {'z': 1}, 1.5, b'x', True, 3, "
        "datetime.datetime(2024, 1, 1, 3, 0), 'é')",
    ))  # fmt: skip


def test_a_processor_keeps_nothing_but_its_state(stream: StreamTest) -> None:
    def rows(self: Any, key: Any, rows: Any, times: Any) -> Any:
        self.seen += 1
        yield self.seen

    stream.plan(stateful(processor(lambda self: setattr(self, "seen", 0), rows)), "update").start()

    stream.add_data([row("a", 1)]).check_last(("a", "1"))
    stream.add_data([row("a", 1)]).check_last(("a", "1"))


def test_frames_are_given_and_taken(stream: StreamTest) -> None:
    class Pandas(StatefulProcessor):
        def init(self, handle: Any) -> None:
            self.n = handle.getValueState("n", "n INT")

        def handleInputRows(self, key: Any, rows: Any, timerValues: Any) -> Any:
            import pandas as pd

            for frame in rows:
                self.n.update(((self.n.get() or (0,))[0] + int(frame["v"].sum()),))
            yield pd.DataFrame({"s": [str(self.n.get()[0])], "k": [key[0]]})

        def close(self) -> None:
            pass

    stream.plan(stateful(Pandas(), pandas=True), "update").start()

    stream.add_data([row("a", 1), row("b", 2), row("a", 3)]).check_last(("a", "4"), ("b", "2"))
    stream.stop().start().add_data([row("a", 1)]).check_last(("a", "5"))
    assert report(stream)["operatorName"] == "transformWithStateInPandasExec"


def test_the_report_counts_what_spark_counts(stream: StreamTest) -> None:
    def init(self: Any) -> None:
        self.all = self.handle.getListState("all", "v BIGINT")
        self.n = self.handle.getValueState("n", "n INT")

    def rows(self: Any, key: Any, rows: Any, times: Any) -> Any:
        self.all.appendList([(1,), (2,)])
        self.n.update((1,))
        self.n.clear()
        yield len(list(self.all.get()))

    stream.plan(stateful(processor(init, rows)), "update").start().add_data([row("a", 1)]).check_last(("a", "2"))

    found = report(stream)
    assert (found["numRowsTotal"], found["numRowsUpdated"], found["numRowsRemoved"]) == (1, 3, 1)
    assert found["customMetrics"]["numListStateVars"] == found["customMetrics"]["numValueStateVars"] == 1


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_timers_fire_when_the_watermark_has_passed_them_and_late_rows_are_dropped(stream: StreamTest) -> None:
    def rows(self: Any, key: Any, rows: Any, times: Any) -> Any:
        for one in rows:
            self.handle.registerTimer(int(one.ts.timestamp() * 1000) + 10_000)
        yield f"rows {len(rows)}"

    def expired(self: Any, key: Any, at: int, times: Any) -> Any:
        yield f"timer {(at - START * 1000) // 1000}, {len(list(self.handle.listTimers()))} left"

    made = processor(lambda self: None, rows, expired)
    marked = lambda source: WithWatermark(source, "ts", "0 seconds")  # noqa: E731
    plan = stateful(made, "eventtime")
    stream.plan(lambda source: plan(marked(source)), "update").start()

    stream.add_data([row("a", 1, 1), row("a", 1, 3)]).check_answer(("a", "rows 2"))
    stream.stop().start().add_data([row("b", 1, 12)])
    stream.check_answer(("a", "rows 2"), ("b", "rows 1"), ("a", "timer 11, 2 left"))
    stream.add_data([row("c", 1, 2), row("b", 1, 13)])  # the row of `c` is late
    stream.check_answer(
        ("a", "rows 2"), ("b", "rows 1"), ("a", "timer 11, 2 left"), ("b", "rows 1"), ("a", "timer 13, 1 left")
    )


def test_a_value_past_its_time_to_live_is_gone(stream: StreamTest) -> None:
    import time

    def init(self: Any) -> None:
        self.short = self.handle.getValueState("short", "v INT", 1)
        self.long = self.handle.getValueState("long", "v INT", 1_000_000)

    def rows(self: Any, key: Any, rows: Any, times: Any) -> Any:
        yield self.short.get(), self.long.get()
        self.short.update((1,))
        self.long.update((2,))

    stream.plan(stateful(processor(init, rows), "processingtime"), "update").start()
    stream.add_data([row("a", 1)])
    wait_for(stream, [("a", "(None, None)")])
    time.sleep(0.02)
    stream.stop().start().add_data([row("a", 1)])
    wait_for(stream, [("a", "(None, None)"), ("a", "(None, (2,))")])


def test_a_timer_of_processing_time_fires_without_data(stream: StreamTest) -> None:
    def rows(self: Any, key: Any, rows: Any, times: Any) -> Any:
        self.handle.registerTimer(times.getCurrentProcessingTimeInMs() + 1)
        yield "rows"

    made = processor(lambda self: None, rows, lambda self, key, at, times: ["timer"])
    stream.plan(stateful(made, "processingtime"), "update").start().add_data([row("a", 1)])

    wait_for(stream, [("a", "rows"), ("a", "timer")])


def wait_for(stream: StreamTest, rows: list[tuple[Any, ...]]) -> None:
    """Until the sink holds the rows: a query that waits for time to pass is never done."""
    import time

    until = time.monotonic() + 30
    while sorted(stream.sink.rows) != sorted(rows) and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(stream.sink.rows) == sorted(rows)


# ── the first batch ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_initial_state_is_handed_over_once(stream: StreamTest) -> None:
    import pyarrow as pa

    def init(self: Any) -> None:
        self.n = self.handle.getValueState("n", "n BIGINT")

    def rows(self: Any, key: Any, rows: Any, times: Any) -> Any:
        self.n.update(((self.n.get() or (0,))[0] + len(rows),))
        yield self.n.get()[0]

    def initial(self: Any, key: Any, state: Any) -> None:
        self.n.update((state.n,))

    start = LocalData(pa.table({"k": ["a", "z"], "n": [100, 5]}))
    made = processor(init, rows, None, initial)
    stream.plan(stateful(made, initial=start, initial_grouping=(Column(("k",)),)), "update").start()

    stream.add_data([row("a", 1), row("b", 1)]).check_last(("a", "101"), ("b", "1"))
    stream.stop().start().add_data([row("a", 1), row("z", 1)]).check_last(("a", "102"), ("z", "6"))


# ── refused ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("init", "error"),
    [
        (
            lambda self: self.handle.getValueState("n", "n INT", 5),
            "STATEFUL_PROCESSOR_INCORRECT_TIME_MODE_TO_ASSIGN_TTL",
        ),
        (
            lambda self: self.handle.getValueState("$n", "n INT"),
            "STATE_STORE_CANNOT_CREATE_COLUMN_FAMILY_WITH_RESERVED",
        ),
        (lambda self: [self.handle.getListState("n", "n INT") for _ in "ab"], "DUPLICATE_STATE_VARIABLE_DEFINED"),
        (lambda self: 1 // 0, "ZeroDivisionError"),
    ],
)
def test_what_init_may_not_do(stream: StreamTest, init: Any, error: str) -> None:
    made = processor(init, lambda self, key, rows, times: [])
    stream.plan(stateful(made), "update").start().add_data([row("a", 1)]).expect_failure(error)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (lambda self, *_: [self.handle.registerTimer(5)], "CANNOT_PERFORM_OPERATION_WITH_INVALID_TIME_MODE"),
        (lambda self, *_: [self.handle.getValueState("late", "x INT")], "INVALID_HANDLE_STATE"),
        (lambda self, *_: [self.all.put([])], "ILLEGAL_STATE_STORE_VALUE.EMPTY_LIST_VALUE"),
        (lambda self, *_: [self.all.appendValue(None)], "TypeError: 'NoneType' object is not iterable"),
        (lambda self, *_: [self.all.appendValue((1, 2))], "STRUCT_ARRAY_LENGTH_MISMATCH"),
    ],
)
def test_what_rows_may_not_do(stream: StreamTest, rows: Any, error: str) -> None:
    made = processor(lambda self: setattr(self, "all", self.handle.getListState("all", "v INT")), rows)
    stream.plan(stateful(made), "update").start().add_data([row("a", 1)]).expect_failure(error)


def test_a_variable_of_another_kind_or_type_is_refused_and_one_that_is_missing_keeps_its_rows(
    stream: StreamTest,
) -> None:
    def declaring(kind: str, ddl: str, name: str = "n") -> Any:
        def init(self: Any) -> None:
            self.n = getattr(self.handle, kind)(name, ddl)

        return stateful(processor(init, lambda self, key, rows, times: ["ran"]))

    data = [row("a", 1)]
    stream.plan(stateful(counting()), "update").start().add_data(data).check_last(("a", "1")).stop()
    stream.plan(declaring("getListState", "n INT"), "update").start().add_data(data)
    stream.expect_failure("STATE_STORE_INVALID_VARIABLE_TYPE_CHANGE")
    stream.plan(declaring("getValueState", "n BIGINT"), "update").start()
    stream.expect_failure("STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE")
    stream.plan(declaring("getValueState", "n INT", "other"), "update").start().check_last(("a", "ran")).stop()
    stream.plan(stateful(counting()), "update").start().add_data(data).check_last(("a", "2")).stop()
    stream.plan(stateful(counting(), "eventtime"), "update").start().add_data(data)
    stream.expect_failure("STATE_STORE_INVALID_CONFIG_AFTER_RESTART")


def test_a_kill_after_each_step_leaves_the_state_exact(tmp_path: Path) -> None:
    killed_after_each_step(tmp_path, "transformWithState")
