"""The entry points, against what genuine Spark's parser says (recorded by tests/spark/record_parser.py)."""

import json
from pathlib import Path

import pytest
from pyspark.sql.types import IntegerType

from headwater.errors import AnalysisError, ParseError, UnsupportedError
from headwater.plan.expressions import Call, Column, Literal, Star
from headwater.plan.relations import Filter, Project, ReadTable
from headwater.sql import parse_expression, parse_query, parse_statement
from support.spark_text import spark_text

FOLDER = Path(__file__).parent
EXPRESSIONS = json.loads((FOLDER / "recorded_expressions.json").read_text())
ERRORS = json.loads((FOLDER / "recorded_errors.json").read_text())

OTHERWISE = {
    "(a like 'x' or like 'y') instead of likeany": ("like any", "like all", "like some"),
    "two-argument trim is printed by its function": ("trim(both 'x'", "trim('x'", "trim(trailing"),
    "a unit is a string argument": (
        "timestampadd",
        "dateadd",
        "date_add(day",
        "timestampdiff",
        "datediff(day",
        "date_diff",
    ),
    "a field of a lambda variable is extracted": ("filter(a, x -> x.b",),
    "the session's zone decides a timestamp without one": ("timestamp '2020", "timestamp_ltz '2020"),
    "a collation is a string": ("a collate",),
}
_EXEMPT = tuple(start for starts in OTHERWISE.values() for start in starts)


@pytest.mark.parametrize("text", [text for text in EXPRESSIONS if not any(each in text for each in _EXEMPT)])
def test_expressions_are_read_as_spark_reads_them(text: str) -> None:
    assert spark_text(parse_expression(text)) == EXPRESSIONS[text]


@pytest.mark.parametrize("text", [text for text in EXPRESSIONS if any(each in text for each in _EXEMPT)])
def test_expressions_we_print_otherwise_are_still_read(text: str) -> None:
    parse_expression(text)


@pytest.mark.parametrize("text", ERRORS)
def test_broken_statements_fail_with_sparks_message(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_statement(text)
    message = ERRORS[text].split("\n== SQL (line")[0]  # the excerpt of a well-formed statement is not ours to print
    assert str(caught.value).strip() == message


def test_a_query_becomes_relations() -> None:
    plan = parse_query("SELECT a FROM s.t WHERE b > 1")
    condition = Call(">", (Column(("b",)), Literal(1, IntegerType())))
    assert plan == Project(Filter(ReadTable(("s", "t")), condition), (Column(("a",)),))


def test_parameters_are_bound_by_name_and_by_place() -> None:
    one, two = Literal(1, IntegerType()), Literal(2, IntegerType())
    plan = parse_query("SELECT :b, :a", {"a": one, "b": two})
    assert isinstance(plan, Project)
    assert plan.expressions == (two, one)
    inner = parse_query("SELECT ? FROM (SELECT ?)", {}, (one, two))
    assert isinstance(inner, Project)
    assert inner.expressions == (one,)


@pytest.mark.parametrize("text", ["SELECT :a", "SELECT ?"])
def test_a_missing_parameter_is_named(text: str) -> None:
    with pytest.raises(AnalysisError) as caught:
        parse_query(text)
    assert caught.value.condition == "UNBOUND_SQL_PARAMETER"


def test_empty_text_is_an_error() -> None:
    with pytest.raises(ParseError) as caught:
        parse_statement(" -- nothing\n ;")
    assert caught.value.condition == "PARSE_EMPTY_STATEMENT"


def test_the_message_points_at_the_word() -> None:
    with pytest.raises(ParseError) as caught:
        parse_query("SELECT a\nFROM t\nWHER b")
    assert str(caught.value).endswith("(line 3, pos 5)\n\n== SQL ==\nSELECT a\nFROM t\nWHER b\n-----^^^\n")
    assert caught.value.sql_state == "42601"


def test_a_missing_statement_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="ANALYZE"):
        parse_statement("ANALYZE TABLE t COMPUTE STATISTICS")


@pytest.mark.parametrize("operator", ["AND", "OR", "+", "||"])
def test_a_thousand_operators_do_not_overflow(operator: str) -> None:
    depth, node = 0, parse_expression(f" {operator} ".join(["a"] * 2000))
    while isinstance(node, Call):
        depth, node = depth + 1, node.arguments[0]
    assert depth == 1999


@pytest.mark.parametrize("text", ["(" * 300 + "1" + ")" * 300, "f(" * 200 + "1" + ")" * 200, "NOT " * 500 + "a"])
def test_deep_nesting_is_read(text: str) -> None:
    parse_expression(text)


def test_absurd_nesting_is_refused() -> None:
    with pytest.raises(ParseError) as caught:
        parse_expression("(" * 20_000 + "1" + ")" * 20_000)
    assert caught.value.condition == "FAILED_TO_PARSE_TOO_COMPLEX"


def test_a_star_alone_is_an_expression() -> None:
    assert parse_expression("*") == Star()
    assert parse_expression("t.*") == Star(("t",))
