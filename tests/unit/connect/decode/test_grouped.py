"""Stateful functions as the genuine client sends them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql.streaming import StatefulProcessor

from headwater.errors import SparkError
from headwater.plan import relations as p
from headwater.types.ddl import parse_schema
from support.client import relation_of
from support.server import spark_session


class Processor(StatefulProcessor):
    def init(self, handle: Any) -> None: ...

    def handleInputRows(self, key: Any, rows: Any, timerValues: Any) -> Any: ...

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def grouped() -> Iterator[Any]:
    with spark_session() as spark:
        yield spark.range(3).groupBy("id")


def with_state(grouped: Any, mode: str = "Append", timeout: str = "NoTimeout") -> Any:
    return relation_of(
        grouped.applyInPandasWithState(lambda _key, frames, _state: frames, "a INT", "s STRING, t INT", mode, timeout)
    )


def test_apply_in_pandas_with_state(grouped: Any) -> None:
    node = with_state(grouped, timeout="EventTimeTimeout")

    assert isinstance(node, p.ApplyInPandasWithState)
    assert (node.output, node.state) == (parse_schema("a INT"), parse_schema("s STRING, t INT"))
    assert (node.output_mode, node.timeout, node.function.eval_type) == ("append", "EventTimeTimeout", 208)
    assert len(node.grouping) == 1


@pytest.mark.parametrize(
    ("mode", "timeout", "error"),
    [
        ("complete", "NoTimeout", "The output mode of function should be append or update"),
        ("never", "NoTimeout", "STREAMING_OUTPUT_MODE.INVALID"),
        ("append", "Never", "'Never' is no timeout"),
    ],
)
def test_modes_and_timeouts_are_checked(grouped: Any, mode: str, timeout: str, error: str) -> None:
    with pytest.raises((SparkError, AssertionError), match=error):
        with_state(grouped, mode, timeout)


@pytest.mark.parametrize(("call", "eval_type"), [("transformWithState", 213), ("transformWithStateInPandas", 211)])
def test_transform_with_state(grouped: Any, call: str, eval_type: int) -> None:
    node = relation_of(getattr(grouped, call)(Processor(), "a INT", "Update", "ProcessingTime", None, "a"))

    assert isinstance(node, p.TransformWithState)
    assert (node.output_mode, node.time_mode, node.event_time) == ("update", "processingtime", "a")
    assert (node.function.eval_type, node.output, node.initial) == (eval_type, parse_schema("a INT"), None)


def test_an_initial_state_has_a_grouping_of_its_own(grouped: Any) -> None:
    node = relation_of(grouped.transformWithState(Processor(), "a INT", "Append", "None", grouped))

    assert isinstance(node.initial, p.Range)
    assert len(node.initial_grouping) == 1


def test_a_time_mode_that_does_not_exist_is_refused(grouped: Any) -> None:
    with pytest.raises(SparkError, match="STATEFUL_PROCESSOR_UNKNOWN_TIME_MODE"):
        relation_of(grouped.transformWithState(Processor(), "a INT", "Append", "Sometimes"))
