"""Set operations and duplicates."""

from __future__ import annotations

import pytest

from headwater.compile import compile_relation
from headwater.errors import AnalysisError
from headwater.plan import relations as plan
from support.plans import call, col, lit, rows


def test_union_widens_by_position_and_keeps_the_left_names(session):
    schema, got = session.query("select a from d union all select c from e limit 0")
    assert (schema, got) == ("struct<a:bigint>", [])
    assert session.query("select a from d where a = 1 union all select a + 0.5 from e where a = 9")[0] == (
        "struct<a:decimal(22,1)>"
    )


def test_intersect_and_except_treat_nulls_as_equal(session):
    assert sorted(session.query("select a from d intersect select a from e")[1]) == [(1,), (2,)]
    assert sorted(session.query("select a from d except select a from e")[1], key=repr) == [(3,), (None,)]


def test_union_by_name_fills_missing_columns(session):
    one, other = rows(x=["1"], y=["2"]), rows(y=["3"], z=["4"])
    relation = plan.SetOperation(one, other, "union", all=True, by_name=True, allow_missing=True)
    assert session.run(relation) == (
        "struct<x:string,y:string,z:string>",
        [("1", "2", None), (None, "3", "4")],
    )


def test_different_widths_are_refused(session):
    with pytest.raises(AnalysisError, match="NUM_COLUMNS_MISMATCH"):
        session.query("select a, b from d union all select a from e")


def test_a_long_chain_of_unions_stays_flat(session):
    relation: plan.Relation = plan.Range(0, 1, 1)
    for _ in range(300):
        relation = plan.SetOperation(relation, plan.Range(0, 1, 1), "union", all=True)
    assert len(session.run(relation)[1]) == 301


def test_duplicates_are_dropped_by_key_or_whole(session):
    relation = plan.Deduplicate(rows(k=["a", "a", "b"], v=["1", "2", "3"]), ("k",))
    assert sorted(session.run(relation)[1]) == [("a", "1"), ("b", "3")]
    assert sorted(session.query("select distinct a from e")[1]) == [(1,), (2,), (9,)]
    with pytest.raises(AnalysisError, match="UNRESOLVED_COLUMN"):
        compile_relation(plan.Deduplicate(rows(k=["a"]), ("z",)), session)


def test_a_column_of_the_left_side_is_found_behind_the_union(session):
    left = session.views["d"]
    both = plan.SetOperation(plan.SetOperation(left, left, "union", all=True, plan_id=7), left, "union", all=True)
    relation = plan.Filter(plan.Filter(both, call("==", col("a", 1), lit(1))), call("==", col("b", 7), lit("x")))
    assert len(session.run(relation)[1]) == 3
