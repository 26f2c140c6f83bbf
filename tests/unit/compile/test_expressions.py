"""Expressions in SQL: Spark's types, names and values, by running what is emitted."""

from __future__ import annotations

from decimal import Decimal

import pytest

from headwater.errors import AnalysisError

D = Decimal


@pytest.mark.parametrize(
    ("query", "schema", "row"),
    [
        ("select 1/2, 5 div 2, -7 % 3", "struct<(1 / 2):double,(5 div 2):bigint,(-7 % 3):int>", (0.5, 2, -1)),
        ("select 1.5*2.25 x, 1.5 + 1 y", "struct<x:decimal(6,3),y:decimal(3,1)>", (D("3.375"), D("2.5"))),
        ("select 1.0/3 x", "struct<x:decimal(7,6)>", (D("0.333333"),)),
        ("select cast(-1.9d as int) x, cast(2.5d as bigint) y", "struct<x:int,y:bigint>", (-1, 2)),
        ("select cast(1e10 as string) x, cast(1.0d as string) y", "struct<x:string,y:string>", ("1.0E10", "1.0")),
        ("select cast(1e-5 as string) x, cast(double('nan') as string) y", None, ("1.0E-5", "NaN")),
        ("select cast(array(1,null) as string) x, cast(struct(1,'a') as string) y", None, ("[1, null]", "{1, a}")),
        ("select cast(map('k',1) as string) x", None, ("{k -> 1}",)),
        ("select cast(timestamp'2024-01-01 00:00:00.120' as string) x", None, ("2024-01-01 00:00:00.12",)),
        ("select try_cast('x' as int) x, try_cast('1.5' as int) y", "struct<x:int,y:int>", (None, None)),
        ("select cast(' 12 ' as int) x, cast('yes' as boolean) y", None, (12, True)),
        ("select '1' + 1 x, 1 = '1' y", "struct<x:bigint,y:boolean>", (2, True)),
        ("select null <=> null x, 1 in (2, 1.0) y", "struct<x:boolean,y:boolean>", (True, True)),
        ("select case when false then 1 else 2.5 end x", "struct<x:decimal(11,1)>", (D("2.5"),)),
        ("select named_struct('x', 7).x, array(5,6)[1], map('k',8)['k'] z", None, (7, 6, 8)),
    ],
)
def test_a_constant_has_sparks_type_and_value(session, query, schema, row):
    got_schema, got_rows = session.query(query)
    assert got_rows == [row]
    assert schema is None or got_schema == schema


def test_generated_names_are_sparks(session):
    schema, _ = session.query("select a + 1, cast(a as string), -a, not a > 1, a is null, b like 'x%', d.a from d")
    assert schema == (
        "struct<(a + 1):int,a:string,(- a):int,(NOT (a > 1)):boolean,(a IS NULL):boolean,b LIKE x%:boolean,a:int>"
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select 2147483647 + 1", "Overflow in addition of INT32"),
        ("select 1/0", "DIVIDE_BY_ZERO"),
        ("select 5 % 0", "REMAINDER_BY_ZERO"),
        ("select cast('abc' as int)", "CAST_INVALID_INPUT"),
        ("select cast('1.5' as int)", "CAST_INVALID_INPUT"),
        ("select array(1,2)[5]", "INVALID_ARRAY_INDEX"),
    ],
)
def test_ansi_failures_raise(session, query, words):
    with pytest.raises(Exception, match=words):
        session.query(query)


def test_without_ansi_bad_values_are_null_and_integers_wrap(session):
    session.settings.set("spark.sql.ansi.enabled", "false")
    _, rows = session.query("select cast('abc' as int), 1/0, 2147483647 + 1, cast('1.5' as int), cast(300 as tinyint)")
    assert rows == [(None, None, -2147483648, 1, 44)]


def test_types_that_do_not_go_together_are_refused(session):
    with pytest.raises(AnalysisError, match="DATATYPE_MISMATCH"):
        session.query("select 1 + true")


def test_subqueries_may_name_the_columns_around_them(session):
    query = "select a, (select count(*) from e where e.a = d.a) n from d where exists (select 1 from e where e.a = d.a)"
    schema, rows = session.query(query)
    assert schema == "struct<a:int,n:bigint>"
    assert sorted(rows) == [(1, 1), (2, 2)]


def test_windows_keep_sparks_frames(session):
    _, rows = session.query(
        "select sum(a) over (partition by b order by a), row_number() over (order by a desc nulls last), "
        "sum(a) over (order by a rows between 1 preceding and current row) from d where a is not null order by a"
    )
    assert rows == [(1, 3, 1), (2, 2, 3), (4, 1, 5)]


def test_higher_order_functions_see_outer_columns(session):
    assert session.query("select transform(array(1, 2), x -> x + a) t from d where a = 3")[1] == [([4, 5],)]
