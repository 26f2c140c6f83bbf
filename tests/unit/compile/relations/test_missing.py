"""Missing values."""

from __future__ import annotations

import math

from pyspark.sql.types import LongType

from headwater.plan import relations as plan
from support.plans import lit, rows


def table():
    return rows(n=[1.0, math.nan, None], s=["a", None, "c"])


def test_fill_touches_only_columns_of_its_kind(session):
    assert session.run(plan.FillNA(table(), (), (lit(0, LongType()),)))[1] == [(1.0, "a"), (0.0, None), (0.0, "c")]
    filled = session.run(plan.FillNA(table(), ("s", "n"), (lit("z"), lit(9.5))))[1]
    assert filled == [(1.0, "a"), (9.5, "z"), (9.5, "c")]


def test_drop_counts_nan_as_missing(session):
    assert session.run(plan.DropNA(table(), ()))[1] == [(1.0, "a")]
    assert session.run(plan.DropNA(table(), (), 1))[1] == [(1.0, "a"), (None, "c")]


def test_replace_maps_values(session):
    relation = plan.ReplaceNA(table(), ("s",), ((lit("a"), lit("A")), (lit("c"), lit(None))))
    assert [row[1] for row in session.run(relation)[1]] == ["A", None, None]
