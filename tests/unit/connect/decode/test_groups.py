"""Aggregations, joins, set operations and subqueries, as the genuine client writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import types as t
from pyspark.sql.connect import functions as F

from headwater.plan import relations as p
from headwater.plan.expressions import Call, Column, Literal, SubqueryReference
from support.client import offline, relation_of

R = p.Range(0, 3, 1)
ID = Column(("id",))
SUM = Call("sum", (ID,))


@pytest.mark.parametrize(
    ("change", "kind", "grouping"),
    [
        (lambda df: df.groupBy("id"), "groupby", (ID,)),
        (lambda df: df.groupBy(), "groupby", ()),
        (lambda df: df.rollup("id"), "rollup", (ID,)),
        (lambda df: df.cube("id"), "cube", (ID,)),
    ],
)
def test_groupings(change: Callable[[Any], Any], kind: str, grouping: tuple[Column, ...]) -> None:
    plan = relation_of(change(offline().range(3)).agg(F.sum("id")))
    assert plan == p.Aggregate(R, kind, grouping, (SUM,))  # type: ignore[arg-type]


def test_a_pivot_has_its_column_and_values() -> None:
    plan = relation_of(offline().range(3).groupBy("id").pivot("id", [1, 2]).agg(F.sum("id")))
    assert (plan.kind, plan.pivot_column.parts) == ("pivot", ("id",))
    assert plan.pivot_values == (Literal(1, t.IntegerType()), Literal(2, t.IntegerType()))


def test_grouping_sets_are_kept() -> None:
    plan = relation_of(offline().range(3).groupingSets([["id"], []], "id").agg(F.sum("id")))
    assert (plan.kind, plan.grouping_sets) == ("grouping_sets", ((ID,), ()))


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("inner", "inner"),
        ("outer", "full_outer"),
        ("left", "left_outer"),
        ("right", "right_outer"),
        ("semi", "left_semi"),
        ("anti", "left_anti"),
        ("cross", "cross"),
    ],
)
def test_joins(how: str, kind: str) -> None:
    spark = offline()
    assert relation_of(spark.range(3).join(spark.range(3), "id", how)) == p.Join(R, R, kind, using=("id",))  # type: ignore[arg-type]


def test_a_join_keeps_whose_column_it_means() -> None:
    spark = offline()
    left, right = spark.range(3), spark.range(3)
    plan = relation_of(left.join(right, left.id == right.id))
    assert [item.plan_id for item in plan.condition.arguments] == [plan.left.plan_id, plan.right.plan_id]


def test_a_lateral_join_is_marked() -> None:
    spark = offline()
    assert relation_of(spark.range(3).lateralJoin(spark.range(3))) == p.Join(R, R, "inner", lateral=True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda df: df.union(df), p.SetOperation(R, R, "union", True)),
        (lambda df: df.unionByName(df, True), p.SetOperation(R, R, "union", True, True, True)),
        (lambda df: df.intersect(df), p.SetOperation(R, R, "intersect")),
        (lambda df: df.intersectAll(df), p.SetOperation(R, R, "intersect", True)),
        (lambda df: df.subtract(df), p.SetOperation(R, R, "except")),
        (lambda df: df.exceptAll(df), p.SetOperation(R, R, "except", True)),
    ],
)
def test_set_operations(change: Callable[[Any], Any], expected: p.Relation) -> None:
    assert relation_of(change(offline().range(3))) == expected


def test_subqueries_name_their_plan() -> None:
    spark = offline()
    inner = spark.range(3)
    plan = relation_of(spark.range(3).where(inner.exists()))
    assert isinstance(plan, p.WithRelations)
    (reference,) = plan.references
    assert plan.root.condition == SubqueryReference("exists", reference.plan_id)
