"""OPTIMIZE as a command node."""

from __future__ import annotations

import pytest

from headwater.errors import ParseError
from headwater.plan.commands import Optimize
from headwater.sql import parse_expression, parse_statement


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("OPTIMIZE t", Optimize(("t",))),
        ("optimize a.b full", Optimize(("a", "b"), full=True)),
        ("OPTIMIZE '/data/t' ZORDER BY a", Optimize(("delta", "/data/t"), zorder_by=("`a`",))),
        ("OPTIMIZE delta.`/data/t` ZORDER BY (a, s.b, `x y`)",
         Optimize(("delta", "/data/t"), zorder_by=("`a`", "`s`.`b`", "`x y`"))),
        ("OPTIMIZE t ZORDER BY a, b", Optimize(("t",), zorder_by=("`a`", "`b`"))),
        ("OPTIMIZE t WHERE p = 'x' AND q > 3 ZORDER BY (a)",
         Optimize(("t",), parse_expression("p = 'x' AND q > 3"), ("`a`",))),
    ],
)  # fmt: skip
def test_clauses_in_their_order(text: str, node: Optimize) -> None:
    assert parse_statement(text) == node


@pytest.mark.parametrize(
    "text", ["OPTIMIZE", "OPTIMIZE t ZORDER (a)", "OPTIMIZE t ZORDER BY ()", "OPTIMIZE t WHERE", "OPTIMIZE t now"]
)
def test_other_words_are_syntax_errors(text: str) -> None:
    with pytest.raises(ParseError):
        parse_statement(text)
