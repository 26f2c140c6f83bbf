"""ALTER TABLE: each change with its arguments; what is not here is refused by its words."""

from __future__ import annotations

import pytest
from pyspark.sql.types import ArrayType, DecimalType, IntegerType, LongType, StringType, StructField, StructType

from headwater.errors import ParseError, UnsupportedError
from headwater.plan.commands import AlterTable
from headwater.sql import parse_statement


def change(text: str) -> tuple[str, dict[str, object]]:
    made = parse_statement(f"ALTER TABLE c.s.t {text}")
    assert isinstance(made, AlterTable)
    assert made.table == ("c", "s", "t")
    return made.change, dict(made.arguments)


def test_columns_are_added_with_type_comment_and_position() -> None:
    kind, arguments = change("ADD COLUMNS (a INT COMMENT 'x' FIRST, s.b DECIMAL(10, 2) AFTER `c d`, e STRING NOT NULL)")
    assert kind == "add columns"
    assert arguments["columns"] == (
        (("a",), StructField("a", IntegerType(), True, {"comment": "x"}), "FIRST"),
        (("s", "b"), StructField("b", DecimalType(10, 2)), "AFTER c d"),
        (("e",), StructField("e", StringType(), False), None),
    )


def test_one_column_needs_no_parenthesis_and_types_may_be_nested() -> None:
    inner = StructType([StructField("x", ArrayType(ArrayType(IntegerType())), False, {"comment": "first, after"})])
    _, arguments = change("ADD COLUMN s STRUCT<x: ARRAY<ARRAY<INT>> NOT NULL COMMENT 'first, after'>")
    assert arguments["columns"] == ((("s",), StructField("s", inner), None),)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("ALTER COLUMN a.b COMMENT 'x'", {"column": ("a", "b"), "comment": "x"}),
        ("ALTER a TYPE BIGINT", {"column": ("a",), "type": LongType()}),
        ("ALTER COLUMN a SET NOT NULL", {"column": ("a",), "nullable": False}),
        ("CHANGE COLUMN a DROP NOT NULL", {"column": ("a",), "nullable": True}),
        ("ALTER COLUMN a AFTER b", {"column": ("a",), "position": "AFTER b"}),
        (
            "CHANGE COLUMN a a INT COMMENT 'x' FIRST",
            {"column": ("a",), "type": IntegerType(), "comment": "x", "position": "FIRST"},
        ),
    ],
)
def test_a_column_is_altered(text: str, arguments: dict[str, object]) -> None:
    assert change(text) == ("alter column", arguments)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("RENAME COLUMN a.b TO c", ("rename column", {"column": ("a", "b"), "name": "c"})),
        ("CHANGE a b INT", ("rename column", {"column": ("a",), "name": "b"})),
        ("DROP COLUMN a.b", ("drop columns", {"columns": (("a", "b"),), "if_exists": False})),
        ("DROP COLUMNS IF EXISTS (a, b)", ("drop columns", {"columns": (("a",), ("b",)), "if_exists": True})),
        ("SET TBLPROPERTIES ('a.b' = 1, c = 'd')", ("set properties", {"properties": (("a.b", "1"), ("c", "d"))})),
        ("UNSET TBLPROPERTIES IF EXISTS ('a.b', c.d)", ("unset properties", {"keys": ("a.b", "c.d")})),
        ("ADD CONSTRAINT k CHECK (a > (1))", ("add constraint", {"name": "k", "expression": "a > (1)"})),
        ("DROP CONSTRAINT IF EXISTS k", ("drop constraint", {"name": "k", "if_exists": True})),
        ("RENAME TO s.u", ("rename", {"name": ("s", "u")})),
        ("SET LOCATION '/x'", ("set location", {"location": "/x"})),
    ],
)
def test_other_changes(text: str, made: tuple[str, dict[str, object]]) -> None:
    assert change(text) == made


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("TABLE t ADD PARTITION (a = 1)", "ADD PARTITION"),
        ("TABLE t ADD CONSTRAINT k PRIMARY KEY (a)", "ADD CONSTRAINT … PRIMARY"),
        ("TABLE t CLUSTER BY AUTO", "CLUSTER BY"),
        ("TABLE t SET SERDE 'x'", "SET SERDE"),
        ("VIEW v AS SELECT 1", "ALTER VIEW"),
    ],
)
def test_what_is_not_here_is_refused_by_its_words(text: str, named: str) -> None:
    with pytest.raises(UnsupportedError, match=named):
        parse_statement(f"ALTER {text}")


@pytest.mark.parametrize("text", ["", "ADD COLUMN", "ADD COLUMNS (a INT", "ALTER COLUMN a", "RENAME TO u v"])
def test_a_broken_statement_is_a_syntax_error(text: str) -> None:
    with pytest.raises(ParseError):
        parse_statement(f"ALTER TABLE t {text}")
