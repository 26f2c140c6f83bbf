"""Which names of a plan mean tables."""

from headwater.plan.relations import ReadTable, SubqueryAlias, UnboundSQL, WithRelations
from headwater.sessions.scopes import map_reads, reads
from headwater.sql import parse_query


def names(plan):
    return [".".join(read.parts) for read in reads(plan)]


def test_names_of_a_with_are_local_to_what_follows():
    plan = parse_query("WITH a AS (SELECT * FROM a), b AS (SELECT * FROM a) SELECT * FROM a, b, c, d.a")
    assert names(plan) == ["a", "c", "d.a"]


def test_sql_inside_a_plan_is_opened():
    assert names(UnboundSQL("SELECT * FROM t WHERE x IN (SELECT y FROM u)")) == ["t", "u"]


def test_a_dataframe_argument_hides_a_table():
    plan = WithRelations(UnboundSQL("SELECT * FROM df, t"), (SubqueryAlias(ReadTable(("u",)), "df"),))
    assert sorted(names(plan)) == ["t", "u"]


def test_replacing_keeps_the_rest():
    plan = parse_query("SELECT a FROM t")
    assert map_reads(plan, lambda read: read) == plan
    changed = map_reads(plan, lambda read: ReadTable(("d", *read.parts)))
    assert names(changed) == ["d.t"]
