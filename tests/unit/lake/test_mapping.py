"""Column mapping: names in files against names for users, at every depth, and what a reader may go on with."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pyspark.sql.types import ArrayType, DataType, IntegerType, MapType, StringType, StructField, StructType
from sqlglot import exp

from headwater.duck import sql_text
from headwater.errors import UnsupportedError
from headwater.lake.actions import AddFile, Metadata
from headwater.lake.mapping import (
    file_key,
    mode_of,
    partition_of,
    physical_type,
    renamed,
    same_file_names,
    user_schema,
)
from headwater.types.ddl import parse_type
from support.lake import connection


def field(name: str, kind: DataType, physical: str, number: int = 1) -> StructField:
    metadata = {"delta.columnMapping.physicalName": physical, "delta.columnMapping.id": number}
    return StructField(name, kind, True, metadata)


INNER = StructType([field("x", IntegerType(), "c1"), field("y", StringType(), "c2")])
TABLE = StructType(
    [
        field("s", INNER, "c3", 3),
        field("l", ArrayType(ArrayType(INNER)), "c4", 4),
        field("m", MapType(INNER, MapType(StringType(), INNER)), "c5", 5),
        field("p", StringType(), "c6", 6),
    ]
)


def table(schema: StructType = TABLE, mode: str = "name") -> Metadata:
    return Metadata("id", schema.json(), ("p",), {"delta.columnMapping.mode": mode})


@pytest.mark.parametrize(
    ("configuration", "mode"),
    [({}, "none"), ({"delta.columnMapping.mode": "NAME"}, "name"), ({"delta.columnMapping.mode": "id"}, "id")],
)
def test_the_mode_is_a_property(configuration: dict[str, str], mode: str) -> None:
    assert mode_of(Metadata("id", TABLE.json(), (), configuration)) == mode


def test_another_mode_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="column mapping mode `hash`"):
        mode_of(table(mode="hash"))


def test_a_column_is_found_by_name_or_by_id() -> None:
    column = TABLE.fields[0]
    assert [file_key(column, mode).sql() for mode in ("none", "name", "id")] == ["'s'", "'c3'", "3"]
    assert file_key(StructField("plain", IntegerType()), "id").sql() == "'plain'"


def test_types_of_files_have_physical_names_at_every_depth() -> None:
    texts = [physical_type(f.dataType, "name").simpleString() for f in TABLE.fields]
    struct = "struct<c1:int,c2:string>"
    assert texts == [struct, f"array<array<{struct}>>", f"map<{struct},map<string,{struct}>>", "string"]
    assert physical_type(TABLE, "none") is TABLE


VALUES = {
    "s": "{'c1': 1, 'c2': 'a'}",
    "l": "[[{'c1': 1, 'c2': NULL}, NULL], NULL, []]",
    "m": "MAP {{'c1': 1, 'c2': 'k'}: MAP {'in': {'c1': 2, 'c2': 'v'}, 'out': NULL}}",
}
EXPECTED: dict[str, Any] = {
    "s": {"x": 1, "y": "a"},
    "l": [[{"x": 1, "y": None}, None], None, []],
    "m": {"key": [{"x": 1, "y": "k"}], "value": [{"in": {"x": 2, "y": "v"}, "out": None}]},
}


@pytest.mark.parametrize("name", VALUES)
def test_nested_names_become_the_logical_ones_and_nulls_stay(name: str) -> None:
    kind = TABLE[name].dataType
    text = sql_text(exp.select(renamed(exp.column("v"), kind, "name")).from_("given"))
    values = f"WITH given AS (SELECT v FROM (VALUES ({VALUES[name]}), (NULL)) t(v)) {text}"
    (first,), (second,) = connection().execute(values).fetchall()
    assert json.loads(json.dumps(first, default=dict)) == EXPECTED[name] or first == EXPECTED[name]
    assert second is None


def test_what_has_no_other_names_is_left_alone() -> None:
    value = exp.column("v")
    plain = parse_type("struct<a: array<struct<b: int>>>")
    assert renamed(value, plain, "name") is value
    assert renamed(value, TABLE["s"].dataType, "none") is value


def test_partition_values_are_found_by_physical_name() -> None:
    file = AddFile("f", {"c6": "v", "p": "other"}, 1, 1)
    assert partition_of(table(), file) == ("v",)
    assert partition_of(table(mode="none"), file) == ("other",)


def test_users_see_nothing_of_the_mapping() -> None:
    kept = StructField("n", INNER, False, {"comment": "c", "delta.typeChanges": []})
    shown = user_schema(StructType([*TABLE.fields, kept]))
    assert shown.simpleString() == StructType([*TABLE.fields, kept]).simpleString()
    assert "delta." not in shown.json()
    assert (shown["n"].metadata, shown["n"].nullable) == ({"comment": "c"}, False)


def changed(name: str, column: StructField | None) -> Metadata:
    """The table with a top-level column replaced, or without it."""
    fields = [column if f.name == name else f for f in TABLE.fields]
    return table(StructType([f for f in fields if f is not None]))


def test_a_reader_goes_on_only_if_its_names_mean_the_same() -> None:
    assert same_file_names(table(), table(), later=True)
    dropped = changed("s", None)
    assert not same_file_names(table(), dropped, later=True)
    assert same_file_names(table(), dropped, later=False)
    again = field("s", INNER, "c99")
    assert not same_file_names(table(), changed("s", again), later=False)
    inside = StructType([field("x", IntegerType(), "c98"), INNER.fields[1]])
    assert not same_file_names(table(), changed("l", field("l", ArrayType(ArrayType(inside)), "c4")), later=False)
    value = MapType(INNER, MapType(StringType(), inside))
    assert not same_file_names(table(), changed("m", field("m", value, "c5")), later=False)


def test_switching_the_mapping_on_changes_no_name_in_files() -> None:
    before = StructType([StructField("a", IntegerType())])
    after = StructType([field("a", IntegerType(), "a")])
    old = replace(table(before, "none"), partition_columns=())
    new = replace(table(after), partition_columns=())
    assert same_file_names(old, new, later=True)
