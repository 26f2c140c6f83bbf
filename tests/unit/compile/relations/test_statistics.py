"""Statistics of a DataFrame."""

from __future__ import annotations

from headwater.plan import expressions as ex
from headwater.plan import relations as plan
from support.plans import call, col, lit


def test_describe_gives_strings(session):
    schema, rows = session.run(plan.Statistic(session.views["d"], "describe", ("a", "b")))
    assert schema == "struct<summary:string,a:string,b:string>"
    assert rows == [
        ("count", "3", "3"), ("mean", "2.0", None), ("stddev", "1.0", None), ("min", "1", "x"), ("max", "3", "y"),
    ]  # fmt: skip


def test_crosstab_counts_pairs(session):
    schema, rows = session.run(plan.Statistic(session.views["d"], "crosstab", ("b", "a")))
    assert schema == "struct<b_a:string,1:bigint,2:bigint,3:bigint,null:bigint>"
    assert sorted(rows) == [("null", 0, 0, 0, 1), ("x", 1, 0, 1, 0), ("y", 0, 1, 0, 0)]


def test_quantiles_are_values_of_the_column(session):
    relation = plan.Statistic(session.views["d"], "approx_quantile", ("a",), ((0.0, 0.5, 1.0), 0.1))
    assert session.run(relation)[1] == [([[1.0, 2.0, 3.0]],)]


def test_each_stratum_keeps_its_share_and_the_others_nothing(session):
    table = plan.Project(plan.Range(0, 3000, 1), (ex.Alias(call("%", col("id"), lit(3)), ("k",)),))
    fractions = ((lit(0), 1.0), (lit(1), 0.2))
    _, found = session.run(plan.Statistic(table, "sample_by", arguments=(col("k"), fractions, 7)))
    counts = [found.count((k,)) for k in range(3)]
    assert counts[0] == 1000
    assert 120 < counts[1] < 290
    assert counts[2] == 0
