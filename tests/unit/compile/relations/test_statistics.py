"""Statistics of a DataFrame."""

from __future__ import annotations

from headwater.plan import relations as plan


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
