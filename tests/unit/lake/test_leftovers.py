"""Structs that share no field with a file's: which columns may have them, and what is asked of the file instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql.types import StructType

from headwater.lake.actions import Metadata
from headwater.lake.column_ids import assigned
from headwater.lake.leftovers import asked_of, has_more, suspects
from headwater.types.ddl import parse_schema


def table(schema: StructType | str, mode: str = "name") -> Metadata:
    columns = parse_schema(schema) if isinstance(schema, str) else schema
    return assigned(Metadata("id", columns.json(), ("p",), {"delta.columnMapping.mode": mode}))


def switched(schema: str) -> Metadata:
    """A table that has its own names in its files."""
    columns = parse_schema(schema)
    old = Metadata("id", columns.json(), (), {"delta.columnMapping.mode": "none"})
    return assigned(replace(old, configuration={"delta.columnMapping.mode": "name"}), old)


def without(metadata: Metadata, path: tuple[str, ...]) -> Metadata:
    from headwater.lake.renaming import dropped

    return dropped(metadata, [path])


def test_only_structs_that_have_lost_their_first_field_are_suspect() -> None:
    whole = table("a int, s struct<x: int, y: int>, l array<struct<x: int, y: int>>, p string")
    assert suspects(whole) == ()
    assert [field.name for field in suspects(without(whole, ("s", "x")))] == ["s"]
    assert [field.name for field in suspects(without(whole, ("l", "element", "x")))] == ["l"]
    assert suspects(without(whole, ("s", "y"))) == ()
    assert suspects(table("s struct<x: int>", "none")) == ()


@pytest.mark.parametrize("gone", [("x",), ("x", "y")])
def test_a_field_of_the_file_is_asked_for_where_none_is_left(tmp_path: Path, gone: tuple[str, ...]) -> None:
    metadata = switched("s struct<x: int, y: bigint>, l array<struct<x: int, y: bigint, z: int>>")
    for name in gone:
        metadata = without(metadata, ("l", "element", name))
    path = str(tmp_path / "f.parquet")
    item = {"x": 1, "y": 2}
    kind = pa.struct([("x", pa.int32()), ("y", pa.int64())])
    pq.write_table(pa.table({"l": pa.array([[item]], pa.list_(kind))}), path)
    found = {name: asked.simpleString() for name, asked in asked_of(metadata, suspects(metadata), path)}
    assert found == ({} if gone == ("x",) else {"l": "array<struct<z:int,x:int>>"})


def test_a_file_that_cannot_be_opened_is_the_reader_s_to_tell_of(tmp_path: Path) -> None:
    metadata = without(switched("s struct<x: int, y: int>"), ("s", "x"))
    assert asked_of(metadata, suspects(metadata), str(tmp_path / "nowhere")) == ()


@pytest.mark.parametrize(
    ("stored", "wanted", "more"),
    [
        ("a int, b int", "a int", True),
        ("a int", "a int, b int", False),
        ("A int", "a bigint", False),
        ("s struct<a: int, b: int>", "s struct<b: int>", True),
        ("l array<struct<a: int>>", "l array<struct<b: int>>", True),
        ("m map<struct<a: int, b: int>, int>", "m map<struct<a: int>, int>", True),
        ("m map<int, struct<a: int>>", "m map<int, struct<a: int, b: int>>", False),
    ],
)
def test_what_a_file_has_beyond_the_table(stored: str, wanted: str, more: bool) -> None:
    assert has_more(parse_schema(stored), parse_schema(wanted)) == more
