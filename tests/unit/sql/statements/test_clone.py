"""CREATE TABLE … CLONE as a node."""

from __future__ import annotations

import pytest

from headwater.errors import ParseError
from headwater.plan.commands import CloneTable
from headwater.sql import parse_statement


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("CREATE TABLE x SHALLOW CLONE y", CloneTable(("x",), ("y",))),
        ("CREATE OR REPLACE TABLE a.x SHALLOW CLONE b.y", CloneTable(("a", "x"), ("b", "y"), replace=True)),
        ("CREATE TABLE IF NOT EXISTS x SHALLOW CLONE y", CloneTable(("x",), ("y",), if_not_exists=True)),
        ("CREATE TABLE x SHALLOW CLONE delta.`/y` VERSION AS OF 2", CloneTable(("x",), ("delta", "/y"), version=2)),
        (
            "CREATE TABLE x SHALLOW CLONE y TIMESTAMP AS OF '2026-01-01'",
            CloneTable(("x",), ("y",), timestamp="2026-01-01"),
        ),
        (
            "CREATE TABLE x SHALLOW CLONE y TBLPROPERTIES ('a' = 'b') LOCATION '/x'",
            CloneTable(("x",), ("y",), location="/x", properties=(("a", "b"),)),
        ),
        ("CREATE TABLE x DEEP CLONE y", CloneTable(("x",), ("y",), shallow=False)),
        ("CREATE TABLE x CLONE y", CloneTable(("x",), ("y",), shallow=False)),
    ],
)
def test_clone(text: str, node: CloneTable) -> None:
    assert parse_statement(text) == node


@pytest.mark.parametrize(
    "text", ["CREATE TABLE x SHALLOW y", "CREATE TABLE x SHALLOW CLONE", "CREATE TABLE x SHALLOW CLONE y AS z"]
)
def test_what_is_no_clone_is_a_syntax_error(text: str) -> None:
    with pytest.raises(ParseError):
        parse_statement(text)
