"""Listeners of the genuine client: what they hear, in which order, and what their failures do."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.streaming import StreamingQueryListener

from support.server import spark_session


@pytest.fixture
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


class Listener(StreamingQueryListener):
    """Keeps what it hears; fails on the kind of event it is told to."""

    def __init__(self, fails_on: str = "") -> None:
        self.heard: list[tuple[str, Any]] = []
        self._fails_on = fails_on

    def _hear(self, kind: str, event: object) -> None:
        self.heard.append((kind, event))
        if kind == self._fails_on:
            raise ValueError(kind)

    def onQueryStarted(self, event: object) -> None:
        self._hear("started", event)

    def onQueryProgress(self, event: object) -> None:
        self._hear("progress", event)

    def onQueryIdle(self, event: object) -> None:
        self._hear("idle", event)

    def onQueryTerminated(self, event: object) -> None:
        self._hear("terminated", event)

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.heard]

    def of(self, kind: str) -> list[Any]:
        return [event for one, event in self.heard if one == kind]


def wait(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def batches(spark: SparkSession, rows: int = 3) -> DataFrame:
    return spark.readStream.format("rate-micro-batch").option("rowsPerBatch", rows).load()


def run_once(frame: DataFrame) -> None:
    query = frame.writeStream.format("noop").trigger(once=True).start()
    assert query.awaitTermination(60)


def test_observed_metrics_come_as_rows_with_their_types(spark: SparkSession) -> None:
    listener = Listener()
    spark.streams.addListener(listener)
    frame = batches(spark).observe(
        "seen", F.count(F.lit(1)).alias("n"), F.avg("value").alias("mean"), F.lit("x").alias("s")
    )
    run_once(frame.filter("value > 100").observe("left", F.max("value").alias("most")))
    wait(lambda: "terminated" in listener.kinds())
    spark.streams.removeListener(listener)
    (progress,) = [event.progress for event in listener.of("progress")]
    assert progress.observedMetrics == {"seen": Row(n=3, mean=1.0, s="x"), "left": Row(most=None)}
    assert listener.kinds()[-1] == "terminated"


def test_a_failing_query_tells_its_exception_and_class(spark: SparkSession) -> None:
    listener = Listener()
    spark.streams.addListener(listener)
    query = batches(spark).selectExpr("1 / (value - value) AS x").writeStream.format("noop").start()
    wait(lambda: "terminated" in listener.kinds())
    spark.streams.removeListener(listener)
    (ended,) = listener.of("terminated")
    assert "DIVIDE_BY_ZERO" in ended.exception
    assert ended.errorClassOnException == "DIVIDE_BY_ZERO"
    assert not query.isActive


@pytest.mark.parametrize("kind", ["started", "progress", "terminated"])
def test_a_listener_that_fails_harms_nobody(spark: SparkSession, kind: str) -> None:
    bad, good = Listener(kind), Listener()
    spark.streams.addListener(bad)
    spark.streams.addListener(good)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_once(batches(spark))
        wait(lambda: "terminated" in good.kinds() and "terminated" in bad.kinds())
    assert sorted(good.kinds()) == sorted(bad.kinds()) == ["progress", "started", "terminated"]
    spark.streams.removeListener(bad)
    spark.streams.removeListener(good)


def test_a_listener_that_was_removed_hears_no_more(spark: SparkSession) -> None:
    listener, other = Listener(), Listener()
    for one in (listener, listener, other):
        spark.streams.addListener(one)
    run_once(batches(spark))
    wait(lambda: "terminated" in other.kinds())
    wait(lambda: listener.kinds().count("terminated") == 2)
    spark.streams.removeListener(listener)
    spark.streams.removeListener(listener)
    before = len(listener.heard)
    run_once(batches(spark))
    wait(lambda: other.kinds().count("terminated") == 2)
    assert len(listener.heard) == before
    spark.streams.removeListener(other)
    run_once(batches(spark))
    assert other.kinds().count("terminated") == 2


def test_a_start_is_told_before_start_returns(spark: SparkSession) -> None:
    listener = Listener()
    spark.streams.addListener(listener)
    query = batches(spark).writeStream.format("noop").queryName("told").start()
    assert [(event.name, str(event.runId)) for event in listener.of("started")] == [("told", str(query.runId))]
    query.stop()
    spark.streams.removeListener(listener)


def test_an_idle_query_says_so_at_intervals(spark: SparkSession, tmp_path: Any) -> None:
    spark.conf.set("spark.sql.streaming.noDataProgressEventInterval", "200ms")
    (tmp_path / "in").mkdir()
    listener = Listener()
    spark.streams.addListener(listener)
    query = spark.readStream.schema("v int").json(str(tmp_path / "in")).writeStream.format("noop").start()
    wait(lambda: listener.kinds().count("idle") >= 3)
    query.stop()
    wait(lambda: "terminated" in listener.kinds())
    spark.streams.removeListener(listener)
    times = [event.timestamp for event in listener.of("idle")]
    assert times == sorted(set(times))
    assert all(str(event.runId) == str(query.runId) for event in listener.of("idle"))
    assert "progress" not in listener.kinds()
