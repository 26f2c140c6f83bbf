"""USE, SET, RESET and the cache."""

import pytest

from headwater.errors import ParseError, UnsupportedError
from headwater.plan.commands import CacheTable, Command, CreateView, ResetConf, SetConf, Use
from headwater.sql import parse_statement


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("USE a.b", Use(("a", "b"))),
        ("USE SCHEMA s", Use(("s",))),
        ("USE schema", Use(("schema",))),
        ("USE CATALOG c", Use(("c",), "catalog")),
        ("SET CATALOG c", Use(("c",), "catalog")),
        ("SET", SetConf()),
        ("SET -v", SetConf()),
        ("SET a.b", SetConf("a.b")),
        ("SET a.b=c d, e", SetConf("a.b", "c d, e")),
        ("SET a.b = 'x' ;", SetConf("a.b", "'x'")),
        ("SET `a b` = `c;d`", SetConf("a b", "c;d")),
        ("SET a.b=", SetConf("a.b", "")),
        ("SET TIME ZONE 'UTC'", SetConf("spark.sql.session.timeZone", "UTC")),
        ("RESET", ResetConf()),
        ("RESET a.b", ResetConf("a.b")),
        ("CACHE TABLE t", CacheTable("cache", ("t",))),
        ("UNCACHE TABLE IF EXISTS t", CacheTable("uncache", ("t",))),
        ("CLEAR CACHE", CacheTable("clear")),
        ("REFRESH TABLE a.t", CacheTable("refresh", ("a", "t"))),
        ("REFRESH t", CacheTable("refresh", ("t",))),
        ("REFRESH '/x'", CacheTable("refresh", ("/x",))),
    ],
)
def test_statements(text: str, expected: Command) -> None:
    assert parse_statement(text) == expected


def test_caching_a_query_names_a_temporary_view() -> None:
    made = parse_statement("CACHE LAZY TABLE t AS SELECT 1")
    assert isinstance(made, CreateView)
    assert (made.name, made.scope) == (("t",), "temporary")


def test_a_setting_without_equals_is_explained() -> None:
    with pytest.raises(ParseError) as caught:
        parse_statement("SET a b")
    assert caught.value.condition == "INVALID_SET_SYNTAX"


@pytest.mark.parametrize("text", ["SET VARIABLE a = 1", "SET TIME ZONE LOCAL", "REFRESH MATERIALIZED VIEW v"])
def test_what_is_missing_is_refused_by_name(text: str) -> None:
    with pytest.raises(UnsupportedError):
        parse_statement(text)
