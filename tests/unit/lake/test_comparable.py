"""Constants against columns: the value Spark compares with, or nothing where it would convert the column otherwise."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from headwater.lake.comparable import number, timely
from headwater.plan.expressions import Literal
from headwater.types.ddl import parse_schema


def kind(text: str) -> Any:
    return parse_schema(f"c {text}")["c"].dataType


@pytest.mark.parametrize(
    ("column", "literal", "value", "expected"),
    [
        ("int", "bigint", 5, 5),
        ("int", "string", " 5 ", 5),
        ("int", "string", "5.0", None),
        ("int", "decimal(3,1)", Decimal("1.5"), Decimal("1.5")),
        ("int", "float", 1.5, None),
        ("bigint", "decimal(38,30)", Decimal("1." + "1" * 30), None),
        ("float", "int", 1 << 24, float(1 << 24)),
        ("float", "int", (1 << 24) + 1, None),
        ("double", "bigint", (1 << 53) + 1, None),
        ("double", "decimal(3,1)", Decimal("1.5"), 1.5),
        ("double", "double", float("nan"), None),
        ("decimal(38,0)", "decimal(3,1)", Decimal("1.5"), None),
        ("decimal(20,3)", "int", 7, 7),
        ("int", "boolean", True, None),
    ],
)
def test_numbers(column: str, literal: str, value: Any, expected: Any) -> None:
    found = number(Literal(value, kind(literal)), kind(column))
    assert (found and found[0]) == expected


def test_whole_numbers_are_compared_with_doubles_as_doubles() -> None:
    found = number(Literal(2.0**53, kind("double")), kind("bigint"))
    assert found is not None
    assert found[1] is not None
    assert found[1]((1 << 53) + 1) == found[0]


@pytest.mark.parametrize(
    ("column", "literal", "value", "expected"),
    [
        ("string", "string", "a", "a"),
        ("string", "int", 1, None),
        ("boolean", "boolean", True, True),
        ("date", "string", "1970-01-02", 1),
        ("date", "string", "1970-1-2", None),
        ("date", "string", "1970-02-30", None),
        ("date", "timestamp", 0, None),
        ("timestamp", "string", "1970-01-01 02:00:00", 3_600_000_000),
        ("timestamp", "date", 1, 82_800_000_000),
        ("timestamp", "date", 4_000_000, None),
        ("timestamp", "timestamp_ntz", 0, None),
        ("timestamp_ntz", "date", 1, 86_400_000_000),
        ("timestamp_ntz", "string", "1970-01-01T00:00:00.5", 500_000),
        ("binary", "binary", b"a", None),
    ],
)
def test_the_rest(column: str, literal: str, value: Any, expected: Any) -> None:
    assert timely(Literal(value, kind(literal)), kind(column), "Europe/Berlin") == expected
