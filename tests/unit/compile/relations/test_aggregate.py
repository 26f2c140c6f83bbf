"""Aggregations: keys, totals, sets, HAVING, ORDER BY, pieces for streams."""

from __future__ import annotations

from decimal import Decimal

import pytest

from headwater.compile import compile_aggregate
from headwater.duck import sql_text
from headwater.errors import AnalysisError
from headwater.plan import expressions as ex
from headwater.plan import relations as plan
from support.plans import call, col, lit, named


def test_types_and_names_of_aggregates_are_sparks(session):
    schema, rows = session.query(
        "select sum(a), avg(a), count(*), count(a), count(distinct b), sum(cast(a as decimal(10,2))), max(b) from d"
    )
    assert schema == (
        "struct<sum(a):bigint,avg(a):double,count(1):bigint,count(a):bigint,count(DISTINCT b):bigint,"
        "sum(CAST(a AS DECIMAL(10,2))):decimal(20,2),max(b):string>"
    )
    assert rows == [(6, 2.0, 4, 3, 2, Decimal("6.00"), "y")]


def test_grouping_columns_come_first(session):
    relation = plan.Aggregate(
        session.views["d"], "groupby", (col("b"),), (named(call("+", call("sum", col("a")), lit(1)), "n"),)
    )
    schema, rows = session.run(relation)
    assert schema == "struct<b:string,n:bigint>"
    assert sorted(rows, key=repr) == [("x", 5), ("y", 3), (None, None)]


def test_having_and_order_may_aggregate_anew(session):
    query = "select b from d group by b having count(*) >= 1 order by max(d) desc, b"
    assert session.query(query)[1] == [(None,), ("x",), ("y",)]


def test_group_by_position_and_alias(session):
    assert session.query("select a % 2 as odd, count(*) from d where a > 0 group by odd order by 1")[1] == [
        (0, 1),
        (1, 2),
    ]
    assert session.query("select b, count(*) from d where b is not null group by 1 order by 1")[1] == [
        ("x", 2),
        ("y", 1),
    ]


def test_rollup_tells_totals_from_nulls(session):
    query = "select b, sum(a), grouping(b) g from d group by rollup(b) order by g, b"
    assert session.query(query)[1] == [(None, None, 0), ("x", 4, 0), ("y", 2, 0), (None, 6, 1)]


def test_windows_over_aggregates(session):
    query = "select b, sum(sum(a)) over (order by b) from d where b is not null group by b order by b"
    assert session.query(query)[1] == [("x", 4), ("y", 6)]


def test_a_column_neither_grouped_nor_aggregated_is_refused(session):
    with pytest.raises(AnalysisError, match=r'MISSING_AGGREGATION.*"a"'):
        session.query("select b, a from d group by b")
    with pytest.raises(AnalysisError, match="MISSING_GROUP_BY"):
        session.query("select b, sum(a) from d")


def test_pivot_makes_columns_of_values(session):
    relation = plan.Aggregate(session.views["d"], "pivot", (), (call("count", lit(1)), call("sum", col("a"))), col("b"))
    schema, rows = session.run(relation)
    assert schema == (
        "struct<null_count(1):bigint,null_sum(a):bigint,x_count(1):bigint,x_sum(a):bigint,"
        "y_count(1):bigint,y_sum(a):bigint>"
    )
    assert rows == [(1, None, 2, 4, 1, 2)]


def test_the_pieces_of_an_aggregation_can_be_run_apart(session):
    total = call("sum", col("a"))
    relation = plan.Aggregate(
        session.views["d"], "groupby", (col("b"),), (named(call("+", total, total), "t"), call("count", lit(1)))
    )
    pieces = compile_aggregate(relation, session)
    assert [sql_text(state.call).split("(")[0] for state in pieces.states] == ["SUM", "COUNT"]
    assert not any(state.distinct for state in pieces.states)
    assert [item.attribute.name for item in pieces.outputs] == ["b", "t", "count(1)"]
    assert pieces.keys[0].sql.name in {a.sql for a in pieces.child.attributes}


def test_a_distinct_state_says_so(session):
    relation = plan.Aggregate(session.views["d"], "groupby", (), (ex.Call("count", (col("a"),), True),))
    assert compile_aggregate(relation, session).states[0].distinct
