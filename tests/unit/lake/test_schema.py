"""Schema rules: what Delta can hold, what fits into a table, and how a table grows."""

from __future__ import annotations

import pytest

from headwater.errors import AnalysisError, UnsupportedError
from headwater.lake.schema import as_nullable, check_partitioning, check_storable, fits, merge, stored
from headwater.types.ddl import parse_schema, parse_type


@pytest.mark.parametrize(
    ("schema", "condition"),
    [
        ("a void", "DELTA_NULL_SCHEMA_IN_STREAMING_WRITE.*column a"),
        ("a struct<b:void>", "DELTA_NULL_SCHEMA_IN_STREAMING_WRITE.*column a.b"),
        ("a interval day to second", "DELTA_UNSUPPORTED_DATA_TYPES.*a: interval day to second"),
        ("`a b` int", "(?s)DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES.*a b"),
        ("a int, A int", "DELTA_DUPLICATE_COLUMNS_FOUND.*A"),
        ("a variant", "UNSUPPORTED_FEATURE.*variant"),
    ],
)
def test_what_delta_cannot_hold_is_refused(schema: str, condition: str) -> None:
    with pytest.raises((AnalysisError, UnsupportedError), match=condition):
        check_storable(parse_schema(schema))


def test_char_and_varchar_are_kept_as_strings_that_remember() -> None:
    kept = stored(parse_schema("a char(3), b varchar(5)"))
    assert kept.simpleString() == "struct<a:string,b:string>"
    assert kept["b"].metadata == {"__CHAR_VARCHAR_TYPE_STRING": "varchar(5)"}


def test_partition_columns_are_taken_as_the_schema_spells_them() -> None:
    schema = parse_schema("Id int, p string, s struct<x:int>")
    assert check_partitioning(schema, ("ID", "P")) == ("Id", "p")
    with pytest.raises(AnalysisError, match=r"DELTA_PARTITION_COLUMN_NOT_FOUND.*nope.*Id, p, s"):
        check_partitioning(schema, ("nope",))
    with pytest.raises(AnalysisError, match="DELTA_INVALID_PARTITION_COLUMN_TYPE"):
        check_partitioning(schema, ("s",))
    with pytest.raises(AnalysisError, match="DELTA_CANNOT_USE_ALL_COLUMNS_FOR_PARTITION"):
        check_partitioning(parse_schema("a int"), ("a",))


def test_a_table_grows_at_the_end_and_inside_structs() -> None:
    table = parse_schema("a int not null, s struct<x:int>, l array<struct<p:int>>, m map<string,struct<k:int>>")
    data = parse_schema("new int not null, s struct<y:int>, l array<struct<q:int>>, m map<string,struct<j:int>>, A int")
    grown = parse_schema(
        "a int not null, s struct<x:int,y:int>, l array<struct<p:int,q:int>>,m map<string,struct<k:int,j:int>>, new int"
    )
    assert merge(table, data, grow=True) == grown


def test_growing_without_leave_shows_both_schemas_and_the_option() -> None:
    with pytest.raises(AnalysisError, match=r"DELTA_METADATA_MISMATCH(.|\n)*mergeSchema(.|\n)*b: integer"):
        merge(parse_schema("a int"), parse_schema("a int, b int"), grow=False)


def test_fewer_columns_and_another_case_are_no_change() -> None:
    table = parse_schema("a int, b string")
    assert merge(table, parse_schema("B string"), grow=False) == table


@pytest.mark.parametrize(
    ("data", "table", "expected"),
    [
        ("int", "bigint", True),
        ("bigint", "int", False),
        ("tinyint", "smallint", True),
        ("int", "double", True),
        ("bigint", "double", False),
        ("float", "double", True),
        ("double", "float", False),
        ("int", "decimal(10,0)", True),
        ("int", "decimal(10,2)", False),
        ("decimal(5,2)", "decimal(7,3)", True),
        ("decimal(5,2)", "decimal(5,3)", False),
        ("date", "timestamp", True),
        ("timestamp", "date", False),
        ("string", "int", False),
        ("int", "string", False),
        ("void", "int", True),
    ],
)
def test_only_types_that_lose_nothing_fit(data: str, table: str, expected: bool) -> None:
    assert fits(parse_type(data), parse_type(table)) is expected


def test_a_new_tables_columns_are_nullable_all_the_way_down() -> None:
    schema = parse_schema("a int not null, s struct<x:int not null>, l array<struct<y:int not null>>")
    assert as_nullable(schema) == parse_schema("a int, s struct<x:int>, l array<struct<y:int>>")
