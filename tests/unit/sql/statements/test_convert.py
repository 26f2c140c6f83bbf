"""CONVERT TO DELTA as a node."""

from __future__ import annotations

import pytest

from headwater.errors import ParseError
from headwater.plan.commands import ConvertToDelta
from headwater.sql import parse_statement
from headwater.types.ddl import parse_schema

KT = parse_schema("k INT, t STRING")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("CONVERT TO DELTA parquet.`/x y`", ConvertToDelta(("parquet", "/x y"))),
        ("CONVERT TO DELTA db.t NO STATISTICS", ConvertToDelta(("db", "t"), statistics=False)),
        ("convert to delta t partitioned by (k INT, t STRING)", ConvertToDelta(("t",), KT)),
        ("CONVERT TO DELTA t NO STATISTICS PARTITIONED BY (k INT, t STRING)", ConvertToDelta(("t",), KT, False)),
    ],
)
def test_convert(text: str, node: ConvertToDelta) -> None:
    assert parse_statement(text) == node


@pytest.mark.parametrize("text", ["CONVERT", "CONVERT t TO DELTA", "CONVERT TO DELTA", "CONVERT TO DELTA t NO"])
def test_what_is_no_conversion_is_a_syntax_error(text: str) -> None:
    with pytest.raises(ParseError):
        parse_statement(text)
