"""Grouped Python functions in a batch, by the genuine client: their rows, their errors, what has only columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PySparkException, PythonException, UnsupportedOperationException
from pyspark.sql import Row
from pyspark.sql.streaming import StatefulProcessor

from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with spark_session({"spark.sql.session.timeZone": "UTC"}) as session:
        yield session


@pytest.fixture
def rows(spark: Any) -> Any:
    return spark.createDataFrame([("b", 1), ("a", 1), ("a", 2), (None, 7)], "k STRING, v INT")


def counting(how: str = "count") -> StatefulProcessor:
    class Counting(StatefulProcessor):
        def init(self, handle: Any) -> None:
            self.handle = handle
            self.n = handle.getValueState("n", "n INT")

        def handleInputRows(self, key: Any, rows: Any, timerValues: Any) -> Any:
            if how == "fail":
                raise ValueError("boom")
            n = (self.n.get()[0] if self.n.exists() else 0) + len(list(rows))
            self.n.update((n,))
            if how == "timers":
                self.handle.registerTimer(timerValues.getCurrentProcessingTimeInMs() - 1)
                self.handle.registerTimer(timerValues.getCurrentProcessingTimeInMs() + 100_000)
            yield Row(k=key[0], n=n)

        def handleExpiredTimer(self, key: Any, timerValues: Any, expiredTimerInfo: Any) -> Any:
            yield Row(k=key[0], n=-self.n.get()[0])

        def handleInitialState(self, key: Any, initialState: Any, timerValues: Any) -> None:
            self.n.update((initialState.n,))

        def close(self) -> None:
            pass

    return Counting()


def test_a_processor_runs_once_over_the_groups_in_their_order(rows: Any) -> None:
    frame = rows.groupBy("k").transformWithState(counting(), "k STRING, n INT", "Update", "None")

    assert frame.columns == ["k", "n"]
    assert frame.collect() == [Row(k=None, n=1), Row(k="a", n=2), Row(k="b", n=1)]
    assert frame.filter("n > 1").count() == 1


def test_an_initial_state_comes_first(spark: Any, rows: Any) -> None:
    start = spark.createDataFrame([("a", 100), ("z", 5)], "k STRING, n INT").groupBy("k")

    frame = rows.groupBy("k").transformWithState(counting(), "k STRING, n INT", "Update", "None", start)

    assert frame.collect() == [Row(k=None, n=1), Row(k="a", n=102), Row(k="b", n=1)]


def test_timers_of_processing_time_that_are_due_fire(rows: Any) -> None:
    grouped = rows.where("k IS NOT NULL").groupBy("k")

    frame = grouped.transformWithState(counting("timers"), "k STRING, n INT", "Update", "ProcessingTime")

    assert frame.collect() == [Row(k="a", n=2), Row(k="b", n=1), Row(k="a", n=-2), Row(k="b", n=-1)]


def test_frames(rows: Any) -> None:
    class Pandas(StatefulProcessor):
        def init(self, handle: Any) -> None: ...

        def handleInputRows(self, key: Any, rows: Any, timerValues: Any) -> Any:
            import pandas as pd

            for frame in rows:
                yield pd.DataFrame({"s": [int(frame["v"].sum())], "k": [key[0]]})

        def close(self) -> None: ...

    frame = rows.groupBy("k").transformWithStateInPandas(Pandas(), "k STRING, s INT", "Update", "None")

    assert frame.collect() == [Row(k=None, s=7), Row(k="a", s=3), Row(k="b", s=1)]


def test_the_users_error_comes_with_its_traceback(rows: Any) -> None:
    frame = rows.groupBy("k").transformWithState(counting("fail"), "k STRING, n INT", "Update", "None")

    with pytest.raises(PythonException, match=r"in handleInputRows\n.*raise ValueError(.|\n)*ValueError: boom"):
        frame.collect()


def test_apply_in_pandas_with_state_is_for_streams(rows: Any) -> None:
    frame = rows.groupBy("k").applyInPandasWithState(
        lambda _k, frames, _s: frames, "k STRING", "n INT", "update", "NoTimeout"
    )

    with pytest.raises(UnsupportedOperationException, match="applyInPandasWithState is unsupported in batch query"):
        frame.collect()


def test_on_a_stream_only_the_columns_are_known(spark: Any) -> None:
    stream = spark.readStream.format("rate").load()
    marked = stream.withWatermark("timestamp", "5 seconds").groupBy("value")

    def made(grouped: Any, event: str = "") -> Any:
        return grouped.transformWithState(counting(), "k BIGINT, at TIMESTAMP", "Append", "EventTime", None, event)

    assert made(marked, "at").isStreaming
    assert made(marked, "AT").schema.simpleString() == "struct<k:bigint,at:timestamp>"
    with pytest.raises(AnalysisException, match=r"UNRESOLVED_COLUMN\.WITH_SUGGESTION"):
        made(marked, "never").schema  # noqa: B018
    with pytest.raises(AnalysisException, match="CANNOT_ASSIGN_EVENT_TIME_COLUMN_WITHOUT_WATERMARK"):
        made(stream.groupBy("value"), "at").schema  # noqa: B018
    with pytest.raises(PySparkException):
        made(marked).collect()
