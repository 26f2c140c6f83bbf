"""Column definitions: type, clauses in any order, expressions as written."""

from __future__ import annotations

import pytest
from pyspark.sql.types import StructField, StructType

from headwater.errors import ParseError
from headwater.plan.commands import CreateTable
from headwater.sql import parse_statement
from headwater.types.ddl import parse_type


def defined(text: str) -> StructField:
    """The definition beside a column that makes the statement be read clause by clause."""
    made = parse_statement(f"CREATE TABLE t (x INT DEFAULT 1, {text})")
    assert isinstance(made, CreateTable)
    assert isinstance(made.schema, StructType)
    field: StructField = made.schema.fields[1]
    return field


@pytest.mark.parametrize(
    ("text", "kind", "nullable", "metadata"),
    [
        ("a INT", "int", True, {}),
        ("a: DECIMAL(10, 2) NOT NULL", "decimal(10,2)", False, {}),
        ("`a` MAP<STRING, ARRAY<ARRAY<INT>>> COMMENT 'x'", "map<string,array<array<int>>>", True, {"comment": "x"}),
        ("a STRING COMMENT 'x' DEFAULT concat('a, b', ')') NOT NULL", "string", False, None),
        (
            "a DATE GENERATED ALWAYS AS ( CAST(x AS DATE) )",
            "date",
            True,
            {"delta.generationExpression": "CAST(x AS DATE)"},
        ),
    ],
)
def test_a_definition(text: str, kind: str, nullable: bool, metadata: dict[str, str] | None) -> None:
    wanted = {"comment": "x", "CURRENT_DEFAULT": "concat('a, b', ')')"} if metadata is None else metadata
    assert defined(text) == StructField("a", parse_type(kind), nullable, wanted)


@pytest.mark.parametrize(
    ("text", "start", "step", "explicit"),
    [
        ("ALWAYS AS IDENTITY", 1, 1, False),
        ("BY DEFAULT AS IDENTITY ()", 1, 1, True),
        ("ALWAYS AS IDENTITY (START WITH -5)", -5, 1, False),
        ("BY DEFAULT AS IDENTITY (INCREMENT BY -3 START WITH 7) COMMENT 'n'", 7, -3, True),
    ],
)
def test_an_identity(text: str, start: int, step: int, explicit: bool) -> None:
    kept = {"start": start, "step": step, "allowExplicitInsert": explicit}
    found = defined(f"a BIGINT GENERATED {text}").metadata
    assert {key.removeprefix("delta.identity."): value for key, value in found.items() if "." in key} == kept


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("ALWAYS AS IDENTITY (INCREMENT BY 0)", "IDENTITY_COLUMNS_ILLEGAL_STEP"),
        (
            "ALWAYS AS IDENTITY (START WITH 1 START WITH 2)",
            "IDENTITY_COLUMNS_DUPLICATED_SEQUENCE_GENERATOR_OPTION",
        ),
        ("ALWAYS AS IDENTITY (START 5)", "PARSE_SYNTAX_ERROR"),
        ("ALWAYS AS IDENTITY (START WITH 'x')", "PARSE_SYNTAX_ERROR"),
        ("BY DEFAULT AS (x)", "PARSE_SYNTAX_ERROR"),
    ],
)
def test_an_identity_that_cannot_be(text: str, condition: str) -> None:
    with pytest.raises(ParseError) as caught:
        defined(f"a BIGINT GENERATED {text}")
    assert caught.value.condition == condition


def test_a_type_that_is_none_is_refused_as_such() -> None:
    with pytest.raises(ParseError, match="NOTATYPE"):
        defined("a NOTATYPE")
