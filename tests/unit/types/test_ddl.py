"""DDL text and type objects, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from pyspark.sql.types import ArrayType, DecimalType, IntegerType, MapType, StringType, StructField, StructType

from headwater.errors import ParseError
from headwater.types.ddl import parse_schema, parse_type, to_ddl, type_sql
from support.spark_types import data_types, schemas


@given(data_types())
@settings(max_examples=100, deadline=None)
def test_a_type_survives_its_sql_name(data_type):
    assert parse_type(type_sql(data_type)) == data_type


@given(schemas())
@settings(max_examples=100, deadline=None)
def test_a_schema_survives_its_ddl_and_its_json(schema):
    assert parse_schema(to_ddl(schema)) == schema
    assert parse_schema(schema.json()) == schema


def test_nested_types_with_comments_and_odd_names_are_read():
    schema = parse_schema(
        "a int not null comment 'it\\'s', `b c`: struct<x: array<string>, y map<string, decimal(10,2)>>"
    )
    inner = StructType(
        [
            StructField("x", ArrayType(StringType(), True)),
            StructField("y", MapType(StringType(), DecimalType(10, 2), True)),
        ]
    )
    assert schema.fields == [StructField("a", IntegerType(), False, {"comment": "it's"}), StructField("b c", inner)]


def test_a_struct_type_is_a_schema():
    assert parse_schema("struct<a:int>") == parse_schema("a int")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("array<int", "line 1, pos 9"),
        ("int b", "line 1, pos 4"),
        ("decimal(x)", "line 1, pos 8"),
        ("", "line 1, pos 0"),
    ],
)
def test_bad_text_is_a_syntax_error_with_its_place(text, place):
    with pytest.raises(ParseError, match=place) as caught:
        parse_type(text)
    assert caught.value.condition == "PARSE_SYNTAX_ERROR"


def test_an_unknown_type_is_named():
    with pytest.raises(ParseError, match=r'UNSUPPORTED_DATATYPE.*"FOO"'):
        parse_type("foo")
