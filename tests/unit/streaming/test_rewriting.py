"""A plan and what it becomes before it is cut; that the rows are right is `tests/streams/test_deduplicate.py`."""

from __future__ import annotations

from pyspark.sql.types import LongType

from headwater.compile import Attribute
from headwater.plan.expressions import Alias, Call, Column, Literal, Window
from headwater.plan.relations import (
    Aggregate,
    CachedRemote,
    Distinct,
    Limit,
    Project,
    Relation,
    SetOperation,
    ToDF,
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


def test_limits_next_to_each_other_are_one() -> None:
    assert run(Limit(Limit(Limit(STREAM, 3), 2), 9)) == Limit(STREAM, 2)


def test_what_has_no_stream_stays() -> None:
    plan = Limit(Limit(Distinct(STATIC), 2), 1)
    several = SetOperation(Project(STREAM, (Literal(1, LongType()),)), plan, "union", all=True)

    assert run(plan) is plan
    assert run(several).right is plan  # type: ignore[attr-defined]
