"""Interrupting what runs: all of it, by tag, by operation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from pyspark.errors.exceptions.connect import SparkConnectException
from pyspark.sql import functions as F
from pyspark.sql.connect.session import SparkSession

from support.server import spark_session


@pytest.fixture
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


def interrupted_by(spark: SparkSession, interrupt: Callable[[], list[str]]) -> list[str]:
    """The ids that `interrupt` returns while a long query runs; the query must end with OPERATION_CANCELED."""
    found: list[str] = []

    def keep_trying() -> None:
        for _ in range(200):
            time.sleep(0.05)
            found.extend(interrupt())
            if found:
                return

    thread = threading.Thread(target=keep_trying)
    thread.start()
    with pytest.raises(SparkConnectException) as caught:
        spark.range(20_000_000_000).select(F.sum(F.sin("id") * F.cos("id"))).collect()
    thread.join()
    assert caught.value.getCondition() == "OPERATION_CANCELED"
    assert caught.value.getSqlState() == "HY008"
    return found


def test_everything_can_be_interrupted(spark: SparkSession) -> None:
    assert len(interrupted_by(spark, spark.interruptAll)) == 1
    assert spark.interruptAll() == []


def test_operations_are_interrupted_by_tag(spark: SparkSession) -> None:
    spark.addTag("mine")
    assert spark.interruptTag("other") == []
    assert len(interrupted_by(spark, lambda: spark.interruptTag("mine"))) == 1


def test_an_operation_is_interrupted_by_its_id_and_has_a_status(spark: SparkSession) -> None:
    def running() -> list[str]:
        statuses = spark.client._get_operation_statuses().operation_statuses
        return [item.operation_id for item in statuses if item.state == 2]

    def interrupt() -> list[str]:
        return [each for found in running() for each in spark.interruptOperation(found)]

    assert len(interrupted_by(spark, interrupt)) == 1
