"""`df.na`, `df.stat`, describe and summary, as the genuine client writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import types as t

from headwater.plan import relations as p
from headwater.plan.expressions import Column, Literal
from support.client import offline, relation_of

R = p.Range(0, 3, 1)


def long(value: int) -> Literal:
    return Literal(value, t.LongType())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda df: df.na.fill(5), p.FillNA(R, (), (long(5),))),
        (lambda df: df.na.fill({"id": 5}), p.FillNA(R, ("id",), (long(5),))),
        (lambda df: df.na.drop(), p.DropNA(R, ())),
        (lambda df: df.na.drop("all", subset=["id"]), p.DropNA(R, ("id",), 1)),
        (lambda df: df.na.drop(thresh=2), p.DropNA(R, (), 2)),
        (lambda df: df.summary("count"), p.Statistic(R, "summary", (), ("count",))),
        (lambda df: df.describe("id"), p.Statistic(R, "describe", ("id",))),
        (lambda df: df.stat.crosstab("id", "id"), p.Statistic(R, "crosstab", ("id", "id"))),
        (lambda df: df.stat.freqItems(["id"], 0.3), p.Statistic(R, "freq_items", ("id",), (0.3,))),
        (
            lambda df: df.stat.sampleBy("id", {1: 0.5}, 7),
            p.Statistic(
                R,
                "sample_by",
                (),
                (Column(("id",)), ((Literal(1, t.IntegerType()), 0.5),), 7),
            ),
        ),
    ],
)
def test_statistics(change: Callable[[Any], Any], expected: p.Relation) -> None:
    assert relation_of(change(offline().range(3))) == expected


def test_a_replacement_keeps_old_and_new() -> None:
    plan = relation_of(offline().range(3).na.replace("a", "b", ["s"]))
    old, new = plan.replacements[0]
    assert (plan.names, old.value, new.value) == (("s",), "a", "b")
