"""Generators."""

from __future__ import annotations

import pytest

from headwater.errors import AnalysisError


@pytest.mark.parametrize(
    ("query", "schema", "rows"),
    [
        ("select explode(array(1,2)), 5 f", "struct<col:int,f:int>", [(1, 5), (2, 5)]),
        ("select explode_outer(array()) x, 1 y", None, [(None, 1)]),
        ("select posexplode(array('p','q')) as (i, v)", "struct<i:int,v:string>", [(0, "p"), (1, "q")]),
        ("select explode(map('k', 1))", "struct<key:string,value:int>", [("k", 1)]),
        ("select inline(array(struct(1, 'a'), struct(2, 'b')))", "struct<col1:int,col2:string>", [(1, "a"), (2, "b")]),
        ("select stack(2, 1, 2, 3)", "struct<col0:int,col1:int>", [(1, 2), (3, None)]),
        ("select * from explode(array(1, 2))", "struct<col:int>", [(1,), (2,)]),
        (
            "select e.c, t.x from e lateral view explode(array(a, a + 1)) t as x where c = 'q'",
            None,
            [("q", 2), ("q", 3)],
        ),
        ("select c, x from e lateral view outer explode(array()) t as x where c = 'q'", None, [("q", None)]),
        ("select e.a, x.y from e, lateral explode(array(e.a, 5)) x(y) where e.c = 's'", None, [(9, 9), (9, 5)]),
        ("select id from range(1, 7, 3)", "struct<id:bigint>", [(1,), (4,)]),
    ],
)
def test_rows_of_a_generator(session, query, schema, rows):
    got_schema, got = session.query(query)
    assert got == rows
    assert schema is None or got_schema == schema


def test_two_generators_in_one_list_are_refused(session):
    with pytest.raises(AnalysisError, match="MULTI_GENERATOR"):
        session.query("select explode(array(1)), explode(array(2))")
