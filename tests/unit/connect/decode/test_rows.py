"""Relations of one input, as the genuine client writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import types as t
from pyspark.sql.connect import functions as F

from headwater.plan import relations as p
from headwater.plan.expressions import Alias, Call, Column, Literal, SortOrder
from support.client import offline, relation_of

R = p.Range(0, 3, 1)
ID = Column(("id",))
ONE = Literal(1, t.IntegerType())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda df: df.select("id"), p.Project(R, (ID,))),
        (lambda df: df.where(F.col("id") == 1), p.Filter(R, Call("==", (ID, ONE)))),
        (lambda df: df.where("id = 1"), p.Filter(R, Call("==", (ID, ONE)))),
        (lambda df: df.withColumn("b", F.lit(1)), p.WithColumns(R, (Alias(ONE, ("b",)),))),
        (lambda df: df.withColumnRenamed("id", "x"), p.WithColumnsRenamed(R, (("id", "x"),))),
        (lambda df: df.toDF("x"), p.ToDF(R, ("x",))),
        (
            lambda df: df.to(t.StructType().add("id", t.IntegerType())),
            p.ToSchema(R, t.StructType().add("id", t.IntegerType())),
        ),
        (lambda df: df.drop("id"), p.Drop(R, (), ("id",))),
        (lambda df: df.drop(F.col("id")), p.Drop(R, (ID,))),
        (lambda df: df.orderBy("id"), p.Sort(R, (SortOrder(ID),))),
        (lambda df: df.sortWithinPartitions(F.desc("id")), p.Sort(R, (SortOrder(ID, False, False),), False)),
        (lambda df: df.limit(2), p.Limit(R, 2)),
        (lambda df: df.offset(2), p.Offset(R, 2)),
        (lambda df: df.distinct(), p.Deduplicate(R, (), True)),
        (lambda df: df.dropDuplicates(["id"]), p.Deduplicate(R, ("id",))),
        (lambda df: df.dropDuplicatesWithinWatermark(["id"]), p.Deduplicate(R, ("id",), False, True)),
        (lambda df: df.sample(0.5, 3), p.Sample(R, 0.0, 0.5, False, 3)),
        (lambda df: df.alias("a"), p.SubqueryAlias(R, "a")),
        (lambda df: df.repartition(3), p.Repartition(R, 3)),
        (lambda df: df.repartition(3, "id"), p.Repartition(R, 3, (ID,))),
        (lambda df: df.coalesce(1), p.Repartition(R, 1)),
        (lambda df: df.hint("broadcast"), p.Hint(R, "broadcast")),
        (lambda df: df.unpivot("id", ["id"], "k", "v"), p.Unpivot(R, (ID,), (ID,), "k", "v")),
        (lambda df: df.unpivot("id", None, "k", "v"), p.Unpivot(R, (ID,), None, "k", "v")),
        (lambda df: df.withWatermark("id", "1 minute"), p.WithWatermark(R, "id", "1 minute")),
    ],
)
def test_relations(change: Callable[[Any], Any], expected: p.Relation) -> None:
    assert relation_of(change(offline().range(3))) == expected
