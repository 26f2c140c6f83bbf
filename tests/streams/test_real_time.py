"""Real-time mode takes the operators that Spark takes, gives rows at once, and tells how long they were under way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headwater.testing import Add, Check, CheckNew, MemoryStream, run_stream, session

LATENCIES = ("processingLatencyMs", "sourceQueuingLatencyMs", "e2eLatencyMs")


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with session() as opened:
        yield opened


def static(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([(1, "one"), (2, "two")], "k INT, name STRING")


TAKEN: dict[str, tuple[Callable[[DataFrame, SparkSession], DataFrame], list[Any], list[Any]]] = {
    "projection": (lambda rows, _: rows.select((F.col("v") * 10).alias("v")), [(10,), (20,)], [(30,)]),
    "filter": (lambda rows, _: rows.where("v > 1"), [(2, 2)], [(1, 3)]),
    "explode": (lambda rows, _: rows.select(F.explode(F.array("k", "v"))), [(1,), (1,), (2,), (2,)], [(1,), (3,)]),
    "static join": (
        lambda rows, spark: rows.join(F.broadcast(static(spark)), "k").select("v", "name"),
        [(1, "one"), (2, "two")],
        [(3, "one")],
    ),
    "aggregation": (lambda rows, _: rows.groupBy("k").agg(F.sum("v").alias("s")), [(1, 1), (2, 2)], [(1, 4)]),
    "dropDuplicates": (lambda rows, _: rows.dropDuplicates(["k"]), [(1, 1), (2, 2)], []),
}
"""What is taken: a query, and what it gives for two additions."""


@pytest.mark.parametrize("name", TAKEN)
def test_what_real_time_mode_takes(spark: SparkSession, name: str) -> None:
    query, first, second = TAKEN[name]
    source = MemoryStream(spark, "k INT, v INT")
    steps = [Add(source, [(1, 1), (2, 2)]), CheckNew(first), Add(source, [(1, 3)]), CheckNew(second)]

    progress = run_stream(query(source.to_df(), spark), steps, "update", trigger={"realTime": "5 minutes"})

    for batch in (each for each in progress if each["numInputRows"]):
        metrics = batch["rtmMetrics"]
        assert tuple(metrics) == LATENCIES
        assert all(list(one) == ["P0", "P50", "P90", "P95", "P99"] for one in metrics.values())
        assert 0 <= metrics["processingLatencyMs"]["P99"] <= metrics["e2eLatencyMs"]["P99"] < 60_000


def test_a_union_of_two_sources_is_taken(spark: SparkSession) -> None:
    left, right = MemoryStream(spark, "v INT"), MemoryStream(spark, "v INT")
    steps = [Add(left, [1]), Add(right, [2]), Check([1, 2])]
    run_stream(left.to_df().union(right.to_df()), steps, "update", trigger={"realTime": "5 minutes"})


def test_other_triggers_tell_no_latencies(spark: SparkSession) -> None:
    source = MemoryStream(spark, "v INT")
    progress = run_stream(source.to_df(), [Add(source, [1]), Check([1])], "update")
    assert not any("rtmMetrics" in batch for batch in progress)
