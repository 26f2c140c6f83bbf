"""Streaming queries through the client: start, ask, wait, stop, listen."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from pyspark.errors import AnalysisException, IllegalArgumentException, StreamingQueryException
from pyspark.errors.exceptions.connect import SparkConnectException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.connect.streaming.query import StreamingQuery
from pyspark.sql.streaming import StreamingQueryListener

from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


@pytest.fixture
def source(spark: SparkSession) -> DataFrame:
    return spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 5).load()


def started(frame: DataFrame, **options: str) -> StreamingQuery:
    return frame.writeStream.format("noop").options(**options).trigger(processingTime="50 milliseconds").start()


def test_a_query_can_be_asked_while_it_runs(spark: SparkSession, source: DataFrame) -> None:
    query = source.writeStream.format("noop").queryName("asked").start()
    while query.lastProgress is None:
        time.sleep(0.01)
    assert query.isActive
    assert query.status["message"]
    assert query.lastProgress.name == "asked"
    assert query.recentProgress[0].batchId == 0
    assert [each.id for each in spark.streams.active] == [query.id]
    assert spark.streams.get(query.id).runId == query.runId
    assert query.awaitTermination(0.1) is False
    query.explain()
    query.stop()


def test_a_query_can_be_asked_after_its_end(spark: SparkSession, source: DataFrame) -> None:
    query = started(source)
    query.stop()
    assert not query.isActive
    assert query.exception() is None
    assert query.awaitTermination(5) is True
    assert query.awaitTermination() is None
    assert spark.streams.active == []
    assert spark.streams.get(query.id) is None


def test_a_failure_is_told_by_every_way_to_wait(spark: SparkSession, source: DataFrame) -> None:
    spark.streams.resetTerminated()
    query = started(source.select(F.raise_error(F.lit("boom"))))
    with pytest.raises(StreamingQueryException, match="boom") as caught:
        query.awaitTermination(20)
    assert caught.value.getCondition() == "STREAM_FAILED"
    with pytest.raises(StreamingQueryException, match="boom"):
        query.processAllAvailable()
    with pytest.raises(StreamingQueryException, match="boom"):
        spark.streams.awaitAnyTermination(5)
    assert "boom" in str(query.exception())
    spark.streams.resetTerminated()
    assert spark.streams.awaitAnyTermination(0.1) is False


@pytest.mark.parametrize("wait", ["awaitTermination", "processAllAvailable"])
def test_waiting_can_be_interrupted(spark: SparkSession, source: DataFrame, wait: str) -> None:
    query = started(source)
    threading.Timer(0.3, spark.interruptAll).start()
    with pytest.raises(SparkConnectException) as caught:
        getattr(query, wait)()
    assert caught.value.getCondition() == "OPERATION_CANCELED"
    assert query.isActive
    query.stop()


def test_an_unknown_query_is_an_error(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException) as caught:
        _ = StreamingQuery(spark, str(uuid.uuid4()), str(uuid.uuid4())).status
    assert caught.value.getCondition() == "STREAMING_QUERY_NOT_FOUND"


def test_a_wrong_output_mode_is_refused_before_anything_starts(source: DataFrame) -> None:
    with pytest.raises(IllegalArgumentException) as caught:
        source.writeStream.format("noop").outputMode("fancy").start()
    assert caught.value.getCondition() == "STREAMING_OUTPUT_MODE.INVALID"


class Listener(StreamingQueryListener):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] = []

    def onQueryStarted(self, event: object) -> None:
        self.heard.append(("started", event))

    def onQueryProgress(self, event: object) -> None:
        self.heard.append(("progress", event))

    def onQueryIdle(self, event: object) -> None:
        self.heard.append(("idle", event))

    def onQueryTerminated(self, event: object) -> None:
        self.heard.append(("terminated", event))


def test_listeners_hear_of_starts_progress_and_ends(spark: SparkSession, source: DataFrame) -> None:
    listener = Listener()
    spark.streams.addListener(listener)
    query = source.writeStream.format("noop").queryName("heard").start()
    while query.lastProgress is None:
        time.sleep(0.01)
    query.stop()
    deadline = time.monotonic() + 10
    while "terminated" not in dict(listener.heard) and time.monotonic() < deadline:
        time.sleep(0.01)
    spark.streams.removeListener(listener)
    kinds = [kind for kind, _ in listener.heard]
    assert kinds.count("started") == 1  # told by the client itself, so a first progress may overtake it
    assert kinds[-1] == "terminated"
    assert "progress" in kinds
    heard = dict(listener.heard)
    assert heard["started"].name == "heard"  # type: ignore[attr-defined]
    assert heard["terminated"].exception is None  # type: ignore[attr-defined]
    assert str(heard["terminated"].runId) == query.runId  # type: ignore[attr-defined]
