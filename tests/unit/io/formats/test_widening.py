"""The common type of two: symmetric, never one that changes a value."""

import pytest

from headwater.io.formats.widening import wider
from headwater.types.ddl import parse_type


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("tinyint", "smallint", "smallint"),
        ("int", "bigint", "bigint"),
        ("bigint", "decimal(5,2)", "decimal(22,2)"),
        ("decimal(5,2)", "decimal(6,1)", "decimal(7,2)"),
        ("float", "double", "double"),
        ("int", "double", "double"),
        ("bigint", "double", None),
        ("decimal(38,0)", "decimal(38,10)", None),
        ("date", "timestamp_ntz", "timestamp_ntz"),
        ("date", "timestamp", None),
        ("string", "int", None),
        ("array<int>", "array<bigint>", "array<bigint>"),
        ("map<string,int>", "map<string,bigint>", "map<string,bigint>"),
        ("struct<a:int>", "struct<A:bigint,b:string>", "struct<a:bigint,b:string>"),
        ("struct<a:int>", "struct<a:string>", None),
    ],
)
def test_the_common_type(one, other, common):
    expected = None if common is None else parse_type(common)
    assert wider(parse_type(one), parse_type(other)) == expected
    if not one.startswith("struct"):
        assert wider(parse_type(other), parse_type(one)) == expected
