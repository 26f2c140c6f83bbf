"""A plan and what it becomes before it is cut; that the rows are right is `tests/streams/test_deduplicate.py`."""

from __future__ import annotations

from pyspark.sql.types import LongType

from headwater.compile import Attribute
from headwater.plan.expressions import Alias, Call, Column, Literal, Window
from headwater.plan.relations import (
    Aggregate,
    CachedRemote,
    Distinct,
    Filter,
    Join,
    Limit,
    Project,
    Relation,
    SetOperation,
    ToDF,
    WithWatermark,
)
from headwater.streaming.rewriting import as_spark_runs_it, with_explicit_aggregates

STREAM, STATIC = CachedRemote("stream_0"), CachedRemote("rows")
V = Column(("v",))
TOTAL = Alias(Call("sum", (V,)), ("s",))


def run(plan: Relation, *names: str) -> Relation:
    columns = [Attribute(name, LongType(), True, f"{name}_{i}") for i, name in enumerate(names)]
    return as_spark_runs_it(plan, lambda node: STREAM in node.walk(), lambda _: columns)


def test_a_projection_that_aggregates_is_an_aggregation() -> None:
    assert with_explicit_aggregates(Project(STREAM, (TOTAL,))) == Aggregate(STREAM, "groupby", (), (TOTAL,))


def test_a_window_function_does_not_aggregate() -> None:
    plan = Project(STREAM, (Window(Call("sum", (V,)), (V,)),))

    assert with_explicit_aggregates(plan) is plan


def test_distinct_groups_by_all_columns() -> None:
    keys = (V, Column(("k",)))

    assert run(Distinct(STREAM), "v", "k") == Aggregate(STREAM, "groupby", keys, ())


def test_distinct_groups_columns_of_one_name_by_their_places() -> None:
    keys = (Column(("x_0",)), Column(("X_1",)))
    shown = (Alias(keys[0], ("x",)), Alias(keys[1], ("X",)))

    made = run(Distinct(STREAM), "x", "X")

    assert made == Aggregate(ToDF(STREAM, ("x_0", "X_1")), "groupby", keys, shown, output_grouping=False)


def test_a_union_of_different_rows_is_one_of_all_rows_grouped() -> None:
    union = SetOperation(STREAM, STREAM, "union", all=True)

    assert run(SetOperation(STREAM, STREAM, "union"), "v") == Aggregate(union, "groupby", (V,), ())
    assert run(union, "v") == union


def test_except_is_grouped_too() -> None:
    plan = SetOperation(STREAM, STATIC, "except")

    assert run(plan, "v") == Aggregate(plan, "groupby", (V,), ())


def test_a_filter_without_the_event_time_comes_before_the_watermark() -> None:
    positive, recent = Call(">", (V, Column(("k",)))), Call(">", (Column(("time",)), V))
    marked = WithWatermark(STREAM, "time", "1 minute")

    assert run(Filter(marked, positive), "v") == WithWatermark(Filter(STREAM, positive), "time", "1 minute")
    assert run(Filter(marked, recent), "v") == Filter(marked, recent)
    both = run(Filter(marked, Call("and", (positive, recent))), "v")
    assert both == Filter(WithWatermark(Filter(STREAM, positive), "time", "1 minute"), recent)


def test_a_random_filter_stays_above_the_watermark() -> None:
    plan = Filter(WithWatermark(STREAM, "time", "1 minute"), Call(">", (Call("rand", ()), V)))

    assert run(plan, "v") == plan


def test_a_filter_of_an_inner_join_is_its_condition() -> None:
    same, more = Call("==", (V, V)), Call(">", (V, V))

    assert run(Filter(Join(STREAM, STREAM, "cross"), same), "v") == Join(STREAM, STREAM, "inner", same)
    joined = Join(STREAM, STREAM, "inner", same)
    assert run(Filter(joined, more), "v") == Join(STREAM, STREAM, "inner", Call("and", (same, more)))
    outer = Filter(Join(STREAM, STREAM, "left_outer", same), more)
    assert run(outer, "v") == outer


def test_limits_next_to_each_other_are_one() -> None:
    assert run(Limit(Limit(Limit(STREAM, 3), 2), 9)) == Limit(STREAM, 2)


def test_what_has_no_stream_stays() -> None:
    plan = Limit(Limit(Distinct(STATIC), 2), 1)
    several = SetOperation(Project(STREAM, (Literal(1, LongType()),)), plan, "union", all=True)

    assert run(plan) is plan
    assert run(several).right is plan  # type: ignore[attr-defined]
