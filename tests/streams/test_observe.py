"""`observe` on streams: metrics of each batch in its progress, below and above stateful operators."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headwater.errors import AnalysisError
from headwater.plan.commands import Trigger
from headwater.plan.expressions import Alias, Call, Column, Literal
from headwater.plan.relations import Aggregate, CollectMetrics, Filter, Relation, WithWatermark
from headwater.sql import parse_expression
from headwater.types.ddl import parse_schema
from support.stream import StreamTest

SCHEMA = parse_schema("k string, v int, t timestamp")


def metrics(**texts: str) -> tuple[Any, ...]:
    return tuple(Alias(parse_expression(text), (name,)) for name, text in texts.items())


def row(v: int, second: int = 0, k: str = "a") -> dict[str, Any]:
    return {"k": k, "v": v, "t": f"2026-01-01T00:{second // 60:02}:{second % 60:02}"}


def add(stream: StreamTest, *rows: dict[str, Any]) -> StreamTest:
    from datetime import UTC, datetime

    return stream.add_data([{**one, "t": datetime.fromisoformat(one["t"]).replace(tzinfo=UTC)} for one in rows])


def observed(stream: StreamTest) -> list[Any]:
    return [json.loads(text).get("observedMetrics") for text in stream.running.recent_progress]


def test_each_batch_has_its_own_metrics(stream: StreamTest) -> None:
    wanted = metrics(n="count(1)", most="max(v)", mean="avg(v)", last="max(t)", names="collect_list(k)", seven="7")
    stream.plan(lambda source: CollectMetrics(source, "all", wanted)).start()
    add(stream, row(1), row(4, 61, "b"))
    stream.running.process_all_available()
    add(stream, row(9, 5))
    stream.running.process_all_available()
    assert observed(stream) == [
        {"all": {"n": 2, "most": 4, "mean": 2.5, "last": "2026-01-01 00:01:01", "names": ["a", "b"], "seven": 7}},
        {"all": {"n": 1, "most": 9, "mean": 9.0, "last": "2026-01-01 00:00:05", "names": ["a"], "seven": 7}},
    ]
    assert [json.loads(text)["numInputRows"] for text in stream.running.recent_progress] == [2, 1]


def test_two_places_and_no_rows(stream: StreamTest) -> None:
    def plan(source: Relation) -> Relation:
        below = CollectMetrics(source, "below", metrics(n="count(1)"))
        large = Filter(below, parse_expression("v > 100"))
        return CollectMetrics(large, "above", metrics(n="count(1)", most="max(v)"))

    stream.plan(plan).start()
    add(stream, row(1), row(2)).check_answer()
    assert observed(stream) == [{"above": {"n": 0, "most": None}, "below": {"n": 2}}]


def test_around_an_aggregation_with_its_batch_without_data(stream: StreamTest) -> None:
    def plan(source: Relation) -> Relation:
        below = CollectMetrics(WithWatermark(source, "t", "10 seconds"), "below", metrics(n="count(1)", s="sum(v)"))
        counted = Aggregate(below, "groupby", (Column(("t",)),), (Alias(Call("sum", (Column(("v",)),)), ("s",)),))
        return CollectMetrics(counted, "above", metrics(n="count(1)", total="sum(s)"))

    stream.plan(plan, "append", Trigger("available_now")).start()
    stream.running.await_termination(30)
    add(stream, row(1), row(2, 30), row(5, 90))
    stream.start().running.await_termination(30)
    assert observed(stream) == [
        {"above": {"n": 0, "total": None}, "below": {"n": 3, "s": 8}},
        {"above": {"n": 2, "total": 3}, "below": {"n": 0, "s": None}},
    ]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("v", "NON_AGGREGATE_FUNC_ARG_IS_ATTRIBUTE"),
        ("count(DISTINCT v)", "AGGREGATE_EXPRESSION_WITH_DISTINCT_UNSUPPORTED"),
        ("sum(max(v))", "NESTED_AGGREGATES_UNSUPPORTED"),
        ("count(v) FILTER (WHERE v > 1)", "AGGREGATE_EXPRESSION_WITH_FILTER_UNSUPPORTED"),
    ],
)
def test_what_cannot_be_observed(stream: StreamTest, text: str, condition: str) -> None:
    stream.plan(lambda source: CollectMetrics(source, "x", metrics(m=text)))
    with pytest.raises(AnalysisError, match=f"INVALID_OBSERVED_METRICS.{condition}"):
        stream.start()


def test_a_name_stands_for_one_thing(stream: StreamTest) -> None:
    one = metrics(n="count(1)")
    stream.plan(lambda source: CollectMetrics(CollectMetrics(source, "x", one), "x", one))
    with pytest.raises(AnalysisError, match="DUPLICATED_METRICS_NAME"):
        stream.start()
    stream.plan(lambda source: CollectMetrics(source, "", one))
    with pytest.raises(AnalysisError, match="MISSING_NAME"):
        stream.start()


def test_a_metric_may_be_a_literal_alone(stream: StreamTest) -> None:
    from pyspark.sql.types import IntegerType

    alone = (Alias(Literal(1, IntegerType()), ("one",)),)
    stream.plan(lambda source: CollectMetrics(source, "x", alone)).start()
    add(stream, row(1), row(2))
    stream.running.process_all_available()
    assert observed(stream) == [{"x": {"one": 1}}]
