"""VACUUM as a node."""

from __future__ import annotations

import pytest

from headwater.errors import ParseError, UnsupportedError
from headwater.plan.commands import Vacuum
from headwater.sql import parse_statement


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("VACUUM t", Vacuum(("t",))),
        ("VACUUM db.t DRY RUN", Vacuum(("db", "t"), dry_run=True)),
        ("vacuum '/data/t' retain 0.5 hours", Vacuum(("delta", "/data/t"), 0.5)),
        ("VACUUM delta.`/data/t` LITE RETAIN 168 HOURS DRY RUN", Vacuum(("delta", "/data/t"), 168.0, True, True)),
        ("VACUUM t FULL", Vacuum(("t",))),
        ("VACUUM t RETAIN -1 HOURS", Vacuum(("t",), -1.0)),
    ],
)
def test_vacuum(text: str, node: Vacuum) -> None:
    assert parse_statement(text) == node


@pytest.mark.parametrize(
    "text", ["VACUUM", "VACUUM t RETAIN HOURS", "VACUUM t RETAIN 'x' HOURS", "VACUUM t DRY", "VACUUM t 1"]
)
def test_what_is_no_vacuum_is_a_syntax_error(text: str) -> None:
    with pytest.raises(ParseError):
        parse_statement(text)


def test_an_inventory_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="INVENTORY"):
        parse_statement("VACUUM t USING INVENTORY (SELECT 1)")
