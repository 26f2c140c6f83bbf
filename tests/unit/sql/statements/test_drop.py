"""DROP and TRUNCATE."""

import pytest

from headwater.errors import UnsupportedError
from headwater.plan.commands import DropObject, Insert
from headwater.plan.relations import Filter
from headwater.sql import parse_statement


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DROP TABLE t", DropObject("table", ("t",))),
        ("DROP TABLE IF EXISTS a.b PURGE", DropObject("table", ("a", "b"), True)),
        ("DROP VIEW IF EXISTS v", DropObject("view", ("v",), True)),
        ("DROP SCHEMA s CASCADE", DropObject("schema", ("s",), cascade=True)),
        ("DROP DATABASE s RESTRICT", DropObject("schema", ("s",))),
    ],
)
def test_drop(text: str, expected: DropObject) -> None:
    assert parse_statement(text) == expected


def test_truncate_overwrites_with_no_rows() -> None:
    made = parse_statement("TRUNCATE TABLE a.t")
    assert isinstance(made, Insert)
    assert made.overwrite
    assert isinstance(made.query, Filter)


@pytest.mark.parametrize("text", ["DROP FUNCTION f", "TRUNCATE TABLE t PARTITION (a = 1)"])
def test_what_is_missing_is_refused_by_name(text: str) -> None:
    with pytest.raises(UnsupportedError):
        parse_statement(text)
