"""What is known of a condition from its form, as Spark's constraints have it."""

from __future__ import annotations

import pytest

from headwater.plan.expressions import Column
from headwater.sql import parse_expression
from headwater.streaming.predicates import conjuncts, missing, movable, never_null, refuses_nulls, with_implied


def names(columns: list[Column]) -> list[str]:
    return [column.parts[0] for column in columns]


def test_a_condition_is_its_parts() -> None:
    whole = parse_expression("a = 1 AND b BETWEEN c AND 5 AND (d OR e)")

    assert conjuncts(whole) == [parse_expression(one) for one in ("a = 1", "b >= c", "b <= 5", "d OR e")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a > 1", ["a"]),
        ("NOT (upper(a) = b)", ["a", "b"]),
        ("a + b < CAST(c AS INT)", ["a", "b", "c"]),
        ("s.x > 1", ["s"]),
        ("coalesce(a, b) = c", ["c"]),
        ("a <=> b", []),
        ("a = 1 OR b = 1", []),
        ("a IN (1, 2)", []),
        ("try_cast(a AS INT) = 1", []),
        ("a IS NULL", []),
        ("upper(a) IS NOT NULL", ["a"]),
    ],
)
def test_columns_that_have_a_value_where_it_holds(text: str, found: list[str]) -> None:
    assert names(never_null(parse_expression(text))) == found


@pytest.mark.parametrize("text", ["a > 1", "a IN (1, 2)", "a = 1 OR b = 2", "a IS NOT NULL AND b <=> 1"])
def test_it_does_not_hold_for_nulls(text: str) -> None:
    assert refuses_nulls(parse_expression(text))


@pytest.mark.parametrize("text", ["a IS NULL", "coalesce(a, 1) = 1", "a = 1 OR b IS NULL", "a <=> b", "NOT (a <=> 1)"])
def test_it_may_hold_for_nulls(text: str) -> None:
    assert not refuses_nulls(parse_expression(text))


@pytest.mark.parametrize(
    "text",
    [
        "rand() > 0.5",
        "a IN (SELECT 1)",
        "window(a, '5 minutes').start = b",
        "exists(a, x -> x > 1)",
        "input_file_name() = a",
    ],
)
def test_it_has_to_stay_where_it_is(text: str) -> None:
    assert not movable(parse_expression(text))


def test_what_follows_from_an_equality_follows_once() -> None:
    parts = [parse_expression(one) for one in ("a = b", "a > 1", "b < c")]

    assert with_implied(parts) == [parse_expression(one) for one in ("a = b", "a > 1", "b < c", "b > 1", "a < c")]


def test_what_is_said_already_is_not_missing() -> None:
    parts = [
        parse_expression(one) for one in ("a IS NOT NULL", "b IS NOT NULL", "c = 1", "c IS NOT NULL", "b IS NOT NULL")
    ]

    assert missing(parts, [parse_expression("a > 1")]) == parts[1:3]
