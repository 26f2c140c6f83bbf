"""COMMENT ON."""

from __future__ import annotations

import pytest

from headwater.errors import ParseError, UnsupportedError
from headwater.plan.commands import CommentOn
from headwater.sql import parse_statement


def test_a_comment_is_given_and_taken_away() -> None:
    assert parse_statement("COMMENT ON TABLE a.t IS 'it''s'") == CommentOn("table", ("a", "t"), "it's")
    assert parse_statement("COMMENT ON DATABASE a IS NULL") == CommentOn("schema", ("a",), None)


def test_other_things_have_no_comment() -> None:
    with pytest.raises(UnsupportedError, match="COMMENT ON COLUMN"):
        parse_statement("COMMENT ON COLUMN t.a IS 'x'")
    with pytest.raises(ParseError):
        parse_statement("COMMENT ON TABLE t")
