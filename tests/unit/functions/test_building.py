"""Building blocks: a value used twice is computed once."""

from __future__ import annotations

from sqlglot import exp

from headwater.duck import sql_text
from headwater.functions.building import add, duck, let


def test_let_computes_what_is_costly_once() -> None:
    costly = duck("hw_slow", exp.column("a"))
    text = sql_text(let([costly], lambda x: add(x, x)))
    assert text.count("hw_slow") == 1 or text.upper().count("HW_SLOW") == 1


def test_let_repeats_what_is_free() -> None:
    assert sql_text(let([exp.column("a")], lambda x: add(x, x))) == "(a + a)"


def test_strings_are_quoted() -> None:
    assert sql_text(duck("f", "it's")) == "F('it''s')"
