"""INSERT into tables and directories."""

import pytest

from headwater.errors import ParseError, UnsupportedError
from headwater.plan.commands import Insert, Write
from headwater.plan.relations import CommonTables, Project, Relation, SubqueryAlias, Values
from headwater.sql import parse_statement


def insert(text: str) -> Insert:
    made = parse_statement(text)
    assert isinstance(made, Insert)
    return made


def test_rows_and_columns() -> None:
    made = insert("INSERT INTO a.t (x, y) VALUES (1, 2), (3, 4)")
    assert (made.table, made.columns, made.overwrite) == (("a", "t"), ("x", "y"), False)
    assert isinstance(made.query, Values)
    assert len(made.query.rows) == 2


def test_a_parenthesis_may_start_a_query() -> None:
    assert insert("INSERT INTO t (SELECT 1)").columns == ()


def test_overwrite_by_name() -> None:
    made = insert("INSERT OVERWRITE TABLE t BY NAME SELECT 1 AS a")
    assert made.overwrite
    assert made.by_name


def test_a_path_and_a_query_with_common_tables() -> None:
    assert insert("INSERT INTO delta.`/x` WITH q AS (SELECT 1) SELECT * FROM q").table == ("delta", "/x")


def test_a_directory() -> None:
    made = parse_statement("INSERT OVERWRITE DIRECTORY '/x' USING parquet OPTIONS (a 'b') SELECT 1 AS c")
    assert isinstance(made, Write)
    assert (made.format, made.mode, made.path, made.options) == ("parquet", "overwrite", "/x", (("a", "b"),))


def test_a_partition_and_what_is_replaced() -> None:
    made = insert("INSERT OVERWRITE t PARTITION (a = 1, b) (c) SELECT 1, 2")
    assert (made.partition[0][0], made.partition[1], made.columns) == ("a", ("b", None), ("c",))
    assert insert("INSERT INTO t REPLACE WHERE a = 1 SELECT 1").replace_where is not None
    assert insert("INSERT INTO t BY NAME REPLACE USING (a, b) SELECT 1").replace_using == ("a", "b")


@pytest.mark.parametrize(
    "text",
    [
        "INSERT OVERWRITE t PARTITION (a = 1) IF NOT EXISTS SELECT 1",
    ],
)
def test_what_is_missing_is_refused_by_name(text: str) -> None:
    with pytest.raises(UnsupportedError):
        parse_statement(text)


@pytest.mark.parametrize("text", ["INSERT t VALUES (1)", "INSERT INTO t", "INSERT INTO LOCAL t SELECT 1"])
def test_broken_text_is_a_syntax_error(text: str) -> None:
    with pytest.raises(ParseError):
        parse_statement(text)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("INSERT INTO t REPLACE ON a = b SELECT 1 AS b", Project),
        ("INSERT INTO t AS x REPLACE ON x.a = s.a (SELECT 1 AS a) AS s", SubqueryAlias),
        ("INSERT INTO t x BY NAME REPLACE ON (x.a <=> s.a) (SELECT 1 AS a) s", SubqueryAlias),
        ("INSERT INTO TABLE t x REPLACE ON x.a IS NOT DISTINCT FROM s.a (VALUES (1)) AS s(a)", SubqueryAlias),
        ("INSERT INTO t x REPLACE ON f(x.a) = (1 + s.a) WITH s AS (SELECT 1 AS a) SELECT * FROM s", CommonTables),
        ("INSERT INTO t REPLACE ON a IN (b, 2) VALUES (1)", Values),
        ("INSERT INTO t REPLACE ON a IN (SELECT 1) TABLE s", Project),
    ],
)
def test_a_condition_ends_where_the_query_begins(text: str, query: type[Relation]) -> None:
    made = insert(text)
    assert made.replace_on is not None
    assert isinstance(made.query, query)
    assert made.alias == ("x" if " x " in text else None)


def test_new_columns_may_come() -> None:
    made = insert("INSERT WITH SCHEMA EVOLUTION INTO t REPLACE USING (a) SELECT 1 AS a")
    assert (made.evolve, made.replace_using) == (True, ("a",))
    assert insert("INSERT WITH SCHEMA EVOLUTION OVERWRITE t SELECT 1").overwrite


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t REPLACE ON a = 1",
        "INSERT INTO t REPLACE ON SELECT 1",
        "INSERT INTO t REPLACE ON a = 1 b SELECT 1",
        "INSERT INTO t AS x SELECT 1",
        "INSERT INTO t x REPLACE WHERE a = 1 SELECT 1",
        "INSERT OVERWRITE t x REPLACE ON a = 1 SELECT 1",
        "INSERT WITH SCHEMA EVOLUTION OVERWRITE DIRECTORY '/x' USING parquet SELECT 1",
    ],
)
def test_what_is_no_insert(text: str) -> None:
    with pytest.raises(ParseError):
        parse_statement(text)
