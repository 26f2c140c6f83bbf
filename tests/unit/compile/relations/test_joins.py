"""Joins of all kinds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlglot import exp

from headwater.compile import compile_relation
from headwater.compile.relations.joins import compile_join
from headwater.duck import sql_text
from headwater.errors import AnalysisError
from headwater.plan import expressions as ex
from headwater.plan import relations as plan
from support.plans import call, col, lit


def rows_of(session, kind, **how):
    relation = plan.Join(session.views["d"], session.views["e"], kind, **how)
    schema, rows = session.run(plan.Drop(relation, names=("d",)))
    return schema, sorted(rows, key=repr)


@pytest.mark.parametrize(
    ("kind", "schema", "rows"),
    [
        ("inner", "struct<a:int,b:string,c:string>", [(1, "x", "p"), (2, "y", "q"), (2, "y", "r")]),
        ("left_semi", "struct<a:int,b:string>", [(1, "x"), (2, "y")]),
        ("left_anti", "struct<a:int,b:string>", [(3, "x"), (None, None)]),
        ("right_outer", "struct<a:bigint,b:string,c:string>",
         [(1, "x", "p"), (2, "y", "q"), (2, "y", "r"), (9, None, "s")]),
        ("full_outer", "struct<a:bigint,b:string,c:string>",
         [(1, "x", "p"), (2, "y", "q"), (2, "y", "r"), (3, "x", None), (9, None, "s"), (None, None, None)]),
    ],
)  # fmt: skip
def test_using_gives_the_key_once(session, kind, schema, rows):
    assert rows_of(session, kind, using=("a",)) == (schema, rows)


def test_the_padded_side_becomes_nullable(session):
    left = plan.Range(0, 2, 1)
    relation = plan.Join(left, plan.Range(1, 3, 1), "left_outer")
    assert [f.nullable for f in compile_relation(relation, session).schema.fields] == [False, True]


def test_a_missing_using_column_names_the_side(session):
    with pytest.raises(AnalysisError, match=r"UNRESOLVED_USING_COLUMN_FOR_JOIN.*right"):
        rows_of(session, "inner", using=("b",))


def test_a_self_join_by_aliases(session):
    left, right = plan.SubqueryAlias(session.views["d"], "l"), plan.SubqueryAlias(session.views["d"], "r")
    joined = plan.Join(left, right, "inner", call("==", col("l.a"), col("r.a")))
    relation = plan.Project(joined, (col("l.a"), col("r.b")))
    assert session.run(relation) == ("struct<a:int,b:string>", [(1, "x"), (2, "y"), (3, "x")])


def test_a_lateral_join_sees_the_left_side(session):
    _, rows = session.query("select d.a, x.z from d, lateral (select d.a * 10 as z) x where d.a > 1 order by 1")
    assert rows == [(2, 20), (3, 30)]


def test_a_dataframe_joined_with_one_made_from_it_is_meant_itself_in_the_condition(session):
    one = replace(plan.Range(0, 3, 1), plan_id=1)
    other = replace(plan.Filter(one, call(">", col("id"), lit(1))), plan_id=2)
    condition = call("==", ex.Column(("id",), plan_id=1), ex.Column(("id",), plan_id=2))
    assert session.run(plan.Join(one, other, "inner", condition=condition))[1] == [(2, 2)]


# ── pieces for streams ──────────────────────────────────────────────────────────────────────────────────────


def texts(trees):
    return [sql_text(tree) for tree in trees]


def pieces_of(session, text):
    (join,) = (node for node in session.sql(text, {}, ()).walk() if isinstance(node, plan.Join))
    return compile_join(join, session)


def named_by(pieces):
    """Texts with Spark's names: `d.a` and `e.a`."""
    names = {a.sql: f"{side}.{a.name}" for side, r in (("d", pieces.left), ("e", pieces.right)) for a in r.attributes}

    def shown(tree):
        return sql_text(tree.transform(lambda n: exp.column(names[n.name]) if isinstance(n, exp.Column) else n))

    return shown


def test_the_pieces_of_a_condition(session):
    pieces = pieces_of(
        session,
        "select * from d join e on d.a + 1 = e.a and e.c <=> d.b and d.b = 'x' "
        "and d.a between e.a and e.a + 2 and d.d > 1"
        " and rand() = d.a",
    )
    shown = named_by(pieces)
    first, second = pieces.keys
    assert (shown(first.left), shown(first.right), first.null_safe) == ('CAST(("d.a" + 1) AS BIGINT)', '"e.a"', False)
    assert (shown(second.left), shown(second.right), second.null_safe) == ('"d.b"', '"e.c"', True)
    assert [key.type.simpleString() for key in pieces.keys] == ["bigint", "string"]
    assert [shown(tree) for tree in pieces.rest[:4]] == [
        """"d.b" = 'x\'""",
        'CAST("d.a" AS BIGINT) >= "e.a"',
        'CAST("d.a" AS BIGINT) <= ("e.a" + CAST(2 AS BIGINT))',
        '"d.d" > CAST(1 AS DOUBLE)',
    ]
    assert len(pieces.rest) == 5


def test_the_pieces_of_using_give_the_outputs_of_the_join(session):
    join = plan.Join(session.views["d"], session.views["e"], "full_outer", using=("a",), plan_id=7)
    pieces = compile_join(join, session)
    shown = named_by(pieces)
    assert [(i.attribute.name, i.attribute.nullable, shown(i.sql)) for i in pieces.outputs] == [
        ("a", True, 'COALESCE(CAST("d.a" AS BIGINT), "e.a")'),
        ("b", True, '"d.b"'),
        ("d", True, '"d.d"'),
        ("c", True, '"e.c"'),
    ]
    assert [shown(item.sql) for item in pieces.hidden] == ['"d.a"', '"e.a"']
    assert pieces.outputs[1].attribute.plan_ids == {1}
    assert texts(key.left for key in pieces.keys) == [f'CAST("{pieces.left.attributes[0].sql}" AS BIGINT)']


def test_semi_joins_give_the_left_side(session):
    pieces = compile_join(plan.Join(session.views["d"], session.views["e"], "left_semi", using=("a",)), session)
    assert [item.attribute.name for item in pieces.outputs] == ["a", "b", "d"]
