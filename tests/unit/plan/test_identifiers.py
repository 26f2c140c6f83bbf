"""Dotted, back-quoted names."""

from __future__ import annotations

import pytest

from headwater.errors import AnalysisError
from headwater.plan.identifiers import parse_name


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("`a.b`", ("a.b",)),
        ("a.`b.c`.d", ("a", "b.c", "d")),
        ("`a``b`", ("a`b",)),
        ("delta.`/tmp/x y`", ("delta", "/tmp/x y")),
    ],
)
def test_names_fall_into_parts(text: str, parts: tuple[str, ...]) -> None:
    assert parse_name(text) == parts


@pytest.mark.parametrize("text", ["", "a.", ".a", "a..b", "`a", "a`b`", "`a`b", "`a`."])
def test_broken_names_are_refused(text: str) -> None:
    with pytest.raises(AnalysisError, match="INVALID_ATTRIBUTE_NAME_SYNTAX"):
        parse_name(text)
