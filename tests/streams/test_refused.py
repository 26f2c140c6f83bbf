"""What Spark 4.3 starts, and refuses in the first batch; `tests/scenarios/refused.py` has more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from headwater.plan.expressions import Alias, Call, Column, Literal
from headwater.plan.relations import (
    Aggregate,
    Deduplicate,
    Filter,
    Join,
    Project,
    Range,
    Relation,
    SetOperation,
    SubqueryAlias,
    WithWatermark,
)
from headwater.sql import parse_expression
from support.stream import StreamTest

SCHEMA = StructType([StructField("k", StringType()), StructField("v", LongType()), StructField("t", TimestampType())])
ROW = {"k": "a", "v": 1, "t": datetime(2024, 1, 1, tzinfo=UTC)}
LATER = {**ROW, "t": datetime(2024, 1, 2, tzinfo=UTC)}
K, T = Column(("k",)), Column(("t",))
TEXT = Call("string", (Column(("id",)),))
NO_WATERMARK = "UNSUPPORTED_STREAMING_OPERATOR_WITHOUT_WATERMARK"


def marked(source: Relation) -> Relation:
    return WithWatermark(source, "t", "5 seconds")


def count(source: Relation) -> Relation:
    return Aggregate(source, "groupby", (T,), (Alias(Call("count", (Literal(1, LongType()),)), ("n",)),))


def two_times(source: Relation) -> Relation:
    return Project(marked(source), (K, T, Alias(T, ("u",))))


def with_itself(condition: str) -> Callable[[Relation], Relation]:
    one = lambda s, name: SubqueryAlias(marked(s), name)  # noqa: E731
    return lambda s: Join(one(s, "a"), one(s, "b"), "inner", parse_expression(condition))


IN_THE_FIRST_BATCH: dict[str, tuple[Callable[[Relation], Relation], str]] = {
    "append of a lower aggregation without watermark": (
        lambda s: SetOperation(count(marked(s)), count(s), "union", all=True), NO_WATERMARK,
    ),
    "append of a difference": (
        lambda s: SetOperation(Project(s, (K,)), Project(Range(0, 3, 1), (Alias(TEXT, ("k",)),)), "except"),
        NO_WATERMARK,
    ),
    "deduplication with two event times": (
        lambda s: Deduplicate(two_times(s), ("k",)), "event time columns: (t-T5000ms,u-T5000ms)",
    ),
    "deduplication within two watermarks": (
        lambda s: Deduplicate(two_times(s), ("k",), within_watermark=True), "MULTIPLE_EVENT_TIME_COLUMNS",
    ),
    "a join without equality": (with_itself("a.t >= b.t"), "Stream-stream join without equality predicate"),
    "a join by one of two equalities": (
        with_itself("a.k = b.k OR a.v = b.v"), "Stream-stream join without equality predicate",
    ),
}  # fmt: skip


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[StreamTest]:
    test = StreamTest(tmp_path, SCHEMA)
    yield test
    test.close()


@pytest.mark.parametrize("name", IN_THE_FIRST_BATCH)
def test_it_starts_and_its_first_batch_fails(stream: StreamTest, name: str) -> None:
    build, message = IN_THE_FIRST_BATCH[name]

    stream.plan(build).start().add_data([ROW]).expect_failure(message)

    assert stream.sink.rows == []


def test_a_watermark_over_a_watermark_fails_once_there_is_one(stream: StreamTest) -> None:
    stream.plan(lambda s: count(marked(Filter(marked(s), Call("isnotnull", (K,)))))).start()
    stream.add_data([LATER])

    stream.add_data([LATER]).expect_failure("Redefining watermark is disallowed")
