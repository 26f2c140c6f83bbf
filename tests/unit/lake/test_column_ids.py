"""Ids and physical names: who gets them, who keeps them, and that none is given twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pyspark.sql.types import StructField, StructType

from headwater.errors import UnsupportedError
from headwater.lake.actions import Metadata
from headwater.lake.column_ids import MAX_ID, assigned
from headwater.types.ddl import parse_schema

ID, NAME = "delta.columnMapping.id", "delta.columnMapping.physicalName"
TEXT = "a int, s struct<x: int, l: array<struct<y: int>>>, m map<struct<k: int>, struct<v: int>>"


def table(schema: str | StructType, mode: str = "name") -> Metadata:
    columns = parse_schema(schema) if isinstance(schema, str) else schema
    return Metadata("id", columns.json(), (), {"delta.columnMapping.mode": mode})


def facts(kind: Any, key: str) -> list[Any]:
    """What the columns' metadata says, a struct's column before its fields."""
    found: list[Any] = []
    for field in getattr(kind, "fields", ()):
        found += [field.metadata[key], *facts(field.dataType, key)]
    for part in ("elementType", "keyType", "valueType"):
        found += facts(getattr(kind, part), key) if hasattr(kind, part) else []
    return found


@pytest.mark.parametrize("mode", ["name", "id"])
def test_every_column_of_a_new_table_gets_the_next_id_and_a_name_of_its_own(mode: str) -> None:
    made = assigned(table(TEXT, mode))
    assert facts(made.schema, ID) == list(range(1, 9))
    names = facts(made.schema, NAME)
    assert len(set(names)) == 8
    assert all(name.startswith("col-") for name in names)
    assert made.configuration[MAX_ID] == "8"
    assert made.schema.simpleString() == parse_schema(TEXT).simpleString()


def test_a_table_that_is_switched_keeps_its_names() -> None:
    old = table(TEXT, "none")
    made = assigned(table(TEXT), old)
    assert facts(made.schema, NAME) == ["a", "s", "x", "l", "y", "m", "k", "v"]


def test_without_mapping_nothing_is_done() -> None:
    old = table(TEXT, "none")
    assert assigned(old) is old


def test_a_new_column_gets_an_id_above_all_that_ever_were() -> None:
    old = assigned(table("a int, b int"))
    fewer = replace(old, schema_text=StructType(old.schema.fields[:1]).json())
    more = replace(fewer, schema_text=fewer.schema.add(StructField("b", old.schema["b"].dataType)).json())
    made = assigned(more, fewer)
    assert facts(made.schema, ID) == [1, 3]
    assert made.schema["a"] == old.schema["a"]
    assert made.schema["b"].metadata[NAME] != old.schema["b"].metadata[NAME]


def test_an_overwritten_table_takes_over_columns_of_the_same_name_and_type() -> None:
    old = assigned(table("a int, b int, s struct<x: int, y: int>"))
    made = assigned(table("A int, b string, s struct<x: int>, c int"), old, overwrites=True)
    assert facts(made.schema, ID) == [1, 6, 7, 4, 8]
    assert made.configuration[MAX_ID] == "8"


@pytest.mark.parametrize(("before", "after"), [("none", "id"), ("name", "id"), ("id", "name"), ("id", "none")])
def test_other_changes_of_mode_are_refused(before: str, after: str) -> None:
    with pytest.raises(UnsupportedError, match=f"'{before}' to '{after}'"):
        assigned(table(TEXT, after), table(TEXT, before))
