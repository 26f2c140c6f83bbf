"""`limit` on streams: the first rows over all batches, through restarts and kills."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql.types import LongType, StructField, StructType

from headwater.plan.expressions import Alias, Call, Column, Literal, SortOrder
from headwater.plan.relations import Aggregate, Filter, Limit, Project, Relation, SetOperation, Sort
from support.kill import killed_after_each_step
from support.stream import StreamTest

SCHEMA = StructType([StructField("v", LongType())])
V = Column(("v",))


def rows(*values: int) -> list[dict[str, object]]:
    return [{"v": value} for value in values]


def counted(source: Relation) -> Relation:
    return Aggregate(source, "groupby", (V,), (Alias(Call("count", (V,)), ("n",)),))


@pytest.mark.parametrize("restarted", [False, True])
def test_rows_go_on_until_there_are_enough(stream: StreamTest, restarted: bool) -> None:
    stream.plan(lambda s: Limit(s, 5)).start()
    for values, new in [((1, 2), (1, 2)), ((), ()), ((3, 4), (3, 4)), ((5, 6, 7), (5,)), ((8,), ())]:
        if values:
            stream.add_data(rows(*values)).check_last(*((value,) for value in new))
        if restarted:
            stream.stop().start()


def test_the_whole_input_is_read_and_counted(stream: StreamTest) -> None:
    stream.plan(lambda s: Limit(s, 2)).start().add_data(rows(*range(100))).check_last((0,), (1,))
    stream.add_data(rows(*range(50))).check_last()

    found = json.loads(str(stream.running.last_progress))

    assert found["numInputRows"] == 50
    assert [one["operatorName"] for one in found["stateOperators"]] == ["globalLimit"]
    assert (found["stateOperators"][0]["numRowsTotal"], found["stateOperators"][0]["numRowsUpdated"]) == (1, 0)


def test_a_failed_batch_counts_once(stream: StreamTest) -> None:
    stream.plan(lambda s: Limit(s, 3)).start().add_data(rows(1)).check_last((1,))
    stream.sink.error = RuntimeError("sink is down")
    stream.add_data(rows(2)).expect_failure("sink is down")

    stream.sink.error = None

    stream.start().check_last((2,)).add_data(rows(3, 4)).check_last((3,))


def test_of_limits_one_above_the_other_the_least_counts(stream: StreamTest) -> None:
    stream.plan(lambda s: Limit(Limit(s, 2), 4)).start().add_data(rows(1, 2, 3)).check_last((1,), (2,))

    assert len(json.loads(str(stream.running.last_progress))["stateOperators"]) == 1


def test_a_filter_between_limits_keeps_them_apart(stream: StreamTest) -> None:
    even = Call("==", (Call("%", (V, Literal(2, LongType()))), Literal(0, LongType())))
    stream.plan(lambda s: Limit(Filter(Limit(s, 6), even), 2)).start()

    stream.add_data(rows(1, 2, 3)).check_last((2,)).add_data(rows(4, 5, 6, 8)).check_last((4,))
    assert len(json.loads(str(stream.running.last_progress))["stateOperators"]) == 2


def test_no_rows_at_all(stream: StreamTest) -> None:
    stream.plan(lambda s: Limit(s, 0)).start().add_data(rows(1, 2)).check_last()


def test_above_an_aggregation_each_whole_result_is_cut(stream: StreamTest) -> None:
    order = (SortOrder(V, ascending=False, nulls_first=False),)
    stream.plan(lambda s: Limit(Sort(counted(s), order), 2), "complete").start()

    stream.add_data(rows(1, 2, 2, 3)).check_last((3, 1), (2, 2)).add_data(rows(9, 2)).check_last((9, 1), (3, 1))


def test_below_an_aggregation_only_the_first_rows_count(stream: StreamTest) -> None:
    stream.plan(lambda s: counted(Limit(s, 3)), "complete").start()

    stream.add_data(rows(1, 2)).check_last((1, 1), (2, 1)).add_data(rows(2, 2)).check_last((1, 1), (2, 2))


def test_killed_after_each_step_no_row_too_many_goes_on(tmp_path: Path) -> None:
    killed_after_each_step(tmp_path, "limit")


def test_a_limit_of_nothing_keeps_nothing(stream: StreamTest) -> None:
    stream.plan(lambda s: Limit(s, 0)).start().add_data(rows(1, 2)).check_answer()

    assert json.loads(str(stream.running.last_progress))["stateOperators"] == []


def test_two_empty_sides_keep_their_own_columns(stream: StreamTest) -> None:
    def both(source: Relation) -> Relation:
        other = Limit(Project(source, (Alias(V, ("w",)),)), 0)
        return SetOperation(
            Project(Limit(source, 0), (V,)),
            SetOperation(Project(other, (Column(("w",)),)), source, "union", True),
            "union",
            True,
        )

    stream.plan(both).start().add_data(rows(7)).check_answer((7,)).stop()
