"""Bounds of columns: read for every type, widened where a writer may have cut, unknown where nothing is certain."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from headwater.lake.actions import AddFile, Metadata
from headwater.lake.bounds import Bounds, Statistics, days, micros
from headwater.types.ddl import parse_schema

NOON = 1_717_243_200_000_000


def bounds(column: str, low: Any, high: Any, **more: Any) -> Bounds:
    schema = parse_schema(f"c {column}")
    stats = {"numRecords": 3, "minValues": {"c": low}, "maxValues": {"c": high}, "nullCount": {"c": 1}, **more}
    file = AddFile("a", {}, 1, 1, stats=json.dumps(stats))
    return Statistics(Metadata("id", schema.json()), [file]).of(("c",))[0]


@pytest.mark.parametrize(
    ("kind", "low", "high", "expected"),
    [
        ("bigint", -1, 2, (-1, 2)),
        ("int", 1.5, "2", (None, None)),
        ("double", "-Infinity", "NaN", (float("-inf"), None)),
        ("float", 0.1, 0.5, (0.10000000149011612, 0.5)),
        ("decimal(9,3)", 1.001, 2.002, (Decimal("1.001"), Decimal("2.002"))),
        ("string", "a", "b" * 31, ("a", "b" * 31)),
        ("string", "a", "b" * 32, ("a", "b" * 31 + "c")),
        ("string", "a", "b" * 31 + "?\ufffd", ("a", "b" * 30 + "c")),
        ("string", "a", "\U0010ffff" * 17, ("a", None)),
        ("date", "1970-01-02", "not a day", (1, None)),
        ("timestamp", "2024-06-01T12:00:00.000Z", "2024-06-01T14:00:00.000+02:00", (NOON, NOON + 999)),
        ("timestamp", "2024-06-01T12:00:00.000", "2024-06-01T12:00:00.000", (None, None)),
        ("timestamp_ntz", "2024-06-01T12:00:00.000", "2024-06-01T12:00:00.000", (NOON, NOON + 999)),
        ("boolean", False, True, (None, None)),
        ("array<int>", 1, 2, (None, None)),
    ],
)
def test_each_type(kind: str, low: Any, high: Any, expected: tuple[Any, Any]) -> None:
    assert bounds(kind, low, high) == (*expected, 1, 3)


def test_a_long_decimal_is_widened_by_what_binary_numbers_lose() -> None:
    low, high, *_ = bounds("decimal(38,2)", 1e20, 1e20)
    assert low < Decimal(10) ** 20 < high


def test_missing_parts_are_unknown_and_nulls_of_fields_are_not_believed() -> None:
    schema = parse_schema("s struct<x: int>, y int")
    stats = {"numRecords": 2, "minValues": {"s": {"x": 1}}, "nullCount": {"s": {"x": 2}, "y": 2}}
    files = [AddFile("a", {}, 1, 1, stats=json.dumps(stats)), AddFile("b", {}, 1, 1)]
    statistics = Statistics(Metadata("id", schema.json()), files)
    assert statistics.of(("s", "x")) == [Bounds(1, None, None, 2), Bounds()]
    assert statistics.of(("y",)) == [Bounds(None, None, 2, 2), Bounds()]
    assert statistics.of(("y",))[0].all_null
    assert statistics.of(("s",))[0] == Bounds(None, None, None, 2)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "5", 5),
        ("decimal(5,2)", "1.50", Decimal("1.50")),
        ("string", "é", "é"),
        ("date", "1970-01-03", 2),
        ("timestamp_ntz", "2024-06-01 12:00:00", NOON),
        ("boolean", "true", True),
    ],
)
def test_partition_values(kind: str, text: str, value: Any) -> None:
    metadata = Metadata("id", parse_schema(f"p {kind}").json(), ("p",))
    files = [AddFile("a", {"p": text}, 1, 1), AddFile("b", {"p": None}, 1, 1)]
    known, null = Statistics(metadata, files).of(("p",))
    assert known == Bounds(value, value, 0, 1)
    assert null.all_null


@pytest.mark.parametrize(
    ("kind", "text"), [("timestamp", "2024-06-01 12:00:00"), ("int", ""), ("int", "x"), ("binary", "x")]
)
def test_partition_values_that_are_not_certain(kind: str, text: str) -> None:
    metadata = Metadata("id", parse_schema(f"p {kind}").json(), ("p",))
    assert Statistics(metadata, [AddFile("a", {"p": text}, 1, 1)]).of(("p",)) == [Bounds()]


def test_days_and_micros() -> None:
    assert (days("1969-12-31"), micros("1969-12-31T23:59:59.999999Z", zoned=True)) == (-1, -1)
    with pytest.raises(ValueError, match="zone"):
        micros("1970-01-01T00:00:00Z", zoned=False)
