"""RESTORE as a node."""

from __future__ import annotations

import pytest

from headwater.errors import ParseError
from headwater.plan.commands import Restore
from headwater.sql import parse_statement


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("RESTORE TABLE t TO VERSION AS OF 3", Restore(("t",), 3)),
        ("RESTORE a.t VERSION AS OF 3", Restore(("a", "t"), 3)),
        ("RESTORE delta.`/x/t` TO VERSION AS OF '3'", Restore(("delta", "/x/t"), 3)),
        ("RESTORE t TO TIMESTAMP AS OF '2026-01-01'", Restore(("t",), timestamp="2026-01-01")),
        ("RESTORE t TO VERSION AS OF -1", Restore(("t",), -1)),
    ],
)
def test_restore(text: str, node: Restore) -> None:
    assert parse_statement(text) == node


@pytest.mark.parametrize(
    "text", ["RESTORE", "RESTORE t", "RESTORE t TO", "RESTORE t TO VERSION AS OF 'x'", "RESTORE t TO VERSION AS OF 1 2"]
)
def test_what_is_no_restore_is_a_syntax_error(text: str) -> None:
    with pytest.raises(ParseError):
        parse_statement(text)
