"""Streaming aggregation without watermark: complete and update, through restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType

from headwater.plan.expressions import Alias, Call, Column, Expression, Literal, SortOrder
from headwater.plan.relations import (
    Aggregate,
    Filter,
    Limit,
    Project,
    Relation,
    Sort,
    WithColumns,
)
from support.stream import StreamTest

SCHEMA = StructType([StructField("k", StringType()), StructField("v", LongType())])
ONE = Literal(1, LongType())


def column(name: str) -> Column:
    return Column((name,))


def row(k: str | None, v: int | None) -> dict[str, object]:
    return {"k": k, "v": v}


def total(source: Relation, *keys: str) -> Aggregate:
    return aggregate(source, *keys, s=Call("sum", (column("v"),)), n=Call("count", (ONE,)))


def aggregate(source: Relation, *keys: str, **measures: Expression) -> Aggregate:
    named = tuple(Alias(call, (name,)) for name, call in measures.items())
    return Aggregate(source, "groupby", tuple(column(key) for key in keys), named)


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[StreamTest]:
    test = StreamTest(tmp_path, SCHEMA)
    yield test
    test.close()


def test_complete_mode_gives_all_groups(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s, "k"), "complete")

    stream.start().add_data([row("a", 1), row("b", 2), row(None, 5)]).check_last(("a", 1, 1), ("b", 2, 1), (None, 5, 1))
    stream.add_data([row("a", 10), row(None, None)]).check_last(("a", 11, 2), ("b", 2, 1), (None, 5, 2))


def test_update_mode_gives_the_groups_that_changed(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s, "k"), "update")

    stream.start().add_data([row("a", 1), row("b", 2)]).check_last(("a", 1, 1), ("b", 2, 1))
    stream.add_data([row("a", 10), row("c", 3)]).check_last(("a", 11, 2), ("c", 3, 1))


def test_state_survives_restarts(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s, "k"), "complete").start()
    for batch in range(12):
        stream.add_data([row("a", 1), row(f"k{batch % 3}", 2**53 + 1)]).check_last(
            ("a", batch + 1, batch + 1),
            *((f"k{k}", (2**53 + 1) * n, n) for k in range(3) if (n := len(range(k, batch + 1, 3)))),
        )
        stream.stop().start()


def test_a_failed_batch_is_taken_into_the_state_once(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s, "k"), "complete").start().add_data([row("a", 1)]).check_last(("a", 1, 1))
    stream.sink.error = RuntimeError("sink is down")
    stream.add_data([row("a", 2)]).expect_failure("sink is down")

    stream.sink.error = None

    stream.start().check_last(("a", 3, 2))


def test_the_plan_goes_on_above_and_below_the_aggregation(stream: StreamTest) -> None:
    def build(source: Relation) -> Relation:
        below = Filter(
            WithColumns(source, (Alias(Call("*", (column("v"), column("v"))), ("v",)),)), Call(">", (column("v"), ONE))
        )
        counted = aggregate(below, "k", s=Call("sum", (column("v"),)), m=Call("max", (column("v"),)))
        above = Project(counted, (column("k"), Alias(Call("+", (column("s"), column("m"))), ("t",))))
        return Limit(Sort(above, (SortOrder(column("t"), ascending=False, nulls_first=False),)), 2)

    stream.plan(build, "complete").start()

    stream.add_data([row("a", 1), row("a", 3), row("b", 2), row("c", 9)]).check_last(("c", 162), ("a", 18))


def test_without_keys_there_is_one_row(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s), "complete").start().add_data([row("a", 1)]).check_last((1, 1))

    stream.stop().start().add_data([row("a", 2)]).check_last((3, 2))


def test_a_projection_that_aggregates_is_an_aggregation(stream: StreamTest) -> None:
    stream.plan(lambda s: Project(s, (Alias(Call("sum", (column("v"),)), ("t",)),)), "complete").start()

    stream.add_data([row("a", 1)]).check_last((1,)).add_data([row("a", 2)]).check_last((3,))


def test_average_and_collections_are_exact_over_batches(stream: StreamTest) -> None:
    v = column("v")
    measures = {
        "avg": Call("avg", (v,)),
        "list": Call("collect_list", (v,)),
        "set": Call("size", (Call("collect_set", (v,)),)),
        "first": Call("first", (v,)),
        "last": Call("last", (v,)),
        "about": Call("approx_count_distinct", (v,)),
    }
    stream.plan(lambda s: aggregate(s, "k", **measures), "complete").start()

    for value in (1, 2, 2, 7):
        stream.add_data([row("a", value)]).running.process_all_available()
        stream.stop().start()
    stream.running.process_all_available()

    assert stream.sink.batches[max(stream.sink.batches)] == [("a", 3.0, [1, 2, 2, 7], 3, 1, 7, 3)]


def test_progress_counts_the_state(stream: StreamTest) -> None:
    import json

    stream.plan(lambda s: total(s, "k"), "update").start()
    stream.add_data([row("a", 1), row("b", 2)]).check_last(("a", 1, 1), ("b", 2, 1))
    stream.add_data([row("a", 1)]).check_last(("a", 2, 2))

    (state,) = json.loads(stream.running.last_progress or "")["stateOperators"]

    assert {key: state[key] for key in ("operatorName", "numRowsTotal", "numRowsUpdated", "numRowsRemoved")} == {
        "operatorName": "stateStoreSave", "numRowsTotal": 2, "numRowsUpdated": 1, "numRowsRemoved": 0,
    }  # fmt: skip


def test_other_aggregates_need_another_checkpoint(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s, "k"), "complete").start().add_data([row("a", 1)]).check_last(("a", 1, 1)).stop()

    stream.plan(lambda s: aggregate(s, "k", m=Call("max", (column("v"),))), "complete").start()

    stream.expect_failure("STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE")


def test_a_stateless_query_cannot_take_the_checkpoint_of_an_aggregation(stream: StreamTest) -> None:
    stream.plan(lambda s: total(s, "k"), "complete").start().add_data([row("a", 1)]).check_last(("a", 1, 1)).stop()

    with pytest.raises(Exception, match=r"NOT_MATCH_IN_STATE_METADATA"):
        stream.plan(lambda s: s, "append").start()


DISTINCT = Call("count", (column("v"),), distinct=True)
BY_K = (SortOrder(column("k")),)
REFUSALS: list[tuple[Callable[[Relation], Relation], str, str]] = [
    (lambda s: total(s, "k"), "append", "streaming aggregations without watermark"),
    (lambda s: aggregate(s, "k", n=DISTINCT), "update", "Consider using approx_count_distinct"),
    (lambda s: Sort(total(s, "k"), BY_K), "update", "Sorting is not supported"),
    (lambda s: Limit(total(s, "k"), 1), "update", "Limits are not supported"),
    (lambda s: aggregate(s, "k", n=Call("count_min_sketch", (column("v"),))), "update", "not supported|UNRESOLVED"),
]


@pytest.mark.parametrize(("build", "mode", "message"), REFUSALS)
def test_what_cannot_stream_is_refused(
    stream: StreamTest, build: Callable[[Relation], Relation], mode: str, message: str
) -> None:
    with pytest.raises(Exception, match=message):
        stream.plan(build, mode).start()
