"""CREATE SCHEMA, TABLE and VIEW."""

import pytest
from pyspark.sql.types import DecimalType, IntegerType, StringType, StructField, StructType

from headwater.errors import ParseError, UnsupportedError
from headwater.plan.commands import CreateSchema, CreateTable, CreateView
from headwater.plan.relations import Project, ReadSource
from headwater.sql import parse_statement


def test_a_table_with_all_its_clauses() -> None:
    made = parse_statement(
        "CREATE TABLE IF NOT EXISTS c.s.t (a INT NOT NULL COMMENT 'x', b DECIMAL(10, 2)) USING delta "
        "PARTITIONED BY (a) LOCATION '/x' OPTIONS (o = 1) TBLPROPERTIES ('p.q' = 'v', r.s = true) COMMENT 'hi'"
    )
    fields = [StructField("a", IntegerType(), False, {"comment": "x"}), StructField("b", DecimalType(10, 2))]
    assert made == CreateTable(
        ("c", "s", "t"),
        StructType(fields),
        "delta",
        location="/x",
        partition_by=("a",),
        options=(("o", "1"),),
        properties=(("p.q", "v"), ("r.s", "true")),
        comment="hi",
        if_not_exists=True,
    )


def test_clauses_come_in_any_order() -> None:
    one = parse_statement("CREATE TABLE t (a INT) USING delta LOCATION '/x' COMMENT 'c'")
    assert one == parse_statement("CREATE TABLE t (a INT) COMMENT 'c' LOCATION '/x' USING delta")


def test_columns_are_computed_or_have_defaults() -> None:
    made = parse_statement(
        "CREATE TABLE t (a INT NOT NULL, b INT GENERATED ALWAYS AS (a + (1)) COMMENT 'x', "
        "c STRING DEFAULT 'y, z' NOT NULL)"
    )
    assert isinstance(made, CreateTable)
    assert made.schema == StructType(
        [
            StructField("a", IntegerType(), False),
            StructField("b", IntegerType(), True, {"delta.generationExpression": "a + (1)", "comment": "x"}),
            StructField("c", StringType(), False, {"CURRENT_DEFAULT": "'y, z'"}),
        ]
    )


def test_a_table_like_another_and_one_in_its_place() -> None:
    made = parse_statement("CREATE TABLE IF NOT EXISTS t LIKE a.b USING delta TBLPROPERTIES ('k' = 'v')")
    assert made == CreateTable(("t",), None, "delta", properties=(("k", "v"),), if_not_exists=True, like=("a", "b"))
    made = parse_statement("REPLACE TABLE t (a INT)")
    assert made == CreateTable(("t",), StructType([StructField("a", IntegerType())]), replace=True, must_exist=True)


def test_a_table_from_a_query_with_and_without_as() -> None:
    made = parse_statement("CREATE OR REPLACE TABLE t USING delta AS SELECT 1 AS a")
    assert isinstance(made, CreateTable)
    assert made.replace
    assert isinstance(made.query, Project)
    plain = parse_statement("CREATE TABLE t SELECT 1 AS a")
    assert isinstance(plain, CreateTable)
    assert plain.query == made.query


def test_partition_columns_with_types_join_the_schema() -> None:
    made = parse_statement("CREATE TABLE t (a INT) PARTITIONED BY (b INT)")
    assert isinstance(made, CreateTable)
    assert made.schema is not None
    assert made.schema.names == ["a", "b"]
    assert made.partition_by == ("b",)


def test_a_table_by_path() -> None:
    made = parse_statement("CREATE TABLE delta.`/tmp/x` (a INT) USING delta CLUSTER BY (a)")
    assert isinstance(made, CreateTable)
    assert made.name == ("delta", "/tmp/x")
    assert made.cluster_by == ("`a`",)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (a INT, CONSTRAINT k CHECK (a > 0))",
        "CREATE TABLE t (a INT, PRIMARY KEY (a))",
        "CREATE TABLE t (a INT) PARTITIONED BY (years(b))",
        "CREATE TABLE t (a INT) CLUSTERED BY (a) INTO 2 BUCKETS",
        "CREATE TEMPORARY TABLE t (a INT)",
        "CREATE FUNCTION f AS 'x'",
        "CREATE STREAMING TABLE t AS SELECT 1",
    ],
)
def test_what_is_missing_is_refused_by_name(text: str) -> None:
    with pytest.raises(UnsupportedError):
        parse_statement(text)


@pytest.mark.parametrize(
    ("words", "scope"),
    [("", "stored"), ("TEMPORARY ", "temporary"), ("TEMP ", "temporary"), ("GLOBAL TEMP ", "global")],
)
def test_a_view_keeps_the_text_of_its_query(words: str, scope: str) -> None:
    made = parse_statement(f"CREATE OR REPLACE {words}VIEW s.v (x COMMENT 'c', y) COMMENT 'd' AS SELECT 1, 2 ;")
    assert isinstance(made, CreateView)
    assert (made.scope, made.name, made.columns, made.comment) == (scope, ("s", "v"), ("x", "y"), "d")
    assert made.text == "SELECT 1, 2"
    assert made.replace


def test_a_temporary_view_of_a_source() -> None:
    made = parse_statement("CREATE TEMPORARY VIEW v (a INT) USING csv OPTIONS (path '/x', header true)")
    assert isinstance(made, CreateView)
    schema = StructType([StructField("a", IntegerType())])
    assert made.input == ReadSource("csv", schema, (("header", "true"),), ("/x",))


def test_a_schema() -> None:
    made = parse_statement("CREATE DATABASE IF NOT EXISTS a.b COMMENT 'c' LOCATION '/x' WITH DBPROPERTIES (p = 1)")
    assert made == CreateSchema(("a", "b"), True, "c", "/x", (("p", "1"),))


@pytest.mark.parametrize("text", ["CREATE TABLE t (a INT", "CREATE TABLE t (a INT) FOO", "CREATE VIEW v", "CREATE"])
def test_broken_text_is_a_syntax_error(text: str) -> None:
    with pytest.raises((ParseError, UnsupportedError)):
        parse_statement(text)
