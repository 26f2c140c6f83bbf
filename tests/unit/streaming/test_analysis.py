"""The rules for what may stream, against plans; against genuine Spark they are held in `tests/scenarios/refused.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from headwater.errors import SparkError
from headwater.plan.expressions import Alias, Call, Column, Expression, Literal, SortOrder, Subquery, Window
from headwater.plan.relations import (
    Aggregate,
    CommonTables,
    Deduplicate,
    Distinct,
    Filter,
    Join,
    Limit,
    Offset,
    Project,
    Range,
    ReadTable,
    Relation,
    Sample,
    SetOperation,
    Sort,
    Statistic,
    SubqueryAlias,
    Transpose,
    WithColumns,
    WithWatermark,
)
from support.stream import StreamTest

SCHEMA = StructType([StructField("k", StringType()), StructField("v", LongType()), StructField("t", TimestampType())])
K, V, T = (Column((name,)) for name in "kvt")
STATIC = Project(Range(0, 3, 1), (Alias(Call("string", (Column(("id",)),)), ("k",)),))
COUNT = Alias(Call("count", (Literal(1, LongType()),)), ("n",))
Build = Callable[[Relation], Relation]


def text(value: str) -> Literal:
    return Literal(value, StringType())


def marked(source: Relation) -> Relation:
    return WithWatermark(source, "t", "10 minutes")


def count(source: Relation, *keys: Expression) -> Aggregate:
    return Aggregate(source, "groupby", keys, (COUNT,))


def keys(source: Relation) -> Relation:
    return Project(source, (K,))


def joined(source: Relation, other: Relation, kind: Any) -> Relation:
    return Join(keys(source), keys(other), kind, using=("k",))


MINUTES = Call("window", (T, text("5 minutes")))
SESSION = Call("session_window", (T, text("5 minutes")))
ROW = Window(Call("row_number"), (K,), (SortOrder(T),))
SORTING = "Sorting is not supported on streaming DataFrames/Datasets, unless it is on aggregated"
CHAIN = "Detected pattern of possible 'correctness' issue due to global watermark"
NO_WATERMARK = "append. This output mode is not supported for streaming aggregations without watermark"
NO_AGGREGATE = "complete. This output mode is not supported for no streaming aggregations"

REFUSED: dict[str, tuple[Build, str, str]] = {
    "complete without aggregation": (keys, "complete", NO_AGGREGATE),
    "complete with duplicates dropped": (lambda s: Deduplicate(s, ("k",)), "complete", NO_AGGREGATE),
    "append without watermark": (lambda s: count(s, K), "append", NO_WATERMARK),
    "append without the watermark's column": (lambda s: count(marked(s), K), "append", NO_WATERMARK),
    "append of all rows": (lambda s: count(marked(s)), "append", NO_WATERMARK),
    "append by a time made of the watermark's": (
        lambda s: count(marked(s), Call("date_trunc", (text("hour"), T))), "append", NO_WATERMARK,
    ),
    "append of SELECT DISTINCT": (lambda s: Distinct(keys(s)), "append", NO_WATERMARK),
    "append of UNION": (lambda s: SetOperation(keys(s), keys(s), "union"), "append", NO_WATERMARK),
    "update of sessions": (
        lambda s: count(marked(s), K, SESSION), "update",
        "update. This output mode is not supported for session window streaming aggregations",
    ),
    "aggregation of an aggregation": (lambda s: count(count(s, K, V), K), "update", CHAIN),
    "duplicates by time after an aggregation": (
        lambda s: Deduplicate(count(marked(s), K, T), ("t",)), "complete", CHAIN,
    ),
    "pivot of numbers": (
        lambda s: Aggregate(s, "pivot", (V,), (COUNT,), K, (text("a"),)), "update", CHAIN,
    ),
    "pivot without values": (
        lambda s: Aggregate(s, "pivot", (V,), (COUNT,), K), "update", "pivot is not supported on a streaming",
    ),
    "distinct aggregate": (
        lambda s: Aggregate(s, "groupby", (K,), (Call("sum", (V,), distinct=True),)), "update",
        "Consider using approx_count_distinct() instead.",
    ),
    "within a watermark without one": (
        lambda s: Deduplicate(s, ("k",), within_watermark=True), "append",
        "dropDuplicatesWithinWatermark is not supported on streaming DataFrames/DataSets without watermark",
    ),
    "sort": (lambda s: Sort(s, (SortOrder(K),)), "append", SORTING),
    "sort in partitions": (lambda s: Sort(s, (SortOrder(K),), is_global=False), "update", SORTING),
    "sort of an update": (lambda s: Sort(count(s, K), (SortOrder(K),)), "update", SORTING),
    "sort of SELECT DISTINCT": (lambda s: Sort(Distinct(keys(s)), (SortOrder(K),)), "complete", SORTING),
    "limit in update mode": (
        lambda s: Limit(s, 1), "update", "Limits are not supported on streaming",
    ),
    "offset": (lambda s: Offset(count(s, K), 1), "complete", "Offset is not supported on streaming"),
    "offset of the static side": (
        lambda s: joined(s, Offset(STATIC, 1), "inner"), "append", "Offset is not supported on streaming",
    ),
    "sample": (lambda s: Sample(s, 0.0, 0.5), "append", "Sampling is not supported on streaming"),
    "union with a batch": (
        lambda s: SetOperation(keys(s), STATIC, "union", all=True), "append", "Union between streaming and batch",
    ),
    "intersect": (lambda s: SetOperation(keys(s), STATIC, "intersect"), "append", "Intersect of streaming"),
    "except a stream": (
        lambda s: SetOperation(STATIC, keys(s), "except"), "append",
        "Except on a streaming DataFrame/Dataset on the right is not supported",
    ),
    "except all": (lambda s: SetOperation(keys(s), STATIC, "except", all=True), "update", "EXCEPT ALL on a stream"),
    "window function": (
        lambda s: WithColumns(s, (Alias(ROW, ("n",)),)), "append",
        "Window function is not supported in ROW_NUMBER() (as column `n`)",
    ),
    "row numbers": (
        lambda s: Filter(s, Call(">", (Call("monotonically_increasing_id"), V))), "append",
        "Expression(s): monotonically_increasing_id() is not supported with streaming",
    ),
    "subquery over a stream": (
        lambda s: Filter(s, Subquery("in", keys(s), (K,))), "append",
        "Streaming query is not allowed in subquery expressions",
    ),
    "statistic": (lambda s: Statistic(s, "describe"), "append", "a statistic of a stream"),
    "transpose": (lambda s: Transpose(s), "append", "must be executed with writeStream.start()"),
    "left join of a batch with a stream": (
        lambda s: joined(STATIC, s, "left_outer"), "append", "LeftOuter join with a streaming DataFrame/Dataset",
    ),
    "semi join of a batch with a stream": (
        lambda s: joined(STATIC, s, "left_semi"), "append", "LeftSemi join with a streaming DataFrame/Dataset",
    ),
    "right join of a stream with a batch": (
        lambda s: joined(s, STATIC, "right_outer"), "append", "RightOuter join with a streaming DataFrame/Dataset",
    ),
    "full join of a stream with a batch": (
        lambda s: joined(s, STATIC, "full_outer"), "append", "streaming DataFrames/Datasets on the left",
    ),
    "full join of a batch with a stream": (
        lambda s: joined(STATIC, s, "full_outer"), "append", "streaming DataFrames/Datasets on the right",
    ),
    "anti join with a stream": (
        lambda s: joined(s, s, "left_anti"), "append", "LeftAnti joins with a streaming DataFrame/Dataset on the right",
    ),
    "outer join of streams in update mode": (
        lambda s: joined(s, s, "left_outer"), "update",
        "LeftOuter join between two streaming DataFrames/Datasets is not supported in Update output mode, "
        "only in Append output mode",
    ),
    "inner join of streams in complete mode": (
        lambda s: count(joined(s, s, "inner"), K), "complete",
        "Inner join between two streaming DataFrames/Datasets is not supported in Complete output mode, "
        "only in Append and Update output modes",
    ),
}  # fmt: skip

ALLOWED: dict[str, tuple[Build, str]] = {
    "by the watermark's column": (lambda s: count(marked(s), K, T), "append"),
    "by another name of it": (lambda s: count(marked(s), Alias(T, ("u",))), "append"),
    "by a window of it": (lambda s: count(marked(s), MINUTES), "append"),
    "sessions": (lambda s: count(marked(s), K, SESSION), "append"),
    "duplicates dropped, then counted": (lambda s: count(Deduplicate(s, ("k",)), K), "complete"),
    "counted, then duplicates dropped by no time": (lambda s: Deduplicate(count(s, K), ("n",)), "update"),
    "SELECT DISTINCT in append mode": (lambda s: Distinct(Project(marked(s), (K, T))), "append"),
    "except a batch": (lambda s: SetOperation(keys(s), STATIC, "except"), "update"),
    "sorted whole results": (lambda s: Sort(count(s, K), (SortOrder(K),)), "complete"),
    "the static side sorted": (lambda s: joined(s, Sort(STATIC, (SortOrder(K),)), "inner"), "append"),
    "joins with a batch": (lambda s: joined(joined(s, STATIC, "left_anti"), STATIC, "left_outer"), "update"),
}


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[StreamTest]:
    test = StreamTest(tmp_path, SCHEMA)
    yield test
    test.close()


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_sparks_words_before_anything_is_written(stream: StreamTest, name: str) -> None:
    build, mode, message = REFUSED[name]

    with pytest.raises(SparkError) as caught:
        stream.plan(build, mode).start()

    assert message in str(caught.value)
    assert not (stream.folder / "checkpoint").exists()


@pytest.mark.parametrize("name", ALLOWED)
def test_it_is_let_through(stream: StreamTest, name: str) -> None:
    build, mode = ALLOWED[name]
    stream.plan(build, mode).start()


def test_the_check_of_chains_can_be_turned_off(stream: StreamTest) -> None:
    stream.session.settings.set("spark.sql.streaming.statefulOperator.checkCorrectness.enabled", "false")
    stream.plan(lambda s: count(count(s, K, V), K), "complete").start()

    stream.add_data([{"k": "a", "v": 1}, {"k": "a", "v": 2}]).check_last(("a", 2))


def test_sparks_checks_can_be_turned_off_but_not_what_is_missing(stream: StreamTest) -> None:
    stream.session.settings.set("spark.sql.streaming.unsupportedOperationCheck", "false")

    stream.plan(lambda s: Sort(keys(s), (SortOrder(K),))).start().add_data([{"k": "b"}, {"k": "a"}])
    stream.check_last(("a",), ("b",)).stop()
    with pytest.raises(SparkError, match="INTERSECT on a stream"):
        stream.plan(lambda s: SetOperation(keys(s), keys(s), "intersect")).start()


def test_a_common_table_over_a_stream_keeps_state_where_it_is_used(stream: StreamTest) -> None:
    tables = lambda s: CommonTables((("T", s), ("u", Filter(ReadTable(("t",)), Call(">", (V, V))))), used)  # noqa: E731
    used = SubqueryAlias(count(ReadTable(("t",)), K), "c")
    stream.plan(tables, "complete").start()

    stream.add_data([{"k": "a", "v": 1}]).check_last(("a", 1)).add_data([{"k": "a", "v": 2}]).check_last(("a", 2))
