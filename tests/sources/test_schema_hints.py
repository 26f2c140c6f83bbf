"""Hints for the types of Auto Loader's columns."""

import pytest

from headwater.errors import IllegalArgumentError
from headwater.sources.cloud_files.hints import with_hints
from headwater.types.ddl import parse_schema


@pytest.mark.parametrize(
    ("schema", "hints", "wanted"),
    [
        ("a STRING, b STRING", "B DATE, c INT", "a STRING, B DATE, c INT"),
        ("a STRUCT<b: STRING, c: STRING>", "a.b DATE", "a STRUCT<b: DATE, c: STRING>"),
        ("a STRING", "a.b DATE", "a STRUCT<b: DATE>"),
        (
            "x INT",
            "a.b.c DECIMAL(10,2), a.d MAP<STRING,INT>",
            "x INT, a STRUCT<b: STRUCT<c: DECIMAL(10,2)>, d: MAP<STRING,INT>>",
        ),
        ("a ARRAY<STRUCT<b: STRING>>", "a.element.b INT", "a ARRAY<STRUCT<b: INT>>"),
        ("m MAP<STRING, STRING>", "m.key INT, m.value DATE", "m MAP<INT, DATE>"),
        ("`a.b` STRING", "`a.b` INT", "`a.b` INT"),
        ("a STRING", " ", "a STRING"),
    ],
)
def test_hints_change_what_they_name(schema, hints, wanted):
    assert with_hints(parse_schema(schema), hints).simpleString() == parse_schema(wanted).simpleString()


def test_a_hint_without_a_name_is_refused():
    with pytest.raises(IllegalArgumentError, match="schemaHints"):
        with_hints(parse_schema("a INT"), "a INT, , b INT")
