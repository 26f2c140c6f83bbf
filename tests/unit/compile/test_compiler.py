"""Whole compilations: deep chains, merging, errors of names."""

from __future__ import annotations

import pytest

from headwater.compile import compile_relation
from headwater.duck import sql_text
from headwater.errors import AnalysisError
from headwater.plan import expressions as ex
from headwater.plan import relations as plan
from support.plans import call, col, lit, named, rows


def text(relation, session):
    return sql_text(compile_relation(relation, session).query)


def test_adjacent_projections_and_filters_are_one_select(session):
    relation: plan.Relation = plan.Range(0, 10, 1)
    relation = plan.WithColumns(relation, (named(call("+", col("id"), lit(1)), "x"),))
    relation = plan.Filter(relation, call(">", col("x"), lit(8)))
    relation = plan.Project(relation, (col("x"),))
    assert text(relation, session).count("SELECT") == 1
    assert session.run(relation) == ("struct<x:bigint>", [(9,), (10,)])


def test_a_volatile_column_is_computed_once(session):
    relation = plan.WithColumns(plan.Range(0, 50, 1), (named(call("rand"), "r"),))
    relation = plan.Project(relation, (named(call("==", col("r"), col("r")), "same"),))
    assert session.run(relation)[1] == [(True,)] * 50


def test_a_filter_after_a_window_does_not_change_the_window(session):
    window = ex.Window(call("count", lit(1)))
    relation = plan.Filter(plan.WithColumns(plan.Range(0, 4, 1), (named(window, "n"),)), call("<", col("id"), lit(1)))
    assert session.run(relation)[1] == [(0, 4)]


def test_a_thousand_columns_added_one_by_one_compile_and_run(session):
    relation: plan.Relation = plan.Range(0, 2, 1)
    for i in range(1000):
        relation = plan.WithColumns(relation, (named(call("+", col("id"), lit(1)), "id"),), plan_id=i + 10)
    assert session.run(relation)[1] == [(1000,), (1001,)]


def test_a_column_of_a_dataframe_is_found_behind_later_steps(session):
    left, right = session.views["d"], session.views["e"]
    joined = plan.Join(left, right, "inner", call("==", col("a", 1), col("a", 2)))
    assert session.run(plan.Project(joined, (col("a", 2), col("b", 1)))) == (
        "struct<a:bigint,b:string>",
        [(1, "x"), (2, "y"), (2, "y")],
    )


def test_one_dataframe_on_both_sides_makes_its_columns_ambiguous(session):
    relation = plan.Join(session.views["d"], session.views["d"], "inner", call("==", col("a", 1), col("a", 1)))
    with pytest.raises(AnalysisError, match="AMBIGUOUS_COLUMN_REFERENCE"):
        compile_relation(relation, session)


def test_a_sort_may_use_a_column_that_was_not_selected(session):
    relation = plan.Sort(plan.Project(session.views["d"], (col("b"),)), (ex.SortOrder(col("d"), False, False),))
    assert session.run(relation) == ("struct<b:string>", [(None,), ("x",), ("y",), ("x",)])


def test_duplicate_names_are_allowed_until_they_are_used(session):
    relation = plan.Join(session.views["d"], session.views["e"], "cross")
    assert session.run(plan.Limit(relation, 1))[0] == "struct<a:int,b:string,d:double,a:bigint,c:string>"
    with pytest.raises(AnalysisError, match="AMBIGUOUS_REFERENCE"):
        compile_relation(plan.Project(relation, (col("a"),)), session)


def test_an_unknown_column_is_answered_with_the_nearest_names(session):
    with pytest.raises(AnalysisError, match=r"`bb` cannot be resolved.*\[`b`, `a`, `d`\]"):
        compile_relation(plan.Project(session.views["d"], (col("bb"),)), session)


def test_names_are_compared_without_case_unless_told_otherwise(session):
    relation = plan.Project(rows(Name=["x"]), (col("NAME"),))
    assert session.run(relation)[0] == "struct<Name:string>"
    session.settings.set("spark.sql.caseSensitive", "true")
    with pytest.raises(AnalysisError, match="UNRESOLVED_COLUMN"):
        compile_relation(relation, session)
