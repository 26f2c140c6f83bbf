"""Which types may become which, and how the schema tells of it."""

from __future__ import annotations

import itertools

import pytest

from headwater.errors import AnalysisError
from headwater.lake.widening import CHANGES, Widening, narrower, recorded, retyped, type_at, widens
from headwater.types.ddl import parse_schema, parse_type

ALLOWED = Widening(enabled=True)
WIDER = {
    ("tinyint", "smallint"), ("tinyint", "int"), ("tinyint", "bigint"), ("smallint", "int"), ("smallint", "bigint"),
    ("int", "bigint"), ("float", "double"), ("tinyint", "double"), ("smallint", "double"), ("int", "double"),
    ("date", "timestamp_ntz"), ("decimal(5,2)", "decimal(6,2)"), ("decimal(5,2)", "decimal(14,4)"),
    ("decimal(6,2)", "decimal(14,4)"), ("tinyint", "decimal(14,4)"), ("smallint", "decimal(14,4)"),
    ("int", "decimal(14,4)"), ("decimal(5,2)", "decimal(22,2)"), ("decimal(6,2)", "decimal(22,2)"),
    ("tinyint", "decimal(22,2)"), ("smallint", "decimal(22,2)"), ("int", "decimal(22,2)"),
    ("bigint", "decimal(22,2)"),
}  # fmt: skip
TYPES = sorted({name for pair in WIDER for name in pair} | {"string", "timestamp", "boolean", "binary"})


def test_just_these_changes_are_allowed() -> None:
    found = {(old, new) for old, new in itertools.permutations(TYPES, 2) if widens(parse_type(old), parse_type(new))}
    assert found == WIDER


def test_a_type_is_found_at_any_depth() -> None:
    schema = parse_schema("a int, s struct<l: array<map<string, struct<x: float>>>>")
    assert type_at(schema, ("S", "l", "element", "value", "X")) == parse_type("float")
    assert type_at(schema, ("s", "l", "key")) is None
    assert type_at(schema, ("b",)) is None


def test_a_change_is_told_by_the_nearest_column() -> None:
    old = parse_schema("a int, s struct<x: float, l: array<map<int, array<date>>>>, b int")
    new = parse_schema("s struct<l: array<map<bigint, array<timestamp_ntz>>>, x: double>, b int, c int")
    made = recorded(old, new)
    inner = made["s"].dataType
    assert made["s"].metadata == made["b"].metadata == made["c"].metadata == {}
    assert inner["x"].metadata == {CHANGES: [{"toType": "double", "fromType": "float"}]}  # type: ignore[index]
    assert inner["l"].metadata == {  # type: ignore[index]
        CHANGES: [
            {"toType": "long", "fromType": "integer", "fieldPath": "element.key"},
            {"toType": "timestamp_ntz", "fromType": "date", "fieldPath": "element.value.element"},
        ]
    }


def test_older_changes_stay_in_front() -> None:
    first, _ = retyped(parse_schema("a tinyint"), ("a",), parse_type("int"), ALLOWED)
    second, kind = retyped(first, ("a",), parse_type("decimal(12,2)"), ALLOWED)
    assert kind == parse_type("decimal(12,2)")
    changes = second["a"].metadata[CHANGES]
    assert [change["toType"] for change in changes] == ["integer", "decimal(12,2)"]


def test_the_same_type_is_no_change() -> None:
    schema = parse_schema("a struct<x: int>")
    assert retyped(schema, ("a", "x"), parse_type("int"), Widening())[0] is schema


@pytest.mark.parametrize(
    ("new", "condition"),
    [("bigint", "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP"), ("smallint", "NOT_SUPPORTED_CHANGE_COLUMN")],
)
def test_what_the_table_does_not_allow_is_refused(new: str, condition: str) -> None:
    with pytest.raises(AnalysisError, match=condition):
        retyped(parse_schema("a int"), ("a",), parse_type(new), Widening())


@pytest.mark.parametrize(
    ("stored", "wanted", "found"),
    [
        ("a int, b int", "a int, b bigint", True),
        ("a int", "a int, b bigint", False),
        ("a bigint", "a int", False),
        ("s struct<a: float>", "s struct<a: double, b: int>", True),
        ("l array<decimal(4,2)>", "l array<decimal(6,2)>", True),
        ("m map<tinyint, int>", "m map<smallint, int>", True),
        ("m map<int, date>", "m map<int, timestamp_ntz>", True),
        ("m map<int, date>", "m map<int, date>", False),
    ],
)
def test_files_with_a_type_from_before(stored: str, wanted: str, found: bool) -> None:
    assert narrower(parse_schema(stored), parse_schema(wanted)) == found
