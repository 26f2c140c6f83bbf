"""`applyInPandasWithState` on a stream: straight, restarted, killed, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from headwater.errors import SparkError
from headwater.plan.relations import Relation, WithWatermark
from support.kill import killed_after_each_step
from support.stateful import with_state
from support.stream import StreamTest

SCHEMA = StructType([StructField("k", StringType()), StructField("v", LongType()), StructField("ts", TimestampType())])


def row(k: str | None, v: int | None, second: int = 0) -> dict[str, Any]:
    from datetime import UTC, datetime

    return {"k": k, "v": v, "ts": datetime.fromtimestamp(1_704_067_200 + second, UTC)}


def summing(key: Any, frames: Any, state: Any) -> Any:
    import pandas as pd

    total = state.getOption[0] if state.exists else 0
    for frame in frames:
        total += int(frame["v"].sum())
    state.update((total,))
    yield pd.DataFrame({"k": [key[0]], "s": [total]})


def sums(source: Relation, mode: str = "update") -> Relation:
    import sys

    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[summing.__module__])
    return with_state(source, summing, "k STRING, s BIGINT", "s BIGINT", mode)


def test_a_state_per_group_outlives_batches_and_restarts(stream: StreamTest) -> None:
    stream.plan(sums, "update")

    stream.start().add_data([row("a", 1), row("b", 2), row("a", 3)]).check_last(("a", 4), ("b", 2))
    stream.add_data([row(None, 5)]).check_last((None, 5))
    stream.stop().start().add_data([row(None, 1), row("a", 1)]).check_last((None, 6), ("a", 5))


def test_the_report_counts_states(stream: StreamTest) -> None:
    stream.plan(sums, "update").start().add_data([row("a", 1), row("b", 2)]).check_last(("a", 1), ("b", 2))

    report = json.loads(str(stream.running.last_progress))["stateOperators"][0]
    assert (report["operatorName"], report["numRowsTotal"], report["numRowsUpdated"]) == (
        "applyInPandasWithState",
        2,
        2,
    )


def test_a_group_is_called_once_more_when_its_event_time_timeout_has_passed(stream: StreamTest) -> None:
    def closing(key: Any, frames: Any, state: Any) -> Any:
        import pandas as pd

        if state.hasTimedOut:
            yield pd.DataFrame({"k": [key[0]], "what": [f"closed {state.get[0]}"]})
            state.remove()
            return
        frame = pd.concat(frames)
        n = (state.get[0] if state.exists else 0) + len(frame)
        state.update((n,))
        state.setTimeoutTimestamp(int(frame["ts"].max().timestamp() * 1000) + 10_000)
        yield pd.DataFrame({"k": [key[0]], "what": [f"open {n}"]})

    def plan(source: Relation) -> Relation:
        marked = WithWatermark(source, "ts", "0 seconds")
        return with_state(marked, closing, "k STRING, what STRING", "n BIGINT", "append", "EventTimeTimeout")

    stream.plan(plan, "append").start()
    stream.add_data([row("a", 1, 1), row("a", 2, 2)]).check_answer(("a", "open 2"))
    stream.add_data([row("b", 1, 30)]).check_answer(("a", "open 2"), ("b", "open 1"), ("a", "closed 2"))
    stream.stop().start().add_data([row("a", 9, 3), row("c", 1, 31)])  # the row of `a` is late
    stream.check_answer(("a", "open 2"), ("b", "open 1"), ("a", "closed 2"), ("c", "open 1"))


def test_what_a_function_raises_ends_the_query_with_its_own_traceback(stream: StreamTest) -> None:
    def failing(key: Any, frames: Any, state: Any) -> Any:
        raise ValueError("no such thing")

    stream.plan(lambda s: with_state(s, failing, "k STRING", "n INT"), "update").start().add_data([row("a", 1)])

    stream.expect_failure("PYTHON_EXCEPTION")
    with pytest.raises(SparkError, match=r"in failing\n.*raise ValueError"):
        stream.running.process_all_available()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (lambda: 5, "should be iterable, but is int"),
        (lambda: [5], "should be iterator of pandas.DataFrame, but is iterator of int"),
        (lambda: [__import__("pandas").DataFrame({"x": [1]})], "RESULT_COLUMN_SCHEMA_MISMATCH"),
        (
            lambda: [__import__("pandas").DataFrame({"k": [1], "s": [2]})],
            "Cannot convert the output value of the column",
        ),
    ],
)
def test_what_is_no_frame_of_the_schema_is_refused(stream: StreamTest, given: Any, error: str) -> None:
    def giving(key: Any, frames: Any, state: Any) -> Any:
        return given()

    plan = lambda s: with_state(s, giving, "k STRING, s STRING", "n INT")  # noqa: E731
    stream.plan(plan, "update").start().add_data([row("a", 1)]).expect_failure(error)


def test_another_state_is_refused(stream: StreamTest) -> None:
    stream.plan(sums, "update").start().add_data([row("a", 1)]).check_last(("a", 1)).stop()

    stream.plan(lambda s: with_state(s, summing, "k STRING, s BIGINT", "s STRING"), "update").start()
    stream.add_data([row("a", 1)]).expect_failure("STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE")


def test_a_field_of_the_state_may_be_renamed(stream: StreamTest) -> None:
    stream.plan(sums, "update").start().add_data([row("a", 1)]).check_last(("a", 1)).stop()

    stream.plan(lambda s: with_state(s, summing, "k STRING, s BIGINT", "renamed BIGINT"), "update").start()
    stream.add_data([row("a", 2)]).check_last(("a", 3))


def test_a_kill_after_each_step_leaves_the_state_exact(tmp_path: Path) -> None:
    killed_after_each_step(tmp_path, "applyInPandasWithState")
