"""Select lists: aliases used beside where they are made, columns out of reach, new columns named twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headwater.errors import AnalysisError, UnsupportedError
from headwater.plan import expressions as ex
from headwater.plan import relations as plan
from support.plans import call, col, lit


def named(name, expression):
    return ex.Alias(expression, (name,))


def test_an_alias_can_be_used_further_right_in_the_same_select_list(session):
    wanted = (
        named("x", call("*", col("a"), lit(10))),
        call("+", col("x"), lit(1)),
        named("z", col("x")),
        col("x"),
    )
    schema, rows = session.run(plan.Project(plan.Limit(session.views["d"], 2), wanted))
    assert schema == "struct<x:int,(lateralAliasReference(x) + 1):int,z:int,x:int>"
    assert rows == [(10, 11, 10, 10), (20, 21, 20, 20)]


def test_a_column_of_the_input_is_meant_before_an_alias(session):
    wanted = (named("a", call("*", col("a"), lit(10))), named("next", call("+", col("a"), lit(1))))
    assert session.run(plan.Project(plan.Limit(session.views["d"], 1), wanted))[1] == [(10, 2)]


def test_an_alias_of_an_aggregate_can_be_used_beside_it(session):
    wanted = (named("n", call("count", lit(1))), named("m", call("+", col("n"), lit(1))))
    assert session.run(plan.Aggregate(session.views["d"], "groupby", (), wanted, output_grouping=False))[1] == [(4, 5)]


@pytest.mark.parametrize(
    ("wanted", "condition"),
    [
        ((named("x", col("a")), named("x", col("b")), call("+", col("x"), lit(1))), "AMBIGUOUS_LATERAL_COLUMN_ALIAS"),
        ((named("x", col("a")), call("sum", col("x"))), "LATERAL_COLUMN_ALIAS_IN_AGGREGATE_FUNC"),
        ((call("+", col("x"), lit(1)), named("x", col("a"))), "UNRESOLVED_COLUMN"),
    ],
)
def test_what_an_alias_cannot_do_is_refused(session, wanted, condition):
    with pytest.raises(AnalysisError, match=condition):
        session.run(plan.Project(session.views["d"], wanted))


def test_an_alias_of_a_random_value_is_not_computed_twice(session):
    with pytest.raises(UnsupportedError, match="random"):
        session.run(plan.Project(session.views["d"], (named("x", call("rand", lit(1))), call("+", col("x"), lit(1)))))


def test_a_select_list_does_not_see_what_was_left_out_but_a_filter_and_a_sort_do(session):
    narrow = plan.Project(session.views["d"], (col("a"),))
    with pytest.raises(AnalysisError, match="UNRESOLVED_COLUMN"):
        session.run(plan.Project(narrow, (col("b"),)))
    kept = plan.Filter(narrow, call("==", col("b"), lit("x")))
    assert session.run(plan.Sort(kept, (ex.SortOrder(col("d"), False, False),)))[1] == [(3,), (1,)]


def test_a_dataframe_column_that_was_replaced_is_not_guessed(session):
    source = replace(session.views["d"], plan_id=7)
    changed = plan.Project(source, (named("a", call("+", col("a"), lit(1))),))
    with pytest.raises(AnalysisError, match="CANNOT_RESOLVE_DATAFRAME_COLUMN"):
        session.run(plan.Project(changed, (ex.Column(("a",), plan_id=7),)))


def test_new_columns_of_one_name_are_refused(session):
    with pytest.raises(AnalysisError, match="COLUMN_ALREADY_EXISTS"):
        session.run(plan.WithColumns(session.views["d"], (named("x", lit(1)), named("X", lit(2)))))
