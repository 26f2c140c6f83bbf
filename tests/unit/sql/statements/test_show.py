"""SHOW, DESCRIBE and EXPLAIN."""

import pytest

from headwater.errors import AnalysisError, ParseError, UnsupportedError
from headwater.plan.commands import Command, Describe, Explain, Insert, Show
from headwater.plan.relations import Project
from headwater.sql import parse_statement

P = (("a", "1"), ("b", "x"))
"""A partition's columns with their values."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SHOW TABLES", Show("tables")),
        ("SHOW TABLES IN a.b LIKE 'x*'", Show("tables", ("a", "b"), "x*")),
        ("SHOW TABLES 'x'", Show("tables", (), "x")),
        ("SHOW DATABASES", Show("schemas")),
        ("SHOW VIEWS FROM s", Show("views", ("s",))),
        ("SHOW COLUMNS IN t IN d", Show("columns", ("d", "t"))),
        ("SHOW TBLPROPERTIES t ('a.b')", Show("tblproperties", ("t",), "a.b")),
        ("SHOW CREATE TABLE t", Show("create table", ("t",))),
        ("SHOW PARTITIONS t", Show("partitions", ("t",))),
        ("SHOW FUNCTIONS LIKE 'a*'", Show("functions", (), "a*")),
        ("SHOW USER FUNCTIONS", Show("user functions")),
        ("SHOW CATALOGS", Show("catalogs")),
        ("SHOW CURRENT DATABASE", Show("current schema")),
        ("DESCRIBE t", Describe("table", ("t",))),
        ("DESC TABLE EXTENDED a.t", Describe("table", ("a", "t"), None, True)),
        ("DESC table", Describe("table", ("table",))),
        ("DESCRIBE HISTORY delta.`/x`", Describe("history", ("delta", "/x"))),
        ("DESCRIBE HISTORY '/x'", Describe("history", ("delta", "/x"))),
        ("DESC HISTORY a.t LIMIT 3", Describe("history", ("a", "t"), limit=3)),
        ("DESCRIBE DETAIL t", Describe("detail", ("t",))),
        ("DESCRIBE DETAIL '/x y'", Describe("detail", ("delta", "/x y"))),
        ("DESCRIBE t a", Describe("table", ("t",), column="a")),
        ("DESC EXTENDED t PARTITION (a = 1, b == 'x')", Describe("table", ("t",), None, True, partition=P)),
        ("SHOW PARTITIONS t PARTITION (a = 1, b = 'x')", Show("partitions", ("t",), partition=P)),
        ("SHOW TABLE EXTENDED IN s LIKE 'a*'", Show("table extended", ("s",), "a*")),
        ("SHOW TABLE EXTENDED LIKE 'a' PARTITION (a = 1, b = 'x')", Show("table extended", (), "a", P)),
        ("DESCRIBE FUNCTION EXTENDED abs", Describe("function", ("abs",), None, True)),
        ("DESCRIBE FUNCTION <=", Describe("function", ("<=",))),
        ("DESCRIBE SCHEMA EXTENDED s", Describe("schema", ("s",), None, True)),
    ],
)
def test_statements(text: str, expected: Command) -> None:
    assert parse_statement(text) == expected


@pytest.mark.parametrize("text", ["DESCRIBE QUERY SELECT 1", "DESCRIBE SELECT 1"])
def test_a_query_is_described(text: str) -> None:
    made = parse_statement(text)
    assert isinstance(made, Describe)
    assert isinstance(made.query, Project)


def test_queries_and_commands_are_explained() -> None:
    made = parse_statement("EXPLAIN SELECT 1")
    assert isinstance(made, Explain)
    assert (type(made.input), made.mode) == (Project, "simple")
    command = parse_statement("EXPLAIN EXTENDED INSERT INTO t SELECT 1")
    assert isinstance(command, Explain)
    assert (type(command.input), command.mode) == (Insert, "extended")


@pytest.mark.parametrize("text", ["SHOW GRANTS ON t", "EXPLAIN CALL p()", "DESCRIBE EXTENDED t AS JSON"])
def test_what_is_missing_is_refused_by_name(text: str) -> None:
    with pytest.raises(UnsupportedError):
        parse_statement(text)


@pytest.mark.parametrize("text", ["SHOW TABLES foo", "EXPLAIN", "EXPLAIN foo", "DESCRIBE", "SHOW COLUMNS t"])
def test_broken_text_is_a_syntax_error(text: str) -> None:
    with pytest.raises(ParseError):
        parse_statement(text)


def test_a_field_of_a_struct_is_no_column_to_describe() -> None:
    with pytest.raises(AnalysisError, match=r"DESC TABLE COLUMN does not support nested column: s\.a"):
        parse_statement("DESCRIBE t s.a")
    with pytest.raises(ParseError, match="DESCRIBE_JSON_NOT_EXTENDED"):
        parse_statement("DESCRIBE t AS JSON")
