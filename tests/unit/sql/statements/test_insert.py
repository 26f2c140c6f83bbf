"""INSERT into tables and directories."""

import pytest

from headwater.errors import ParseError, UnsupportedError
from headwater.plan.commands import Insert, Write
from headwater.plan.relations import Values
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
        "INSERT INTO t REPLACE ON a = 1 SELECT 1",
        "INSERT WITH SCHEMA EVOLUTION INTO t SELECT 1",
    ],
)
def test_what_is_missing_is_refused_by_name(text: str) -> None:
    with pytest.raises(UnsupportedError):
        parse_statement(text)


@pytest.mark.parametrize("text", ["INSERT t VALUES (1)", "INSERT INTO t", "INSERT INTO LOCAL t SELECT 1"])
def test_broken_text_is_a_syntax_error(text: str) -> None:
    with pytest.raises(ParseError):
        parse_statement(text)
