"""File statistics: counts are exact, bounds are true for every row, whatever the type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from headwater.lake.stats import file_stats
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import connection, query


def stats_of(tmp_path: Path, select: str, schema: str, time_zone: str = "UTC") -> dict[str, Any]:
    table = LakeTable.at(str(tmp_path / "t"))
    table.append(connection(time_zone), query(select), parse_schema(schema))
    assert DeltaTable(table.path).get_add_actions().num_rows == 1
    return json.loads(table.snapshot().files[0].stats or "")


def test_every_plain_type_has_bounds_in_deltas_form(tmp_path: Path) -> None:
    columns = {
        "b": ("tinyint", "1::TINYINT", 1),
        "i": ("int", "-7", -7),
        "l": ("bigint", "9007199254740993", 9007199254740993),
        "d": ("double", "1.5::DOUBLE", 1.5),
        "s": ("string", "'é'", "é"),
        "t": ("date", "DATE '1969-12-31'", "1969-12-31"),
        "n": ("timestamp_ntz", "TIMESTAMP '2024-01-01 00:00:00.5'", "2024-01-01T00:00:00.500"),
        "z": ("timestamp", "TIMESTAMPTZ '2024-01-01 00:00:00.5+00'", "2024-01-01T00:00:00.500Z"),
    }
    select = "SELECT " + ", ".join(f"{value} AS {name}" for name, (_, value, _) in columns.items())
    schema = ", ".join(f"{name} {kind}" for name, (kind, _, _) in columns.items())
    for zone in ("UTC", "Asia/Kolkata", "America/St_Johns"):
        stats = stats_of(tmp_path / zone.replace("/", "_"), select, schema, zone)
        expected = {name: bound for name, (_, _, bound) in columns.items()}
        assert (stats["minValues"], stats["maxValues"]) == (expected, expected)


def test_a_decimal_keeps_all_its_digits(tmp_path: Path) -> None:
    select = "SELECT 12345678901234567890.123456789::DECIMAL(38,9) AS d"
    table = LakeTable.at(str(tmp_path / "t"))
    table.append(connection(), query(select), parse_schema("d decimal(38,9)"))
    assert '"minValues":{"d":12345678901234567890.123456789}' in (table.snapshot().files[0].stats or "")


def test_times_are_rounded_outwards(tmp_path: Path) -> None:
    stats = stats_of(tmp_path, "SELECT TIMESTAMP '2024-01-01 00:00:00.000001' AS n", "n timestamp_ntz")
    assert stats["minValues"]["n"] == "2024-01-01T00:00:00.000"
    assert stats["maxValues"]["n"] == "2024-01-01T00:00:00.001"


def test_long_text_is_cut_so_that_it_stays_a_bound(tmp_path: Path) -> None:
    stats = stats_of(tmp_path, "SELECT repeat('z', 40) AS s", "s string")
    assert stats["minValues"]["s"] == "z" * 32
    assert stats["maxValues"]["s"] > "z" * 40


@pytest.mark.parametrize("value", ["'nan'::DOUBLE", "'inf'::DOUBLE", "'-inf'::DOUBLE"])
def test_a_column_that_json_cannot_bound_has_no_bound(tmp_path: Path, value: str) -> None:
    stats = stats_of(tmp_path, f"SELECT {value} AS d UNION ALL SELECT {value}", "d double")
    assert (stats["minValues"], stats["maxValues"], stats["nullCount"]) == ({}, {}, {"d": 0})


def test_nulls_are_counted_and_all_null_columns_have_no_bound(tmp_path: Path) -> None:
    stats = stats_of(tmp_path, "SELECT NULL::INT AS a, 1 AS b UNION ALL SELECT NULL, NULL", "a int, b int")
    assert stats["nullCount"] == {"a": 2, "b": 1}
    assert stats["minValues"] == {"b": 1}


def test_structs_are_bounded_inside_and_lists_are_not(tmp_path: Path) -> None:
    select = "SELECT {'x': 1, 'z': {'w': 'a'}} AS s, [1] AS l"
    stats = stats_of(tmp_path, select, "s struct<x:int,z:struct<w:string>>, l array<int>")
    assert stats["minValues"] == {"s": {"x": 1, "z": {"w": "a"}}}


def test_only_the_first_columns_are_indexed() -> None:
    schema = parse_schema("a int, b int")
    report = {'"a"': {"min": "1", "max": "1", "null_count": "0"}, '"b"': {"min": "1", "max": "1", "null_count": "0"}}
    assert json.loads(file_stats(1, report, schema, 1))["minValues"] == {"a": 1}
    assert json.loads(file_stats(1, report, schema, -1))["minValues"] == {"a": 1, "b": 1}
